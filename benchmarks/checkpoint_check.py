"""What it costs that a checkpoint passes the reader's check before it is written.

`python -m benchmarks.checkpoint_check`. Each figure is the best of five, of one checkpoint, in milliseconds of the
writer's thread, which shares the interpreter's lock with the loop.
"""

from __future__ import annotations

import random
import time
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from river import forest

from consumer.checkpoint.envelope import Identity, seal, unseal
from consumer.checkpoint.lineage import USUAL
from consumer.checkpoint.shards import cut
from consumer.checkpoint.unpickling import Admitted, Pickles, check_sections
from consumer.learning.features import FEATURE_NAMES
from consumer.learning.guarded import GuardedModel
from consumer.learning.ledger import Ledger
from consumer.learning.linear import get_ml_pipeline
from consumer.learning.state import encode_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumer.checkpoint.envelope import Data
    from consumer.learning.model_sections import Section

IDENTITY: Final = Identity("group", "topic", "topic-id", "0123456789ab", "ab" * 32, "17", {"MODEL": "linear"})
KEY: Final = b"a signing key of thirty-two bytes"
ROUNDS: Final = 5


def main() -> None:
    """Measure and print a table."""
    rng = random.Random(1)
    states: dict[str, dict[str, Any]] = {
        "one linear model": {"": (trained(get_ml_pipeline(), rng), 50)},
        "1,000 linear models": {f"store-{number}": (trained(get_ml_pipeline(), rng), 50) for number in range(1000)},
        "1,000 guarded models": {f"store-{number}": GuardedModel().state() for number in range(1000)},
        "a forest of ten trees": {"": (trained(forest.ARFRegressor(seed=1), rng, 3000), 3000)},
    }
    print(f"{'models, 100,000 identities, 20,000 items':42}{'bytes':>11}{'encode':>9}{'seal':>9}{'check':>9}")
    for name, models in states.items():
        state = whole(models, rng)
        sections = encode_state(state)
        data = sealed(sections)
        encoding = best(partial(encode_state, state))
        sealing = best(partial(sealed, sections))
        checking = best(partial(checked, data))
        print(f"{name:42}{len(data):>11,}{encoding:>9.1f}{sealing:>9.1f}{checking:>9.1f}")


def sealed(sections: Mapping[str, Section]) -> Data:
    """Do what the writer does with a snapshot's sections: digests and signature."""
    return seal(IDENTITY, 0, 1, cut(sections, USUAL.shard_bytes), KEY)[1]


def checked(data: Data) -> None:
    """Do what the writer does with a sealed checkpoint before it is written."""
    check_sections(unseal(data, KEY).sections(), Pickles(Admitted()))


def trained(model: Any, rng: random.Random, number: int = 50) -> Any:  # noqa: ANN401 -- River's types are too wide
    """Let a model learn something."""
    for _ in range(number):
        features = {name: rng.random() for name in FEATURE_NAMES}
        model.learn_one(features, sum(features.values()))
    return model


def whole(models: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """A task's state around these models."""
    ledger = Ledger()
    for number in range(20_000):
        ledger.post(f"store-{number % 100}\x1fsku-{number}", 0, rng.randrange(10**8), 15 * 10**14 + number)
    ledger.sweep(15 * 10**14, 400)
    return {
        "progress": (10**6, 0, 10**6, (bytes(8), bytes(10_000), 500)),
        "ledger": ledger.snapshot(),
        "identities": b"".join(blake2b(str(number).encode(), digest_size=24).digest() for number in range(100_000)),
        "invalid": [],
        "models": models,
    }


def best(work: Callable[[], object]) -> float:
    """Return the shortest of several times, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times) * 1000


if __name__ == "__main__":
    main()

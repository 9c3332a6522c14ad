"""How long the loop waits for the interpreter's lock while a large state is sealed, checked and written.

`python -m benchmarks.checkpoint_gaps`. A thread that only counts stands for the loop; its largest gaps are shown, in
milliseconds. A writer that takes no lock (digests only) is the control: its gaps are the machine's own, and Python's
switch interval.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.envelope import Identity
from consumer.checkpoint.unpickling import Admitted
from consumer.checkpoint.writer import Sealing, Snapshot
from consumer.learning.ledger import Ledger
from consumer.learning.state import encode_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumer.learning.model_sections import Section

IDENTITY: Final = Identity("group", "topic", "topic-id", "0123456789ab", "ab" * 32, "17", {"MODEL": "linear"})
KEY: Final = b"a signing key of thirty-two bytes"
ITEMS: Final = 1_000_000
IDENTITIES: Final = 100_000
ROUNDS: Final = 5
SHOWN: Final = 4
LEAST_SECONDS: Final = 0.0005
_OBSERVED_US: Final = 15 * 10**14
_CONTROL_BYTES: Final = 250_000_000


def main() -> None:
    """Measure and print a table: of each kind of writer, its seconds and the largest gaps beside it."""
    sections = large_state()
    writers: dict[str, Callable[[], object]] = {
        "control: takes no lock": partial(hashlib.blake2b, bytes(_CONTROL_BYTES)),
        "unsigned": partial(written, sections, None),
        "signed": partial(written, sections, KEY),
    }
    print(f"{ITEMS:,} items, {IDENTITIES:,} identities")
    for _ in range(ROUNDS):
        for name, work in writers.items():
            started = time.perf_counter()
            gaps = gaps_beside(work)
            shown = ", ".join(f"{gap * 1000:.1f}" for gap in gaps[:SHOWN])
            print(f"{name:24}{time.perf_counter() - started:6.2f} s   {shown} ms")


def large_state() -> Mapping[str, Section]:
    """Return the sections of a state of many items."""
    ledger = Ledger()
    for number in range(ITEMS):
        ledger.post(f"store-{number % 90}\x1fsku-{number:08d}-article", 0, number * 1000, _OBSERVED_US + number)
    ledger.sweep(_OBSERVED_US, 400)
    identities = b"".join(
        hashlib.blake2b(str(number).encode(), digest_size=24).digest() for number in range(IDENTITIES)
    )
    progress = (10**6, 0, 10**6, (bytes(8), bytes(10_000), 500))
    return encode_state(
        {
            "progress": progress,
            "models": {},
            "ledger": ledger.snapshot(),
            "identities": identities,
            "invalid": [],
        }
    )


def written(sections: Mapping[str, Section], key: bytes | None) -> None:
    """Do what the writer's thread does with a snapshot."""
    with tempfile.TemporaryDirectory() as directory:
        sealing = Sealing(DirectoryStore(Path(directory)), IDENTITY, admitted=Admitted(), key=key)
        result = sealing.write(Snapshot(None, 0, 1, sections))
    if result.error:
        raise RuntimeError(result.error)


def gaps_beside(work: Callable[[], object]) -> list[float]:
    """Return for how many seconds this thread did not run while another one worked, the longest first."""
    thread = threading.Thread(target=work)
    gaps = []
    thread.start()
    last = time.perf_counter()
    while thread.is_alive():
        now = time.perf_counter()
        if now - last > LEAST_SECONDS:
            gaps.append(now - last)
        last = now
    thread.join()
    return sorted(gaps, reverse=True)


if __name__ == "__main__":
    main()

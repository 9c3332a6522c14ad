"""What a large state's second checkpoint costs after some events, beside its first one.

`python -m benchmarks.checkpoint_sharing`. Each event is of an item drawn at random, the worst case: its level, the time
of it and its day change, and an identity enters the window. Bytes are those of the file; seconds are of the writer's
thread: cutting, digests, signing, checking, and writing to a directory.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.checkpoint_gaps import IDENTITIES, IDENTITY, ITEMS, KEY, large_state
from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.joining import JoinedReads
from consumer.checkpoint.lineage import Lineage
from consumer.checkpoint.unpickling import Admitted
from consumer.checkpoint.writer import Sealing, Snapshot
from consumer.learning.identities import ENTRY_BYTES
from consumer.learning.ledger_columns import DAYS, LEVELS, OBSERVED
from consumer.learning.model_sections import joined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from consumer.checkpoint.writer import Written

EVENTS: Final = (1_000, 10_000, 100_000)
ROUNDS: Final = 3


def main() -> None:
    """Measure and print a table, the best of some rounds."""
    before = {name: bytes(joined(section)) for name, section in large_state().items()}
    print(f"{ITEMS:,} items, {IDENTITIES:,} identities, {sum(map(len, before.values())):,} bytes of state")
    print(f"{'checkpoint':36}{'bytes':>12}{'writer':>9}{'restore':>10}")
    for events in EVENTS:
        after = changed(before, events)
        measured = [measure(before, after) for _ in range(ROUNDS)]
        for number, what in enumerate(("the first", f"after {events:,} events")):
            written = min((each[number][0] for each in measured), key=lambda each: each.seconds)
            restore = min(each[number][1] for each in measured)
            label = f"{what}, {written.parents} parents"
            print(f"{label:36}{written.size:>12,}{written.seconds:>7.2f} s{restore:>8.2f} s")


def measure(before: Mapping[str, Buffer], after: Mapping[str, Buffer]) -> list[tuple[Written, float]]:
    """Write both; return what became of each, and how long it takes to read it and put it together."""
    with tempfile.TemporaryDirectory() as directory:
        store = DirectoryStore(Path(directory))
        sealing, lineage = Sealing(store, IDENTITY, admitted=Admitted(), key=KEY), Lineage()
        measured = []
        for offset, sections in ((1, before), (2, after)):
            written = sealing.write(Snapshot(None, 0, offset, sections, lineage=lineage))
            if written.name is None:
                raise RuntimeError(written.error)
            started = time.perf_counter()
            JoinedReads(store, KEY).read(written.name)
            measured.append((written, time.perf_counter() - started))
        return measured


def changed(sections: Mapping[str, bytes], events: int) -> dict[str, bytes]:
    """Return the state after so many events."""
    rng = np.random.default_rng(events)
    items = rng.integers(0, ITEMS, events)
    levels = np.frombuffer(sections[LEVELS], "<i8").copy()
    observed = np.frombuffer(sections[OBSERVED], "<i8").copy()
    days = np.frombuffer(sections[DAYS], "<i4").copy()
    levels[items] += 1_000_000
    observed[items] += 60_000_000
    days[items] -= 1
    entered = rng.bytes(events * ENTRY_BYTES)
    window = (sections["identities"] + entered)[-IDENTITIES * ENTRY_BYTES :]
    new = {LEVELS: levels.tobytes(), OBSERVED: observed.tobytes(), DAYS: days.tobytes(), "identities": window}
    return {**sections, **new}


if __name__ == "__main__":
    main()

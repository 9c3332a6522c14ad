"""This worker, whole: what `smart-inventory run --stop-at-end` runs, from its first partition to its end.

The span holds everything that follows once the group is joined: the fresh start of each partition, all commits and
checkpoints, and leaving the group.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.bench.stopwatch import Stopwatch
from consumer import hash_seed

if TYPE_CHECKING:
    from structlog.typing import EventDict


def main() -> None:
    """Run the worker until it has committed what the input topic holds now."""
    hash_seed.ensure(os.environ)  # before the heavy imports, as the command does
    from benchmarks.bench.contenders.listening import listening_log  # noqa: PLC0415
    from consumer import settings  # noqa: PLC0415
    from consumer.run import run_worker  # noqa: PLC0415

    stopwatch = Stopwatch()
    ends: dict[int, int] = {}

    def listen(line: EventDict) -> None:
        if line["event"] == "partition_fresh":
            stopwatch.start()
        elif line["event"] == "will_stop_at_end":
            ends.update(line["ends"])

    run_worker(settings.load(), os.environ, listening_log(listen), stop_at_end=True)
    stopwatch.stop(events=sum(ends.values()))  # it returns only once these are committed
    os._exit(0)  # as the command does: what the interpreter tidies away at its end, Kafka's clients, may hang


if __name__ == "__main__":
    main()

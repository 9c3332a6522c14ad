"""This worker's replay: the input was processed once and its checkpoints are gone, so it learns everything again.

Only the second run is measured: from where the first partition begins to replay until the last one has arrived at its
committed offset, with the digest that was committed. What is read back is what the first run published.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.bench.stopwatch import Stopwatch
from consumer import hash_seed

if TYPE_CHECKING:
    from structlog.typing import EventDict

_WORKER: Final = "benchmarks.bench.contenders.worker"
_SECONDS: Final = 600.0


def main() -> None:
    """Process the input, forget the checkpoints, and replay."""
    hash_seed.ensure(os.environ)  # before the heavy imports, as the command does
    first = [sys.executable, "-m", _WORKER]
    subprocess.run(first, check=True, timeout=_SECONDS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    from benchmarks.bench.contenders.listening import listening_log  # noqa: PLC0415
    from consumer import settings  # noqa: PLC0415
    from consumer.permissions import Permissions  # noqa: PLC0415
    from consumer.run import run_worker  # noqa: PLC0415

    loaded = settings.load()
    shutil.rmtree(Path(loaded.checkpoint_url.removeprefix("file:")))
    stopwatch = Stopwatch()
    ends: dict[int, int] = {}

    def listen(line: EventDict) -> None:
        if line["event"] == "replay_from_first":
            stopwatch.start()
            ends[line["partition"]] = -1
        elif line["event"] == "partition_live" and line["partition"] in ends:
            ends[line["partition"]] = line["offset"]
            if -1 not in ends.values():
                stopwatch.stop(events=sum(ends.values()))

    run_worker(loaded, os.environ, listening_log(listen), stop_at_end=True, permissions=Permissions(rebuild=True))
    os._exit(0)  # as the command does: what the interpreter tidies away at its end, Kafka's clients, may hang


if __name__ == "__main__":
    main()

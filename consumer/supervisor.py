"""`run --workers N`: N worker processes on one machine, started and stopped together."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

_TICK_SECONDS: Final = 0.1


def run_workers(
    number: int, arguments: Sequence[str], environment: Mapping[str, str], *, instance_id: str, metrics_port: int
) -> int:
    """Run `smart-inventory run` so many times and return the first exit code that is not 0.

    Worker i, from 0, is named `instance_id`-i and listens on `metrics_port`+i (0 stays 0: any free port). Where one
    fails, the others are asked to finish as well: whoever supervises this process then starts all of them anew.
    """
    workers = []
    for index in range(number):
        port = metrics_port + index if metrics_port else 0
        own = {"INSTANCE_ID": f"{instance_id}-{index}", "METRICS_PORT": str(port)}
        command = [sys.executable, "-m", "consumer", "run", *arguments]
        # A group of its own: a terminal's Ctrl-C must not reach a worker twice, the second time ends it at once.
        workers.append(subprocess.Popen(command, env={**environment, **own}, process_group=0))  # noqa: S603 -- our own command

    def pass_on(received: int, _frame: FrameType | None) -> None:
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(received)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    first_failure = 0
    while None in [worker.poll() for worker in workers]:  # each is polled: one that fails must not go unnoticed
        failed = [worker.returncode for worker in workers if worker.returncode]
        if failed and not first_failure:
            first_failure = failed[0]
            pass_on(signal.SIGTERM, None)
        time.sleep(_TICK_SECONDS)
    return first_failure or next((worker.returncode for worker in workers if worker.returncode), 0)

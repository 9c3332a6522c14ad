"""The process that ends a broker whose test run died without a chance to do so, as by SIGKILL.

Run as a script by apache.py with three arguments: a pidfd of the test run, a pidfd of the broker, and the broker's
directory. It waits for either process to end. If the test run ended first, it kills the broker and deletes the
directory; if the broker did, there is nothing left to do.

Why not PR_SET_PDEATHSIG: that signal follows the *thread* that started the child, so a broker restarted from a helper
thread would die with the thread. Why pidfds: unlike a process id, one can never come to mean another process.
"""

import select
import shutil
import signal
import sys
from contextlib import suppress


def watch(test_run: int, broker: int, directory: str) -> None:
    """Wait for the end of either process, given as pidfds, and clean up after the test run if it was the first."""
    ended, _, _ = select.select([test_run, broker], [], [])
    if test_run not in ended:
        return
    if sys.platform == "linux":  # The only platform with pidfds, said for mypy.
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(broker, signal.SIGKILL)
    select.select([broker], [], [])  # Gone, so that it writes no more into the directory.
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    watch(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])

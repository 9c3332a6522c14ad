"""Run a broker by hand: `python -m tests.kafka` prints its address and keeps it until Ctrl-C or SIGTERM."""

import signal
import sys
from contextlib import suppress

from .choice import find_broker


def main() -> int:
    """Return the exit code: 0 after the stop, 1 without a broker."""
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell starts background jobs with it ignored.
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        choice = find_broker()
        if not choice.available:
            return 1
        with choice.start() as broker:
            sys.stdout.write(f"bootstrap.servers={broker.bootstrap_servers}\n")
            sys.stdout.flush()
            while True:
                signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The entry point: `smart-inventory`, or `python -m consumer`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

OLDEST = (3, 11)
INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line; `run` gets its hash seed first, before anything heavy is imported."""
    if sys.version_info < OLDEST:
        sys.stderr.write(f"smart-inventory: {_too_old()}\n")
        raise SystemExit(2)
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    is_run = command == "run" and "--help" not in sys.argv
    try:
        if is_run:
            from consumer import hash_seed  # noqa: PLC0415

            hash_seed.ensure(os.environ)
        else:
            from consumer import interruption  # noqa: PLC0415

            interruption.watch()
        from consumer.cli import app  # noqa: PLC0415

        app()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:  # before the command line was there to take it
        code = INTERRUPTED
    lost = _flush()
    if is_run or code == INTERRUPTED:
        # At once: what the interpreter tidies away at its end, Kafka's clients, may hang; and after an interrupt that
        # fell into an import it would end itself by SIGINT.
        os._exit(code)
    raise SystemExit(code or lost)


def _flush() -> int:
    """Hand over what was printed; return the exit code of output that nobody took, else 0."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        if isinstance(error, BrokenPipeError):
            return 141
        sys.stderr.write(f"smart-inventory: the output could not be written ({error.strerror}); make room for it\n")
        return 1
    return 0


def _too_old() -> str:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return (
        f"expected Python {'.'.join(map(str, OLDEST))} or newer, found {found} ({sys.executable}); install it into an "
        "environment of such a Python"
    )


if __name__ == "__main__":
    main()

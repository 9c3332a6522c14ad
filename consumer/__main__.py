"""The entry point: `smart-inventory`, or `python -m consumer`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; `run` gets its hash seed first, before anything heavy is imported."""
    if sys.argv[1:2] == ["run"] and "--help" not in sys.argv:
        from consumer import hash_seed  # noqa: PLC0415

        hash_seed.ensure(os.environ)
    from consumer.cli import app  # noqa: PLC0415

    if sys.argv[1:2] != ["run"]:
        app()
        return
    try:
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # at once: what the interpreter tidies away at its end, Kafka's clients, may hang


if __name__ == "__main__":
    main()

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

    app()


if __name__ == "__main__":
    main()

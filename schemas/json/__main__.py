"""Writes the JSON Schemas of the contract into this folder."""

from __future__ import annotations

import sys
from pathlib import Path

from schemas.json_schema import files


def main(directory: Path) -> None:
    """Write the files and name each."""
    for name, text in files().items():
        path = directory / name
        path.write_text(text, encoding="ascii")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(Path(__file__).parent)

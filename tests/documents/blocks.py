"""The fenced blocks of README.md and docs/."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^( *)```(.*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        document: the file's path from the repository's root.
        language: the first word after the opening fence; empty where there is none.
        name: the word after that: a file to save, or what the block is for. Renderers ignore it.
        text: what is between the fences, with a line feed at its end.
        line: the opening fence's, from 1.
    """

    document: str
    language: str
    name: str
    text: str
    line: int

    @property
    def place(self) -> str:
        """Where it is, as compilers write it."""
        return f"{self.document}:{self.line}"

    @property
    def id(self) -> str:
        """What `treatment` knows it by."""
        return f"{self.document}#{self.name}"


def blocks_of(path: Path) -> list[Block]:
    """Return a document's blocks in their order.

    Raises:
        ValueError: a fence is not closed.
    """
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if fence is None:
            lines.append(line)
        elif opened is None:
            language, _, name = fence[2].strip().partition(" ")
            opened, lines = (number, language, name.strip()), []
        else:
            start, language, name = opened
            text = "".join(f"{each}\n" for each in lines)
            found.append(Block(path.relative_to(ROOT).as_posix(), language, name, text, start))
            opened = None
    if opened is not None:
        raise ValueError(f"{path}:{opened[0]}: the fence is not closed")
    return found


def all_blocks() -> list[Block]:
    """Return the blocks of all documents."""
    return [block for path in DOCUMENTS for block in blocks_of(path)]

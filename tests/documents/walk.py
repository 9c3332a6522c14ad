"""A newcomer's walk through the README: its blocks, in terminals, against a broker that only this walk has."""

from __future__ import annotations

import os
import re
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

from tests.documents.blocks import ROOT, Block, blocks_of
from tests.documents.terminal import Terminal
from tests.kafka.broker import free_port

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_ENVIRONMENT: Final = "~/smart-inventory-env"
_OURS: Final = re.compile(r"(KAFKA|CHECKPOINT|INPUT|OUTPUT|MODEL|METRICS|CONSUMER|INSTANCE|DEAD_LETTER)_?|PYTHON")


class Walk:
    """The blocks by name, and what stands for the newcomer's machine.

    Each text is run as it is written, but for what belongs to the machine: the broker's address, two ports, where the
    environment of the install block is made, and the Python that `make test` made.

    Args:
        directory: an empty one.
    """

    def __init__(self, directory: Path) -> None:
        pages = (ROOT / "README.md", ROOT / "docs/operations.md")
        blocks = [block for page in pages for block in blocks_of(page)]
        self.blocks: dict[str, Block] = {block.name: block for block in blocks if block.language != "text"}
        self.outputs: dict[str, str] = {block.name: block.text for block in blocks if block.language == "text"}
        self.walked: list[str] = []
        self.shop = directory / "shop"
        self.shop.mkdir()
        self.installed = directory / "smart-inventory-env"
        self.metrics_port = free_port()
        self._replacements = {
            _ENVIRONMENT: str(self.installed),
            ".venv/bin/python": sys.executable,
            "localhost:8000": f"localhost:{self.metrics_port}",
            "METRICS_PORT=8001": f"METRICS_PORT={free_port()}",
        }
        self._environment = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
        self._environment |= {
            "METRICS_PORT": str(self.metrics_port),
            "COLUMNS": "160",
            "PIPX_HOME": str(directory / "pipx"),
            "PIPX_BIN_DIR": str(directory / "pipx-bin"),
            "PIPX_MAN_DIR": str(directory / "pipx-man"),
        }
        self._terminals = ExitStack()
        self.bootstrap_servers = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._terminals.close()

    def terminal(self, directory: Path | None = None, **variables: str) -> Terminal:
        """Open another terminal, by default in the newcomer's directory."""
        terminal = Terminal(directory or self.shop, self._environment | variables)
        return self._terminals.enter_context(terminal)

    def text(self, name: str) -> str:
        """Return a block's text on this machine, and note that it was walked."""
        self.walked.append(self.blocks[name].id)
        text = self.blocks[name].text
        for written, here in self._replacements.items():
            text = text.replace(written, here)
        return text

    def save(self, name: str) -> None:
        """Save a block under its name in the newcomer's directory."""
        (self.shop / name).write_text(self.text(name), encoding="utf-8")

    def start_broker(self) -> None:
        """Start a broker as the README says, and take its address for the README's."""
        # The broker's own choice: this one is to be the walk's alone, whatever the tests have.
        terminal = self.terminal(ROOT)
        terminal.start(self.text("broker"))
        terminal.wait_for("bootstrap.servers=", 120)
        terminal.wait_for("\n", 10)
        self.bootstrap_servers = re.findall(r"bootstrap\.servers=(\S+)", terminal.output)[0]
        self._replacements["localhost:9092"] = self.bootstrap_servers

    def stand_in_for_install(self) -> None:
        """Let the environment of the tests be the one that the install block makes."""
        binaries = self.installed / "bin"
        binaries.mkdir(parents=True)
        (binaries / "activate").write_text(f"export PATH={os.path.dirname(sys.executable)}:$PATH\n")  # noqa: PTH120 -- unresolved: a venv's Python is a link
        self._environment["PYTHONPATH"] = str(ROOT)

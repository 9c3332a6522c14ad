"""What is done with each fenced block of the documents; a block that is not here fails a test."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.documents.blocks import Block


class Treatment(Enum):
    """How a block is held to the code."""

    WALKED = "run in its place, the effects checked, by tests/broker/test_readme.py"
    WALKED_DEEP = "the same, in the deep test that installs everything anew"
    SAVED = "saved under its name, and used by a block that is walked"
    SAVED_DEEP = "the same, marker deep"
    OPERATED = "run by the same test, once a bad event was refused"
    CHECKED = "read and compared by tests/documents/test_examples.py"
    OUTPUT = "what the block of this name prints, compared where that is walked"
    PICTURE = "text to look at"


DEEP: Final = (Treatment.WALKED_DEEP, Treatment.SAVED_DEEP)
_W, _D, _S, _O, _C = Treatment.WALKED, Treatment.WALKED_DEEP, Treatment.SAVED, Treatment.OPERATED, Treatment.CHECKED

TREATMENTS: Final[Mapping[str, Treatment]] = {
    "README.md#install": _D,
    "README.md#install-pipx": _D,
    "README.md#broker": _W,
    "README.md#topics": _W,
    "README.md#run": _W,
    "README.md#second-terminal": _W,
    "README.md#opening.csv": _S,
    "README.md#import-stock": _W,
    "README.md#send.py": _S,
    "README.md#send-python": _W,
    "README.md#Send.java": _S,
    "README.md#java-jars": _D,
    "README.md#send-java": _W,
    "README.md#send-kcat": _W,
    "README.md#read-kcat": _W,
    "README.md#watch.py": _S,
    "README.md#watch-python": _W,
    "README.md#Watch.java": Treatment.SAVED_DEEP,
    "README.md#watch-java": _D,
    "README.md#shop_models.py": Treatment.SAVED_DEEP,
    "README.md#check-model": _D,
    "README.md#own-model": _D,
    "docs/operations.md#dead-letters-list": _O,
    "docs/operations.md#dead-letters-redrive": _O,
    "docs/contract.md#levels.csv": _C,
    "docs/models.md#smoothed.py": _C,
    "docs/testing.md#test_shop.py": _C,
    "docs/readers.md#prediction": _C,
    "docs/outlook.md#policies.json": _C,
    **{
        f"docs/contract.md#{kind}": _C
        for kind in (
            "sale",
            "return",
            "receipt",
            "transfer_in",
            "transfer_out",
            "waste",
            "adjustment",
            "count",
            "void",
        )
    },
}
"""By document and name."""

NOT_RUN: Final[Mapping[str, str]] = {
    "README.md#try": "`make demo` has tests of its own, `make test` runs this one; that both are targets is tested",
    "docs/operations.md#compose": "it needs a Docker engine; tests/deployment holds the stack to account without one",
    "docs/operations.md#completion": "it would edit the shell's start-up files; tests/unit/test_help.py has completion",
    "docs/evaluate.md#evaluate": "it installs an extra; tests/unit/test_evaluate.py runs the command on a made-up shop",
    "docs/benchmarks.md#bench": "it takes minutes and a quiet machine; tests/broker/test_bench.py runs its parts",
    "docs/benchmarks.md#scale": "likewise; tests/broker/test_scaling.py runs small turns",
    "docs/benchmarks.md#memory": "likewise; tests/broker/test_memory.py runs a small life",
    "docs/latency.md#latency": "likewise; tests/broker/test_latency.py runs one short turn",
    "docs/contributing.md#chaos": "each takes minutes; tests/broker/test_chaos.py runs smaller ones",
}
"""Blocks that no test runs, and why."""


def treatment_of(block: Block) -> Treatment | None:
    """Return what is done with a block; None where nobody has said."""
    if block.language == "text":
        return Treatment.OUTPUT if block.name else Treatment.PICTURE
    return TREATMENTS.get(block.id)

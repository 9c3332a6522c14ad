"""The peers' environments: pinned, apart from this project's own, made once."""

from __future__ import annotations

import ast
import re
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.bench import ROOT
from benchmarks.bench.peers import Peer, PeerUnavailableError
from benchmarks.bench.roster import CONTENDERS

if TYPE_CHECKING:
    from collections.abc import Callable

PEERS = [contender for contender in CONTENDERS if contender.peer is not None]


def test_names_and_labels_are_unique() -> None:
    """A result belongs to one contender."""
    assert len({contender.name for contender in CONTENDERS}) == len(CONTENDERS)
    assert len({contender.label for contender in CONTENDERS}) == len(CONTENDERS)


def test_own_contenders_run_in_this_environment_and_peers_in_theirs() -> None:
    """A peer's packages never enter `.venv`."""
    for contender in CONTENDERS:
        python = Path(contender.command[0])
        assert (contender.peer is None) is (python == Path(sys.executable))
        if contender.peer is not None:
            assert python.is_relative_to(ROOT / ".cache")
            assert contender.peer.version in contender.label


HELD_BACK = {
    "quix": {
        "confluent-kafka",
        "pydantic",
        "pydantic-settings",
        "pydantic_core",
    },  # confluent-kafka<2.13, pydantic<2.14
    "faust": {"click"},  # click<8.4
}
"""What a peer's own requirements keep from having our version."""


@pytest.mark.parametrize("contender", PEERS, ids=lambda contender: contender.name)
def test_a_peer_shares_the_versions_of_what_both_use(contender: object) -> None:
    """The same River and NumPy on both sides, and the same Kafka client where the peer admits it."""
    pins = contender.peer.pins()  # type: ignore[attr-defined]
    ours = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line
    )
    shared = pins.keys() & ours.keys()
    assert {"river", "numpy", "scipy", "msgspec"} <= shared
    assert {"confluent-kafka", "aiokafka"} & pins.keys()
    differing = {name for name in shared if pins[name] != ours[name]}
    assert differing == HELD_BACK.get(contender.peer.name, set())  # type: ignore[attr-defined]


@pytest.mark.parametrize("contender", PEERS, ids=lambda contender: contender.name)
def test_a_peers_module_imports_nothing_of_ours_but_the_stopwatch(contender: object) -> None:
    """Its environment lacks our packages, and its work is written as its own documentation advises."""
    path = ROOT / f"{contender.module.replace('.', '/')}.py"  # type: ignore[attr-defined]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    ours = {module for module in modules if module and re.match(r"(benchmarks|consumer|schemas|tests)\b", module)}
    assert ours == {"benchmarks.bench.stopwatch"}


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Peer, Callable[[int], None], list[list[str]]]:
    """A peer whose installer is the test's: what it was asked for, and a way to set its exit code."""
    asked: list[list[str]] = []
    code = [0]

    class Done:
        def __init__(self) -> None:
            self.returncode = code[0]
            self.stderr = "ERROR: No matching distribution\n  found for bytewax"

    def run(command: list[str], **_: object) -> Done:
        asked.append(command)
        return Done()

    monkeypatch.setattr("benchmarks.bench.peers.subprocess.run", run)
    monkeypatch.setattr(venv, "create", lambda path, **_: path.mkdir(parents=True, exist_ok=True))
    return Peer("bytewax", "bytewax", tmp_path), lambda value: code.__setitem__(0, value), asked


def test_an_environment_is_made_once(
    peer: tuple[Peer, Callable[[int], None], list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And anew when the versions or this Python change."""
    made, _, asked = peer
    made.prepare()
    made.prepare()
    assert len(asked) == 1
    assert asked[0][0] == str(made.python)
    assert "--only-binary" in asked[0]
    assert str(made.requirements) in asked[0]
    monkeypatch.setattr(sys, "version", "another")
    made.prepare()
    assert len(asked) == 2


def test_a_peer_that_cannot_be_installed_says_why(peer: tuple[Peer, Callable[[int], None], list[list[str]]]) -> None:
    """As without a wheel for this Python: the others are measured without it; the next run tries again."""
    failing, fails_with, asked = peer
    fails_with(1)
    with pytest.raises(PeerUnavailableError, match=r"bytewax [\d.]+ could not be installed: ERROR: No matching distr"):
        failing.prepare()
    fails_with(0)
    failing.prepare()
    assert len(asked) == 2

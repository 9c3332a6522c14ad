"""The fixed hash seed: the same after every restart, another for another group or key, and paid for once."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from hypothesis import given
from hypothesis import strategies as st

from consumer import hash_seed
from consumer.hash_seed import derive, ensure
from tests.stage import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SCRIPT: Final = """
import os, sys
with open(sys.argv[1], "a") as starts:
    starts.write(f"{os.getpid()}\\n")
from consumer import hash_seed
hash_seed.ensure(os.environ)
print(hash("x"), list({"quantity", "month", "year"}), sys.argv[2:], os.environ["PYTHONHASHSEED"])
"""


def started(tmp_path: Path, seed: str | None, **variables: str) -> tuple[str, list[str]]:
    """Run a process that ensures its seed; return what it printed, and the process ids that it started under."""
    environment = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONHASHSEED", "CONSUMER_GROUP"}
    }
    if seed is not None:
        environment["PYTHONHASHSEED"] = seed
    starts = tmp_path / "starts"
    starts.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(starts), "--an", "argument with blanks"],
        env=environment | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout, starts.read_text().split()


def test_derived_seeds_are_pinned() -> None:
    """Another seed after an upgrade would refuse every committed state: these values never change."""
    assert derive("smart-inventory", "") == "398684137"
    assert derive("smart-inventory", "k") == "2180619021"
    assert derive("g", "") == "2029622211"


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_seeds_are_stable_and_in_range(group: str, key: str) -> None:
    """Any group and key give a seed that Python takes, the same each time."""
    seed = derive(group, key)
    assert derive(group, key) == seed
    assert 0 <= int(seed) < 2**32
    assert seed == str(int(seed))


def test_seeds_differ_by_group_and_by_key() -> None:
    """Hash collisions crafted against one group do not fit another, and a key makes them unknown."""
    pairs = [(f"group-{number}", key) for number in range(50) for key in ("", "a", "b")]
    assert len({derive(*pair) for pair in pairs}) == len(pairs)
    assert derive("a", "b") != derive("ab", "")


def test_every_start_runs_under_the_same_seed(tmp_path: Path) -> None:
    """Whatever seed the process was started with, strings hash the same; it replaces itself once, under its own pid."""
    outputs = set()
    for seed in ("1", "2", "random", None):
        output, starts = started(tmp_path, seed)
        outputs.add(output)
        assert len(starts) == 2
        assert len(set(starts)) == 1
    (output,) = outputs
    assert output.endswith(f"['--an', 'argument with blanks'] {derive('smart-inventory', '')}\n")


def test_the_right_seed_costs_no_second_start(tmp_path: Path) -> None:
    """A process that runs under its seed already goes on as it is: no endless replacing."""
    output, starts = started(tmp_path, derive("g", "k"), CONSUMER_GROUP="g", CHECKPOINT_SIGNING_KEY="k")
    assert len(starts) == 1
    assert output.endswith(f" {derive('g', 'k')}\n")


def test_group_and_key_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed is the one of CONSUMER_GROUP and CHECKPOINT_SIGNING_KEY; an empty one is an unset one."""
    replaced: list[str] = []
    monkeypatch.setattr(os, "execv", lambda _program, _arguments: replaced.append(os.environ[hash_seed.VARIABLE]))
    monkeypatch.setenv(hash_seed.VARIABLE, "0")
    for environment in (
        {},
        {"CONSUMER_GROUP": "", "CHECKPOINT_SIGNING_KEY": ""},
        {"CONSUMER_GROUP": "g"},
        {"CONSUMER_GROUP": "g", "CHECKPOINT_SIGNING_KEY": "k"},
        {"CHECKPOINT_SIGNING_KEY": "k"},
    ):
        ensure(environment)
    assert replaced == [
        derive("smart-inventory", ""),
        derive("smart-inventory", ""),
        derive("g", ""),
        derive("g", "k"),
        derive("smart-inventory", "k"),
    ]


def test_the_process_is_replaced_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interpreter options and arguments are kept as they were given."""
    replaced: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: replaced.append((program, arguments)))
    monkeypatch.setenv(hash_seed.VARIABLE, "0")
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "-m", "consumer", "run", "--stop-at-end"])
    ensure({})
    assert replaced == [(sys.executable, [sys.executable, "-X", "dev", "-m", "consumer", "run", "--stop-at-end"])]

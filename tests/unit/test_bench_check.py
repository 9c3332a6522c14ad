"""`make bench-check`: ratios against recorded ones."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from benchmarks.bench import check
from benchmarks.bench.arena import ContenderError
from benchmarks.bench.check import LEAST_SHARE, MOST_ROUNDS, ROUNDS, WATCHED, main, ratios_of, report
from benchmarks.bench.roster import BARE, GUARDED, REPLAY
from tests.canned_bench import RATES, run_at
from tests.canned_bench import round_at as canned_round

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.bench.arena import Run
    from benchmarks.bench.roster import Contender
    from benchmarks.bench.rounds import Round


def round_at(speed: float, **slow: float) -> Round:
    """A round at a speed; some of its contenders at another one, by their names with `_`."""
    rates = {name: rate * slow.get(name.replace("-", "_"), 1.0) for name, rate in RATES.items()}
    return canned_round(speed, rates)


def expected(**shares: float) -> dict[str, Any]:
    """The ratios of undisturbed rounds, times these."""
    return {
        each.name: pytest.approx(RATES[each.name] / RATES["bare"] * shares.get(each.name, 1.0), abs=1e-3)
        for each in WATCHED
    }


def test_of_each_its_best_counts() -> None:
    """What else runs only takes time: from the bare loop in one round, from a worker in another."""
    disturbed = [round_at(1.0, bare=0.5), round_at(1.0, replay=0.3, worker_guarded_exactly_once=0.5), round_at(0.1)]
    assert ratios_of(disturbed) == expected()


@pytest.mark.parametrize(("share", "code"), [(1.3, 0), (LEAST_SHARE + 0.01, 0), (LEAST_SHARE - 0.01, 1)])
def test_a_fifth_slower_is_red(share: float, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Each ratio is printed beside what was recorded and what it must be."""
    recorded = {each.name: 1.0 for each in WATCHED}
    ratios = recorded | {WATCHED[-1].name: share}
    assert report(ratios, recorded) == code
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(WATCHED)
    assert lines[-1].endswith("SLOWER" if code else "ok")


class Machine:
    """Takes turns at given shares of the canned rates; the arena and its broker in one."""

    available = True

    def __init__(self, *shares: Mapping[str, float]) -> None:
        self.shares = list(shares)
        self.turns: list[str] = []

    def start(self, **_: Any) -> Any:
        return nullcontext(SimpleNamespace(bootstrap_servers="nowhere"))

    def turn(self, contender: Contender) -> Run:
        self.turns.append(contender.name)
        number = self.turns[1:].count(contender.name) - 1  # the first turn of all does not count
        shares = self.shares[min(max(0, number), len(self.shares) - 1)]
        return run_at(RATES[contender.name] * shares.get(contender.name, 1.0))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where ratios are recorded; nothing is there yet."""
    path = tmp_path / "bench-check.json"
    monkeypatch.setattr(check, "RECORDED", path)
    monkeypatch.setattr(check, "_LOAD", "pass")
    return path


def run_on(machine: Machine, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command on this machine."""
    monkeypatch.setattr(check, "find_broker", lambda: machine)
    monkeypatch.setattr(check, "valid_transactions", lambda _number: ())
    monkeypatch.setattr(check, "Arena", lambda *_arguments, **_named: machine)
    return main(arguments)


def test_it_is_recorded_and_held_to(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As fast as was recorded is green after the usual rounds, the first turn not counted."""
    assert run_on(Machine({}), monkeypatch, "--record") == 0
    found = msgspec.json.decode(recorded.read_bytes(), type=check.Recorded)
    assert found.ratios == expected()
    assert len(found.rounds) == ROUNDS
    machine = Machine({})
    assert run_on(machine, monkeypatch) == 0
    assert len(machine.turns) == 1 + ROUNDS * len(check.CONTENDERS)
    assert machine.turns[0] == REPLAY.name


def test_a_noisy_machine_gets_more_rounds(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until one is good enough; a worker that is slower in all of them is slower."""
    assert run_on(Machine({}), monkeypatch, "--record") == 0
    slow = {GUARDED.name: LEAST_SHARE - 0.05}
    machine = Machine(*[slow] * ROUNDS, {})
    assert run_on(machine, monkeypatch) == 0
    assert machine.turns.count(BARE.name) == ROUNDS + 1
    machine = Machine(slow)
    assert run_on(machine, monkeypatch) == 1
    assert machine.turns.count(BARE.name) == MOST_ROUNDS
    assert recorded.exists()


def test_other_work_is_red(recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that fails, or does not do what it is timed for, is as fast as it likes."""

    class Failing(Machine):
        def turn(self, contender: Contender) -> Run:
            raise ContenderError(f"{contender.label} ended with 1")

    assert run_on(Failing({}), monkeypatch, "--record") == 1
    assert "ended with 1" in capsys.readouterr().err
    assert not recorded.exists()


@pytest.mark.parametrize(
    "content", [None, b'{"provenance": {}, "ratios": {"worker-linear-exactly-once": 1.0}, "rounds": []}']
)
def test_nothing_recorded_is_told(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    """With the command that records; so is what was recorded of others."""
    if content is not None:
        recorded.write_bytes(content)
    assert run_on(Machine({}), monkeypatch) == 2
    assert "make bench-check RECORD=1" in capsys.readouterr().err

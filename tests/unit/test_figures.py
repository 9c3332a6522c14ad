"""The demonstrations' report: a missed bound is a failure, and the numbers say what they were measured on."""

from __future__ import annotations

import importlib
import json
import os
import platform
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import figures, show
from benchmarks.figures import Figure, Report
from tests.kafka import BrokerChoice

if TYPE_CHECKING:
    from pathlib import Path

NAN = float("nan")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where reports go during a test."""
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("figure", "is_met"),
    [
        (Figure("differences", 0, "=", 0), True),
        (Figure("differences", 1, "=", 0), False),
        (Figure("seconds", 5.0, "<=", 5.0), True),
        (Figure("seconds", 5.001, "<=", 5.0), False),
        (Figure("records/s", 5.0, ">=", 5.0), True),
        (Figure("records/s", 4.999, ">=", 5.0), False),
        (Figure("records", 1, ">", 0), True),
        (Figure("records", 0, ">", 0), False),
        (Figure("stated", 1e9), True),
        *((Figure("not a number", NAN, relation, 0), False) for relation in ("=", "<=", ">=", ">")),
    ],
)
def test_a_figure_against_its_bound(figure: Figure, is_met: bool) -> None:
    """Each relation holds exactly at its bound or exactly not; no number at all meets none."""
    assert figure.is_met is is_met


def test_one_missed_bound_misses_the_report() -> None:
    """Many met bounds do not outweigh a missed one."""
    report = Report("x", 0, [Figure("a", 1, "=", 1), Figure("b", 1, "=", 2), Figure("c", 1, ">", 0)])
    assert not report.is_met
    report.figures[1] = Figure("b", 2, "=", 2)
    assert report.is_met


def test_a_report_without_a_bound_is_not_met() -> None:
    """A demonstration that holds itself to nothing shows nothing."""
    assert not Report("x", 0).is_met
    assert not Report("x", 0, [Figure("a", 1), Figure("b", 2)]).is_met


def test_a_forgotten_bound_is_not_met() -> None:
    """A figure that must be at most nothing in particular is a mistake of the demonstration."""
    assert not Report("x", 0, [Figure("a", 1, "<=")]).is_met


def test_the_report_says_what_it_was_measured_on(results: Path) -> None:
    """Commit, machine, seed, duration and counts stand beside the figures: a number without them is hearsay."""
    report = Report("a-name", seed=7)
    report.add(Figure("records", 3, ">", 0))
    report.add(Figure("differences", 1, "=", 0))
    report.counts["records"] = {"sent": 3}
    path = report.write()
    assert path == results / "a-name.json"
    content: dict[str, Any] = json.loads(path.read_text())
    assert (content["name"], content["seed"], content["is_met"]) == ("a-name", 7, False)
    assert content["counts"] == {"records": {"sent": 3}}
    assert [(figure["what"], figure["value"], figure["is_met"]) for figure in content["figures"]] == [
        ("records", 3, True),
        ("differences", 1, False),
    ]
    assert (content["figures"][1]["relation"], content["figures"][1]["bound"]) == ("=", 0)
    assert content["machine"]["cores"] == os.cpu_count()
    assert content["machine"]["python"] == platform.python_version()
    assert {"cpu", "system", "river", "confluent-kafka"} <= set(content["machine"])
    assert 0 <= content["seconds"] < 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", content["started"])


def test_a_run_that_claims_nothing_leaves_the_results_alone(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shorter run than the one that is asked for is written aside."""
    monkeypatch.setattr(figures, "CACHE", tmp_path / "aside")
    report = Report("x", 0, is_claimed=False)
    assert report.write() == tmp_path / "aside" / "x.json"
    assert not results.exists()
    assert [path.name for path in (tmp_path / "aside").iterdir()] == ["x.json"]


def test_the_report_names_the_commit(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result belongs to a commit, and says whether what ran was that commit: results themselves do not count."""
    repository = tmp_path / "repository"
    (repository / "benchmarks" / "results").mkdir(parents=True)
    code, result = repository / "code.py", repository / "benchmarks" / "results" / "x.json"
    code.write_text("1")
    result.write_text("1")
    git = ["git", "-C", str(repository), "-c", "user.name=n", "-c", "user.email=e"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "m", "--no-gpg-sign"]):
        subprocess.run([*git, *arguments], check=True, timeout=30)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, timeout=30, capture_output=True, text=True).stdout
    monkeypatch.chdir(repository)

    def written() -> tuple[str, bool]:
        content = json.loads(Report("x", 0).write().read_text())
        return content["commit"], content["is_clean"]

    assert written() == (head.strip(), True)
    result.write_text("2")
    assert written() == (head.strip(), True)
    code.write_text("2")
    assert written() == (head.strip(), False)
    assert (results / "x.json").exists()


def test_figures_are_printed_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    """A demonstration may run for minutes: each figure is shown at once."""
    report = Report("x", 0)
    report.add(Figure("records", 1234567))
    report.add(Figure("seconds", 1.5))
    assert capsys.readouterr().out == "  records: 1,234,567\n  seconds: 1.500\n"


def test_the_table_shows_what_was_missed(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads the table sees which bound was missed, and the bound."""
    report = Report("x", 0, [Figure("good", 1, "=", 1), Figure("bad", 2, "<=", 1)])
    report.show()
    shown = capsys.readouterr().out
    assert "A BOUND IS MISSED" in shown
    (missed,) = (line for line in shown.splitlines() if "MISSED" in line and "BOUND" not in line)
    assert "bad" in missed
    assert "<= 1" in missed
    report.figures.pop()
    report.show()
    assert "MISSED" not in capsys.readouterr().out


# make show


def test_show_lists_the_demonstrations(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name, each demonstration is listed with how to run it and what it shows."""
    monkeypatch.setattr(sys, "argv", ["show"])
    assert show.main() == 0
    listed = capsys.readouterr().out
    assert len(listed.splitlines()) == len(show.DEMONSTRATIONS)
    for name, meaning in show.DEMONSTRATIONS.items():
        assert re.search(rf"make show NAME={name}\s+{re.escape(meaning)}", listed)


def test_show_refuses_an_unknown_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt name is answered with the ones there are, and code 2."""
    monkeypatch.setattr(sys, "argv", ["show", "kil"])
    assert show.main() == 2
    assert "expected one of bit-for-bit, bit-for-bit-fast, kill" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(show.DEMONSTRATIONS))
def test_every_listed_demonstration_exists(name: str) -> None:
    """What is listed can be run, under a fixed seed."""
    module = importlib.import_module(f"benchmarks.demonstrations.{name.replace('-', '_')}")
    assert isinstance(module.SEED, int)
    assert callable(module.demonstrate)


class Demonstration:
    """A demonstration of one met bound, which remembers what it was given."""

    SEED = 7

    def __init__(self, *, needs_broker: bool) -> None:
        self.NEEDS_BROKER = needs_broker
        self.given: list[object] = []

    def demonstrate(self, report: Report, broker: object, directory: Path) -> None:
        self.given = [broker, directory.is_dir()]
        report.add(Figure("differences", 0, "=", 0))


@pytest.mark.parametrize("needs_broker", [False, True])
def test_show_starts_a_broker_only_where_one_is_needed(
    results: Path, needs_broker: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A demonstration with `NEEDS_BROKER = False` runs on a machine without any; another one says what is missing."""
    demonstration = Demonstration(needs_broker=needs_broker)
    unavailable = BrokerChoice("unavailable", "this machine has neither")
    monkeypatch.setattr(show, "find_broker", lambda: unavailable)
    monkeypatch.setattr(importlib, "import_module", lambda _name: demonstration)
    monkeypatch.setattr(sys, "argv", ["show", "kill"])
    monkeypatch.chdir(results.parent)
    assert show.main() == (2 if needs_broker else 0)
    assert demonstration.given == ([] if needs_broker else [None, True])
    assert ("this machine has neither" in capsys.readouterr().err) is needs_broker

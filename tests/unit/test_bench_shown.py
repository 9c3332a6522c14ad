"""What a benchmark shows: table, plot, JSON, the documentation's block; and when it refuses to run."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from benchmarks.bench import ROOT, __main__, files
from benchmarks.bench.files import CLAIMED, Places, block, with_block, write
from benchmarks.bench.outcome import Outcome
from benchmarks.bench.peers import FAUST
from benchmarks.bench.plot import plot
from benchmarks.bench.progress import Shown
from benchmarks.bench.roster import CONTENDERS, LINEAR
from benchmarks.bench.rounds import Round
from benchmarks.bench.table import markdown, table
from benchmarks.bench.verification import VerificationError
from tests.canned_bench import BUSY, QUIET, RATES, outcome, round_at, run_at
from tests.kafka import BrokerChoice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE = """# Title

<!-- Written by make bench; edits are lost. -->
old
<!-- The end of what make bench writes. -->

end
"""


def printed(found: Outcome, *, width: int, is_plain: bool) -> list[str]:
    """The table's lines on a console of this width."""
    console = Console(file=io.StringIO(), width=width, force_terminal=not is_plain, color_system=None)
    console.print(table(found, is_plain=is_plain))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_has_every_contender_and_cuts_nothing(width: int) -> None:
    """Also on a terminal of 80 columns each number stands whole, one line a contender."""
    lines = printed(outcome(), width=width, is_plain=False)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    assert any("500,000 real stock transactions, 4 partitions, medians of 3 rounds" in line for line in lines)
    (line,) = (line for line in lines if "worker linear, exactly once" in line)
    assert line.split()[-5:] == ["60,000", "30%", "0.60", "16.7", "200"]
    for contender in CONTENDERS:
        assert sum(line.lstrip().startswith(contender.label) for line in lines) == 1


def test_whoever_took_fewer_events_is_marked(tmp_path: Path) -> None:
    """In the table, on the page and in the plot: a star, and how many they were; no star where all took everything."""
    note = f"Faust {FAUST.version}, at least once: the first 50,000 events only"
    lines = printed(outcome(), width=80, is_plain=False)
    (line,) = (line for line in lines if f"Faust {FAUST.version}, at least once *" in line)
    assert line.split()[-5:] == ["2,000", "30%", "0.02", "500.0", "200"]
    assert any(line.strip() == f"* {note}" for line in lines)
    text = markdown(outcome())
    assert f"| Faust {FAUST.version}, at least once * | 2,000 |" in text
    assert text.endswith(f"\n\n\\* {note}.")
    plot(outcome(), tmp_path / "bench.svg")
    assert note in (tmp_path / "bench.svg").read_text()
    all_of_them = outcome([Round({name: run_at(rate) for name, rate in RATES.items()})] * 3)
    assert not any("*" in line for line in [*printed(all_of_them, width=80, is_plain=False), markdown(all_of_them)])


def test_in_a_pipe_the_table_is_plain() -> None:
    """ASCII, no escape codes, one line a contender: what `grep` and a log can take."""
    text = "\n".join(printed(outcome(), width=120, is_plain=True)).replace("µ", "u")
    assert text.isascii()
    assert "\x1b" not in text
    assert "CPU us/event | peak MB |" in text


def test_the_documentation_has_the_same_table() -> None:
    """With the machine and the commit below it."""
    text = markdown(outcome())
    assert "| worker linear, exactly once | 60,000 | 30% | 0.60 | 16.7 | 200 |" in text
    machine = "2 cores (a processor), Python 3.11.7, broker included; 2026-11-24, commit 0123456789ab."
    assert machine in text.splitlines()[-3]


def test_the_plot_shows_each_contender_with_its_ratio(tmp_path: Path) -> None:
    """Labelled axes with units, each contender's rate and ratio as text, well-formed, the same file each time."""
    path = tmp_path / "made" / "bench.svg"
    plot(outcome(), path)
    text = "".join(ET.fromstring(path.read_text()).itertext())  # noqa: S314 -- our own
    for contender in CONTENDERS:
        assert contender.label in text
    assert "60,000" in text
    assert "(0.60x)" in text
    assert "events per second" in text
    assert "multiple of the bare River loop" in text
    first = path.read_bytes()
    plot(outcome(), path)
    assert path.read_bytes() == first
    plot(outcome([round_at(1.1)] * 3), path)
    assert path.read_bytes() != first


@pytest.fixture
def places(tmp_path: Path) -> tuple[Places, Places]:
    """Where claimed and unclaimed files go during a test."""
    page = tmp_path / "benchmarks.md"
    page.write_text(PAGE)
    claimed = Places(tmp_path / "results" / "bench.json", tmp_path / "images" / "bench.svg", page)
    return claimed, Places(tmp_path / "aside" / "bench.json", tmp_path / "aside" / "bench.svg", None)


def test_what_may_be_claimed_is_written_into_the_repository(places: tuple[Places, Places]) -> None:
    """JSON, plot and the page's block, and nothing else of the page."""
    claimed, aside = places
    assert claimed.page is not None
    (line,) = write(outcome(), claimed=claimed, unclaimed=aside)
    assert line.startswith("written: ")
    content = json.loads(claimed.results.read_text())
    assert content["provenance"]["commit"] == "0123456789abcdef"
    assert content["rounds"][1]["runs"]["bytewax"]["events"] == 500_000
    assert content["calibrations"][0] == {"rate": 1000.0, "share": 1.0, "load": 0.1}
    assert msgspec.json.decode(claimed.results.read_bytes(), type=Outcome) == outcome()
    page = claimed.page.read_text()
    assert page == with_block(PAGE, block(outcome()))
    assert page.startswith("# Title\n")
    assert page.endswith("\n\nend\n")
    assert "old" not in page
    assert "(images/bench.svg)" in page
    assert claimed.picture.exists()
    assert not aside.results.exists()


def test_what_may_not_be_claimed_goes_aside(places: tuple[Places, Places]) -> None:
    """Figures of a busy machine never end up in a commit by accident; each reason is said."""
    claimed, aside = places
    lines = write(outcome(at_start=BUSY, events=1000), claimed=claimed, unclaimed=aside)
    assert [line.split(":")[0] for line in lines] == ["not to be claimed", "not to be claimed", "written"]
    assert not claimed.results.exists()
    assert claimed.page is not None
    assert claimed.page.read_text() == PAGE
    assert aside.results.exists()
    assert aside.picture.exists()


def test_a_flagged_round_is_named(places: tuple[Places, Places]) -> None:
    """Whoever reads the table knows what is not in it."""
    rounds = [round_at(1.0)] * 4
    lines = write(outcome(rounds, [BUSY, QUIET, QUIET, QUIET, QUIET]), claimed=places[0], unclaimed=places[1])
    assert lines[0] == "round 1 lies far off, see the calibrations; it is left out"
    assert places[0].results.exists()


@pytest.mark.parametrize("page", ["no block", PAGE + PAGE])
def test_a_page_without_exactly_one_block_is_refused(page: str) -> None:
    """Rather than losing the table, or text between two blocks."""
    with pytest.raises(ValueError, match="expected one block"):
        with_block(page, "new")


def test_the_page_shows_the_results_that_are_there() -> None:
    """The committed page is what the committed JSON makes of it, or says that nothing was measured."""
    assert CLAIMED.page is not None
    page = CLAIMED.page.read_text(encoding="utf-8")
    if not CLAIMED.results.exists():
        assert "\nNot measured yet.\n" in page
        assert not CLAIMED.picture.exists()
        return
    found = msgspec.json.decode(CLAIMED.results.read_bytes(), type=Outcome)
    assert with_block(page, block(found)) == page
    assert found.doubts() == []
    assert CLAIMED.picture.exists()


def test_the_page_names_every_command_and_bound() -> None:
    """The page and the code say the same."""
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert "`make bench`" in page
    assert re.search(r"at\s+least 500,000 events", page)
    assert "at least 3 rounds" in page
    assert "on 4 partitions" in page


# Progress


def test_in_a_pipe_progress_is_a_line_a_turn() -> None:
    """With the time left; no bar, no escape codes."""
    console = Console(file=io.StringIO(), width=60)
    with Shown(2, 1, console) as shown:
        shown.phase("sending 5 events")
        shown.begins(0, LINEAR, 61.0)
        shown.ended(0, LINEAR, run_at(1234))
    assert isinstance(console.file, io.StringIO)
    sending, turn = console.file.getvalue().splitlines()
    assert sending == "sending 5 events"
    assert turn == "round 1 of 1  worker linear, exactly once              1,234 events/s  1:01 left"


# The command


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set what the command finds: how quiet the machine is, whether there is a broker, what it measures."""

    def found(*, calibration: object = QUIET, kind: str = "apache", measured: object = None) -> None:
        def measure(*_: object, **__: object) -> object:
            if isinstance(measured, BaseException):
                raise measured
            return measured

        monkeypatch.setattr(__main__, "calibrate", lambda: calibration)
        monkeypatch.setattr(__main__, "find_broker", lambda: BrokerChoice(kind, "as the test says"))  # type: ignore[arg-type]
        monkeypatch.setattr(__main__, "_measure", measure)

    return found


def test_a_busy_machine_is_refused(machine: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started, with what was found and what to do."""
    machine(calibration=BUSY, measured=AssertionError("it ran"))
    assert __main__.main([]) == 2
    told = capsys.readouterr().err
    assert "the machine was not quiet: its cores gave a spin loop 50% of their time, expected at least 95%" in told
    assert "ANYWAY=1" in told


def test_anyway_measures_and_shows(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a busy machine the table is shown, and the reason why it claims nothing."""
    written: list[Outcome] = []

    def write_nothing(found: Outcome) -> list[str]:
        written.append(found)
        return ["not to be claimed: x"]

    monkeypatch.setattr(__main__, "write", write_nothing)
    machine(calibration=BUSY, measured=outcome(at_start=BUSY))
    assert __main__.main(["--anyway"]) == 0
    assert written == [outcome(at_start=BUSY)]
    told = capsys.readouterr()
    assert "worker guarded, at least once" in told.out
    assert "not to be claimed: x" in told.out
    assert "not quiet" in told.err


def test_without_a_broker_it_says_what_is_missing(
    machine: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """And runs nothing."""
    machine(kind="unavailable", measured=AssertionError("it ran"))
    assert __main__.main([]) == 2
    assert "make bench needs a real broker: " in capsys.readouterr().err


def test_a_contender_that_did_other_work_fails_the_run(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, the one sentence, no table and no file."""
    monkeypatch.setattr(files, "plot", AssertionError)
    machine(measured=VerificationError("swift: expected 5 predictions, found 4"))
    assert __main__.main([]) == 1
    told = capsys.readouterr()
    assert told.err == "swift: expected 5 predictions, found 4\n"
    assert told.out == ""


@pytest.mark.parametrize("option", ["--events=abc", "--events=999", "--events=-5", "--rounds=0", "--rounds=1.5"])
def test_a_number_that_is_none_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Named, with what was expected."""
    with pytest.raises(SystemExit) as end:
        __main__.main([option])
    assert end.value.code == 2
    assert "expected a whole number of at least" in capsys.readouterr().err

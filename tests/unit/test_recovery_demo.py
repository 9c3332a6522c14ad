"""`make demo-recovery`: the verdict follows from the counts; the plan, the views and the command."""

from __future__ import annotations

import io
import json
import random
import re
import signal
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from benchmarks.recovery_demo import __main__ as command
from benchmarks.recovery_demo import views
from benchmarks.recovery_demo.board import Moment, Phase, Rate, Snapshot, Tally
from benchmarks.recovery_demo.comparison import Counts
from benchmarks.recovery_demo.life import Life
from benchmarks.recovery_demo.live import LiveView, ending
from benchmarks.recovery_demo.plan import Aim, plan, share_done
from benchmarks.recovery_demo.summary import Summary
from benchmarks.recovery_demo.views import JsonView, PlainView
from consumer.errors import ExitCode
from tests.kafka import BrokerChoice


def snapshot(**changes: Any) -> Snapshot:
    made = Snapshot(
        seconds=55.0,
        seconds_left=3.0,
        share_done=0.9,
        kills=2,
        kills_planned=2,
        state="worker 3 predicts",
        checkpoints={0: 23_446, 1: 24_198, 2: 33_320, 3: 27_436},
        records=108_400,
        repeats=998,
        records_per_second=2_000.0,
        seen_per_second=1_980.0,
        lag=398,
        counts={"prediction": Counts(equal=106_312), "dead_letter": Counts(equal=1_090)},
    )
    return replace(made, **changes)


def tally(**changes: Any) -> Tally:
    made = Tally(
        kills_planned=2,
        kills=Counter({Phase.PREDICTING: 1, Phase.REPLAYING: 1}),
        seconds_to_first=[1.8, 2.3],
        replays=[7_767],
        checkpoints=65,
        exit_code=0,
    )
    return replace(made, **changes)


def test_zeros_and_all_kills_pass() -> None:
    """Exit code 0, and it says what was shown and what was not."""
    summary = Summary(tally(), snapshot(), seed=7)
    assert (summary.exit_code, summary.shortcomings) == (0, [])
    assert summary.verdict == "PASSED: 2 kills, and nothing was lost, doubled or differing."
    for word in ("\n  shown:", "\n  not shown:", "one worker on one machine", "seed 7", "1 while it replayed"):
        assert word in summary.text()


def counted(kind: str, **changes: int) -> Snapshot:
    counts = snapshot().counts
    return snapshot(counts={**counts, kind: replace(counts[kind], **changes)})  # type: ignore[index]


@pytest.mark.parametrize(
    ("told", "at_end", "said"),
    [
        (tally(), counted("prediction", lost=1), "1 lost, 0 doubled, 0 differing"),
        (tally(), counted("prediction", doubled=1), "0 lost, 1 doubled, 0 differing"),
        (tally(), counted("dead_letter", differing=1), "0 lost, 0 doubled, 1 differing"),
        (tally(), counted("prediction", equal=0), "not one prediction was seen and right"),
        (tally(), counted("dead_letter", equal=0), "not one dead letter was seen and right"),
        (tally(), snapshot(repeats=0), "no event was repeated"),
        (tally(kills=Counter({Phase.LIVE: 1})), snapshot(), "1 of 2 kills were done"),
        (tally(exit_code=7), snapshot(), "ended with 7"),
        (tally(exit_code=None), snapshot(), "ended with None"),
        (tally(exit_code=None, trouble="waited in vain"), snapshot(repeats=0), "FAILED: waited in vain."),
        (tally(is_interrupted=True), counted("prediction", lost=1), "1 lost"),
    ],
)
def test_anything_less_fails(told: Tally, at_end: Snapshot, said: str) -> None:
    """One lost, one kill too few, nothing compared, a bad end: exit code 1, and the verdict names it."""
    summary = Summary(told, at_end, seed=7)
    assert summary.exit_code == 1
    assert summary.verdict.startswith("FAILED: ")
    assert said in summary.verdict
    assert "shown:" not in summary.text()


def test_interrupted_is_no_verdict() -> None:
    """Ctrl-C ends with 130 and claims nothing."""
    summary = Summary(tally(is_interrupted=True, exit_code=None, kills_planned=20), snapshot(), seed=7)
    assert summary.exit_code == 130
    assert summary.verdict == "NO VERDICT: interrupted after 2 of 20 kills, nothing wrong so far."


# --- the plan, and what is seen of a worker -------------------------------------------------------------------------


def test_the_seed_gives_the_plan() -> None:
    """The same seed, the same aims; twenty kills have every aim, and the first has something to come back to."""
    aims = plan(20, random.Random(1))
    assert aims == plan(20, random.Random(1)) != plan(20, random.Random(2))
    assert aims[0] is Aim.STREAM
    assert set(aims) == set(Aim)
    assert len(aims) == 20
    assert plan(1, random.Random(1)) == [Aim.STREAM]
    assert 0 == share_done(aims, 0) < share_done(aims, 10) < share_done(aims, 20) < 1


class ScriptedWorker:
    """A worker process whose log is what the test says."""

    def __init__(self) -> None:
        self.started_at = 0.0
        self.log: list[dict[str, Any]] = []

    def events(self) -> list[dict[str, Any]]:
        return self.log


def test_phases_follow_the_log() -> None:
    """From the start over the replay to the first prediction, with how much is replayed."""
    worker = ScriptedWorker()
    life = Life(2, worker, 2, {0: 50, 1: 9})  # type: ignore[arg-type]  # all that it asks for

    def say(event: str, partition: int, **fields: int) -> None:
        worker.log.append({"event": event, "partition": partition, **fields})
        assert list(life.follow()) == [worker.log[-1]]

    phases = [life.phase]
    say("checkpoint_restored", 0, offset=20, committed_offset=50)
    assert not life.is_restored
    phases.append(life.phase)
    say("checkpoint_restored", 1, offset=9, committed_offset=9)
    say("partition_live", 1, offset=9)
    assert (life.is_restored, life.replayed) == (True, 30)
    phases.append(life.phase)
    say("partition_live", 0, offset=50)
    assert (life.replayed, life.replays) == (30, {0: (20, 50)})
    phases.append(life.phase)
    life.first_after = 1.5
    phases.append(life.phase)
    assert phases == [Phase.STARTING, Phase.REPLAYING, Phase.REPLAYING, Phase.LIVE, Phase.PREDICTING]
    assert list(life.follow()) == []


def test_a_rate_is_of_the_last_seconds() -> None:
    """A number that stands still comes down to 0 within seconds."""
    rate = Rate()
    assert rate.update(0.0, 0) == 0.0
    assert rate.update(1.0, 2_000) == 2_000.0
    for second in range(2, 6):
        last = rate.update(float(second), 2_000)
    assert last == 0.0


# --- the views ------------------------------------------------------------------------------------------------------

KILL = Moment(12.345, "kill", "kill 2 of 2: while it replayed 7,767 records, 1.9 s old", {"number": 2}, "kill")


def test_plain_lines_have_no_escape_codes() -> None:
    """A pipe gets a line for each moment and the counts every five seconds."""
    out = io.StringIO()
    with PlainView(out) as view:
        view.show(KILL)
        for tenth in range(100):
            view.update(snapshot(seconds=tenth / 10))
        view.close(Summary(tally(), snapshot(), seed=7))
    text = out.getvalue()
    assert "\x1b" not in text
    assert "  12.3 s  kill 2 of 2: while it replayed 7,767 records, 1.9 s old\n" in text
    assert text.count("107,402 equal, 0 lost, 0 doubled, 0 differing; lag 398; 2,000 events/s in") == 2
    assert "PASSED" in text


def test_json_is_one_object_a_line() -> None:
    """Every line parses, names its event and its time; the summary has the exit code."""
    out = io.StringIO()
    with JsonView(out) as view:
        view.show(KILL)
        view.update(snapshot())
        view.close(Summary(tally(), counted("prediction", lost=3), seed=7))
    kill, counts, end = map(json.loads, out.getvalue().splitlines())
    assert (kill["event"], kill["seconds"], kill["number"]) == ("kill", 12.345, 2)
    assert (counts["event"], counts["counts"]["prediction"]["equal"]) == ("counts", 106_312)
    assert (end["event"], end["exit_code"], end["counts"]["prediction"]["lost"]) == ("summary", 1, 3)


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("lost", [0, 12])
def test_the_picture_fits_the_terminal(width: int, lost: int) -> None:
    """No line is too wide, none too many, and the numbers are all there; what is not 0 stands out in red."""
    console = Console(
        file=io.StringIO(), width=width, height=24, force_terminal=True, color_system="standard", legacy_windows=False
    )
    view = LiveView(console)
    for _ in range(50):
        view.show(KILL)
    picture = view.picture(counted("prediction", lost=lost))
    with console.capture() as capture:
        console.print(picture)
    assert bool(re.search(rf"\x1b\[1;37;41m *{lost}\x1b\[0m", capture.get())) is bool(lost)
    lines = [str(line) for line in console.render_lines(picture, pad=False)]
    assert len(lines) <= 24
    plain = Console(file=io.StringIO(), width=width, height=24, legacy_windows=False)
    plain.print(picture)
    plain.print(ending(Summary(tally(), counted("prediction", lost=lost), seed=7)))
    text = plain.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    for words in ("predictions", "106,312", "kill 2 of 2", "lag 398", "12.3 s", "0: 23,446", "0:55, 0:03 left"):
        assert words in text


def test_the_view_follows_from_where_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets the picture, a pipe plain lines, and --json JSON in either."""
    assert isinstance(views.view_for(as_json=False), PlainView)
    assert isinstance(views.view_for(as_json=True), JsonView)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(views.view_for(as_json=False), LiveView)
    assert isinstance(views.view_for(as_json=True), JsonView)


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the test run's own signals alone."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)


@pytest.mark.usefixtures("signals")
def test_without_a_broker(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, what is needed, exit code 9."""
    monkeypatch.setattr(command, "choose_broker", lambda _: BrokerChoice("unavailable", "no java command on the PATH"))
    assert command.main([]) == ExitCode.BROKER
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for word in ("Docker", "Java 17 and Maven", "KAFKA_BOOTSTRAP_SERVERS", "no java command"):
        assert word in said


@pytest.mark.parametrize("wrong", [["--kills", "0"], ["--rate", "fast"], ["--kill", "-1"]])
def test_wrong_options(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and what was expected."""
    with pytest.raises(SystemExit) as ended:
        command.main(wrong)
    assert ended.value.code == ExitCode.USAGE
    assert "expected a whole number above 0" in capsys.readouterr().err

"""`make demo-recovery`: its counts see whatever is wrong, and only then; its verdict follows from them."""

from __future__ import annotations

import io
import json
import random
import re
import signal
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from benchmarks.recovery_demo import __main__ as command
from benchmarks.recovery_demo import views
from benchmarks.recovery_demo.board import Moment, Phase, Rate, Snapshot, Tally
from benchmarks.recovery_demo.comparison import Comparison, Counts
from benchmarks.recovery_demo.life import Life
from benchmarks.recovery_demo.live import LiveView, ending
from benchmarks.recovery_demo.plan import Aim, plan, share_done
from benchmarks.recovery_demo.summary import Summary
from benchmarks.recovery_demo.views import JsonView, PlainView
from consumer.errors import ExitCode
from tests.kafka import BrokerChoice
from tests.oracle import Published

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.oracle import InputRecord

PREDICTED, REFUSED, REPEATED = "prediction", "dead_letter", "repeat"
KINDS = [PREDICTED, PREDICTED, REFUSED, REPEATED, PREDICTED, REFUSED, PREDICTED, PREDICTED]
"""What becomes of the records at offsets 0 to 7."""


class ScriptedLoop:
    """Says for each record what the script has."""

    def feed(self, record: InputRecord) -> Published | None:
        return answer(record[0])


def answer(offset: int) -> Published | None:
    kind = KINDS[offset]
    return None if kind == REPEATED else Published(kind, offset, b"key", b"value %d" % offset, ())  # type: ignore[arg-type]


def record(offset: int) -> InputRecord:
    return offset, 0, b"key", b"value", []


ANSWERS = [each for each in map(answer, range(len(KINDS))) if each is not None]
AT_0, AT_1, LETTER_2, AT_4, LETTER_5, AT_6, AT_7 = ANSWERS


def compared(seen: Sequence[Published], *, fed_first: bool = True, finished: bool = True) -> Comparison:
    """Compare a reader's stream with the script, the input read before it or after it."""
    comparison = Comparison({0: ScriptedLoop()})
    for message in [] if fed_first else seen:
        comparison.see(0, message)
    for offset in range(len(KINDS)):
        comparison.feed(0, record(offset))
    for message in seen if fed_first else []:
        comparison.see(0, message)
    if finished:
        comparison.finish()
    return comparison


def numbers(comparison: Comparison) -> tuple[tuple[int, int, int, int], ...]:
    """Equal, lost, doubled, differing of predictions, and of dead letters."""
    return tuple((c.equal, c.lost, c.doubled, c.differing) for c in comparison.counts.values())


@pytest.fixture(params=[True, False], ids=["input-first", "answers-first"])
def compare(request: pytest.FixtureRequest) -> Callable[[Sequence[Published]], Comparison]:
    """Compare with the input read before the answers, and after them: it must not matter."""
    return lambda seen: compared(seen, fed_first=request.param)


def test_what_is_as_it_must_be_counts_as_equal(compare: Callable[[Sequence[Published]], Comparison]) -> None:
    """Nothing is wrong with all answers in their order; the two topics may come in any mixture."""
    for seen in (ANSWERS, sorted(ANSWERS, key=lambda message: message.kind)):
        comparison = compare(seen)
        assert numbers(comparison) == ((5, 0, 0, 0), (2, 0, 0, 0))
        assert (comparison.wrong, comparison.waiting, comparison.findings) == (0, 0, [])
        assert (comparison.records, comparison.repeats, comparison.seen) == (8, 1, 7)
        assert comparison.newest == {0: 7}


def test_a_lost_prediction(compare: Callable[[Sequence[Published]], Comparison]) -> None:
    """A hole is one lost, and what follows it is compared as before."""
    comparison = compare([AT_0, AT_1, LETTER_2, LETTER_5, AT_6, AT_7])
    assert numbers(comparison) == ((4, 1, 0, 0), (2, 0, 0, 0))
    assert comparison.findings == ["partition 0: 1 lost: prediction of offset 4"]


def test_a_hole_shows_at_once_and_a_missing_end_only_at_the_end() -> None:
    """What has not come yet is waited for; it is lost once something later of its topic, or the end, has come."""
    comparison = compared([AT_0, AT_1], finished=False)
    assert (comparison.wrong, comparison.waiting) == (0, 5)
    comparison.see(0, AT_6)
    assert numbers(comparison) == ((3, 1, 0, 0), (0, 0, 0, 0))
    comparison.finish()
    assert numbers(comparison) == ((3, 2, 0, 0), (0, 2, 0, 0))
    assert comparison.findings[-1] == "partition 0: 2 lost: dead letter of offset 2 and later"


def test_a_doubled_prediction(compare: Callable[[Sequence[Published]], Comparison]) -> None:
    """The same again, at once or later, is doubled, though its bytes are right."""
    comparison = compare([AT_0, AT_0, AT_1, LETTER_2, AT_4, AT_1, LETTER_5, AT_6, AT_7])
    assert numbers(comparison) == ((5, 0, 2, 0), (2, 0, 0, 0))
    assert comparison.findings[0] == "partition 0: prediction of offset 0 doubled"


def test_a_doubled_dead_letter(compare: Callable[[Sequence[Published]], Comparison]) -> None:
    """Dead letters are held to the same."""
    assert numbers(compare([*ANSWERS, LETTER_5])) == ((5, 0, 0, 0), (2, 0, 1, 0))


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        (AT_4._replace(value=b"value 4 "), "value"),
        (AT_4._replace(key=None), "key"),
        (AT_4._replace(headers=(("name", b""),)), "headers"),
    ],
)
def test_a_differing_prediction(
    compare: Callable[[Sequence[Published]], Comparison], changed: Published, part: str
) -> None:
    """One byte of key, value or headers is one differing, and no value is told."""
    comparison = compare([AT_0, AT_1, LETTER_2, changed, LETTER_5, AT_6, AT_7])
    assert numbers(comparison) == ((4, 0, 0, 1), (2, 0, 0, 0))
    assert comparison.findings == [f"partition 0: prediction of offset 4 differs in {part}"]


def test_out_of_order_differs(compare: Callable[[Sequence[Published]], Comparison]) -> None:
    """What comes after a later one of its topic was taken for lost, and is not, but it is not right either."""
    comparison = compare([AT_0, AT_4, AT_1, LETTER_2, LETTER_5, AT_6, AT_7])
    assert numbers(comparison) == ((4, 0, 0, 1), (2, 0, 0, 0))


def test_an_answer_where_none_must_be_differs(compare: Callable[[Sequence[Published]], Comparison]) -> None:
    """An answer to a repeat, to a record that does not exist, and a prediction in a dead letter's place."""
    repeat_answered = [AT_0, AT_1, LETTER_2, AT_0._replace(source_offset=3), AT_4, LETTER_5, AT_6, AT_7]
    assert numbers(compare(repeat_answered)) == ((5, 0, 0, 1), (2, 0, 0, 0))
    assert numbers(compare([*ANSWERS, AT_7._replace(source_offset=99)])) == ((5, 0, 0, 1), (2, 0, 0, 0))
    comparison = compare([AT_0, AT_1, AT_1._replace(source_offset=2), AT_4, LETTER_5, AT_6, AT_7])
    assert numbers(comparison) == ((5, 0, 0, 1), (1, 1, 0, 0))


def test_an_answer_that_names_no_record_differs() -> None:
    """A message that cannot even be placed is counted, not skipped."""
    comparison = compared(ANSWERS)
    comparison.see_unreadable(0, "dead_letter", "no header")
    assert numbers(comparison) == ((5, 0, 0, 0), (2, 0, 0, 1))


def test_nothing_seen_is_all_lost() -> None:
    """An empty stream cannot pass."""
    assert numbers(compared([])) == ((0, 5, 0, 0), (0, 2, 0, 0))


def test_partitions_do_not_mix() -> None:
    """An answer in another partition is lost where it belongs and differs where it came."""
    comparison = Comparison({0: ScriptedLoop(), 1: ScriptedLoop()})
    for partition in (0, 1):
        comparison.feed(partition, record(0))
    comparison.see(0, AT_0)
    comparison.see(0, AT_0)
    comparison.finish()
    assert numbers(comparison)[0] == (1, 1, 1, 0)
    assert comparison.newest == {0: 0, 1: -1}


# --- the verdict ----------------------------------------------------------------------------------------------------


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
        (tally(), counted("prediction", equal=0), "no prediction was compared"),
        (tally(), counted("dead_letter", equal=0), "no dead letter was compared"),
        (tally(), snapshot(repeats=0), "no event was repeated"),
        (tally(kills=Counter({Phase.LIVE: 1})), snapshot(), "1 of 2 kills were done"),
        (tally(exit_code=7), snapshot(), "ended with 7"),
        (tally(exit_code=None), snapshot(), "ended with None"),
        (tally(exit_code=None, trouble="waited in vain"), snapshot(), "waited in vain"),
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

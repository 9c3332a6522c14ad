"""How long an event waits for its prediction is read off correctly, none is left out, and too long is too long."""

from __future__ import annotations

import json
from array import array
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from benchmarks.figures import RESULTS
from benchmarks.latency import page, sender, turn
from benchmarks.latency.helper import Helper, HelperError
from benchmarks.latency.matching import match
from benchmarks.latency.page import NOT_MEASURED, PAGE, PART, PICTURE, content
from benchmarks.latency.plot import plot
from benchmarks.latency.reader import Seen
from benchmarks.latency.rows import Row, figures, rows
from benchmarks.latency.sender import Sent
from benchmarks.latency.setting import SETTINGS, Setting
from benchmarks.latency.turn import Turn
from consumer.settings import Guarantee
from tests.canned_bench import PROVENANCE

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

QUICK = Setting(1_000, Guarantee.EXACTLY_ONCE, 20)


def seen(*pairs: tuple[int, float]) -> Seen:
    return Seen(array("q", [offset for offset, _ in pairs]), array("d", [at for _, at in pairs]))


def a_turn(setting: Setting = QUICK, **changed: Any) -> Turn:
    """A turn in which all was well."""
    well = Turn(
        setting=setting,
        events=25_000,
        measured=20_000,
        p50=20.0,
        p99=40.0,
        p999=50.0,
        longest=60.0,
        lost=0,
        doubled=0,
        unknown=0,
        sent_rate=float(setting.rate),
        behind_p99=1.0,
        behind_longest=2.0,
        worker_cpu=0.1,
    )
    return msgspec.structs.replace(well, **changed)


def missed(*turns: Turn) -> list[str]:
    return [figure.what for figure in figures(turns) if not figure.is_met]


# Matching


def test_each_prediction_is_held_to_its_own_event() -> None:
    """By partition and offset, in whichever order they came."""
    found = match({0: [10.0, 11.0], 1: [10.5]}, {0: seen((1, 11.25), (0, 10.5)), 1: seen((0, 12.5))}, 0.0)
    assert sorted(found.seconds) == [0.25, 0.5, 2.0]
    assert (found.measured, found.lost, found.doubled, found.unknown) == (3, 0, 0, 0)


def test_the_warm_up_is_counted_and_not_measured() -> None:
    """By when an event was sent, not by when its prediction came."""
    found = match({0: [10.0, 15.0, 16.0]}, {0: seen((0, 30.0), (1, 15.5))}, 15.0)
    assert found.seconds == [0.5]
    assert (found.measured, found.lost) == (2, 1)


def test_a_second_prediction_is_told_and_not_measured() -> None:
    """The first one is what a reader waited for."""
    found = match({0: [10.0]}, {0: seen((0, 11.0), (0, 12.0))}, 0.0)
    assert (found.seconds, found.doubled) == ([1.0], 1)


def test_a_prediction_for_no_event_is_told() -> None:
    """It cannot be measured."""
    found = match({0: [10.0]}, {0: seen((0, 11.0), (1, 11.0), (-1, 11.0))}, 0.0)
    assert (found.seconds, found.unknown) == ([1.0], 2)


# The sender


class Clock:
    """A clock that the sender's sleeping and the client's slowness move on."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Client:
    """Takes what it is given; its queue is full for a while where the test says so."""

    def __init__(self, clock: Clock, *, full_at: int | None = None) -> None:
        self.clock = clock
        self.full_at = full_at
        self.taken: list[tuple[bytes, int, float]] = []

    def produce(self, _topic: str, value: bytes, _key: bytes, partition: int, **_: object) -> None:
        if len(self.taken) == self.full_at:
            self.full_at = None
            raise BufferError
        self.taken.append((value, partition, self.clock.now))

    def poll(self, seconds: float) -> int:
        self.clock.now += seconds
        return 0


def paced(monkeypatch: pytest.MonkeyPatch, rate: int, events: int, **client: int) -> tuple[Sent, Client]:
    """Send so many events, on two partitions in turn."""
    clock = Clock()
    monkeypatch.setattr(sender, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=clock.sleep))
    load = sender.Load("", "topic", 2, rate, events, seed=1)
    prepared = [(b"key", str(number).encode(), number % 2) for number in range(events)]
    taker = Client(clock, **client)
    return sender._send(taker, load, prepared, sender._Failures()), taker  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [1_000, 10_000])
def test_each_event_is_sent_once_when_it_is_due(monkeypatch: pytest.MonkeyPatch, rate: int) -> None:
    """In order, none before its time (a sender that begins too early has sent everything at once), none much later."""
    found, taker = paced(monkeypatch, rate, rate)
    assert [int(value) for value, _, _ in taker.taken] == list(range(rate))
    assert all(-1e-9 <= late <= 0.002 for late in found.behind)
    assert found.ended - found.began == pytest.approx(1.0, abs=0.01)
    assert [len(moments) for moments in found.at.values()] == [rate // 2] * 2
    assert found.at[1][0] == pytest.approx(found.began + 1 / rate, abs=0.002)


def test_an_event_that_must_wait_has_its_time_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue is part of what a till waits for; those behind it are said to be late."""
    found, taker = paced(monkeypatch, 1_000, 20, full_at=10)
    assert [int(value) for value, _, _ in taker.taken] == list(range(20))
    assert taker.taken[10][2] - found.at[0][5] == pytest.approx(0.01)
    assert found.behind[10] == pytest.approx(0.0, abs=0.002)
    assert found.behind[11] > 0.008


# One turn


def sent(at: dict[int, list[float]], behind: list[float], *, began: float = 0.0, ended: float = 10.0) -> Sent:
    return Sent(began, ended, {number: array("d", moments) for number, moments in at.items()}, array("d", behind))


def test_a_turn_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Percentiles by the nearest rank, rate and cores by the time of sending, the sender's delay after the warm-up."""
    monkeypatch.setattr(turn, "WARM_UP_SECONDS", 1.0)
    setting = Setting(1, Guarantee.EXACTLY_ONCE, 20)
    moments = [float(number) for number in range(10)]
    read = seen(*((number, number + 0.001 * (number + 1)) for number in range(10)))
    behind = [9.0, *[0.002] * 8, 0.003]
    found = turn.judged(setting, sent({0: moments}, behind), {0: read}, cpu=5.0)
    assert (found.events, found.measured, found.lost) == (10, 9, 0)
    assert found.p50 == pytest.approx(6.0)
    assert found.p99 == found.p999 == found.longest == pytest.approx(10.0)
    assert (found.sent_rate, found.worker_cpu) == (1.0, 0.5)
    assert found.behind_p99 == found.behind_longest == pytest.approx(3.0)


def test_a_turn_without_any_prediction_is_no_turn() -> None:
    """Rather than a percentile of nothing."""
    with pytest.raises(AssertionError, match="none of 1 events has a prediction"):
        turn.judged(QUICK, sent({0: [6.0]}, [0.0]), {0: seen()}, cpu=0.0)


# What is varied, and the bounds


def test_the_settings_of_the_curve() -> None:
    """At both rates, four intervals with their bound, and at_least_once without one."""
    assert [(each.rate, each.interval_ms, each.bound_ms) for each in SETTINGS] == [
        (rate, interval, bound)
        for rate in (1_000, 10_000)
        for interval, bound in ((20, 70), (50, 100), (100, 150), (200, 250), (None, None))
    ]
    assert SETTINGS[0].variables() == {"PROCESSING_GUARANTEE": "exactly_once", "COMMIT_INTERVAL_MS": "20"}
    assert SETTINGS[4].variables() == {"PROCESSING_GUARANTEE": "at_least_once"}


def test_the_median_round_is_held_to_the_bound() -> None:
    """The interval and 50 ms, for each setting; the highest round is told beside it."""
    assert missed(a_turn(p99=70.0), a_turn(p99=90.0), a_turn(p99=60.0)) == []
    assert missed(a_turn(p99=70.1), a_turn(p99=70.1), a_turn(p99=60.0)) == ["1,000/s, exactly_once, 20 ms: p99, ms"]
    told = {figure.what: figure.value for figure in figures([a_turn(p99=70.0), a_turn(p99=90.0), a_turn(p99=60.0)])}
    assert told["1,000/s, exactly_once, 20 ms: p99 of the highest round, ms"] == 90.0


def test_at_least_once_has_no_bound() -> None:
    """It is what is left when nobody waits for a commit."""
    assert missed(a_turn(Setting(1_000, Guarantee.AT_LEAST_ONCE, None), p99=9_999.0)) == []


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"lost": 1}, "events without a prediction"),
        ({"doubled": 1}, "predictions twice, or of no event"),
        ({"unknown": 1}, "predictions twice, or of no event"),
        ({"sent_rate": 989.0}, "lowest rate sent / rate wanted"),
    ],
)
def test_one_bad_turn_is_enough(changed: dict[str, Any], what: str) -> None:
    """What would flatter the percentiles misses a bound of its own."""
    assert missed(a_turn(), a_turn(**changed), a_turn()) == [what]


def test_rows_are_in_the_order_of_the_curve() -> None:
    """Whatever the order of the turns was; medians, and the extremes of the rounds."""
    turns = [a_turn(setting, p99=float(p99)) for p99 in (30, 10, 20) for setting in reversed(SETTINGS)]
    found = rows(turns)
    assert tuple(row.setting for row in found) == SETTINGS
    assert {(row.rounds, row.p99, row.p99_lowest, row.p99_highest) for row in found} == {(3, 20.0, 10.0, 30.0)}


# The page


def a_curve() -> list[Row]:
    return rows([a_turn(setting, p99=setting.rate / 100) for setting in SETTINGS])


def test_the_table() -> None:
    """A line for each setting, a bound that is missed is said to be, the machine and the commit below."""
    text = content(a_curve(), PROVENANCE)
    assert "| 1,000 | exactly once | 20 | 20.0 | 10.0 | 10.0 to 10.0 | 50.0 | 70 |" in text
    assert "| 10,000 | exactly once | 20 | 20.0 | 100.0 | 100.0 to 100.0 | 50.0 | 70, missed |" in text
    assert "| 10,000 | at least once |  | 20.0 | 100.0 | 100.0 to 100.0 | 50.0 |  |" in text
    assert text.endswith("2 cores (a processor), Python 3.11.7, broker, sender and reader included; 2026-11-24, commit "
                         "0123456789ab.")  # fmt: skip


def test_the_picture(tmp_path: Path) -> None:
    """A panel a rate, axes with units, well-formed, the same file each time."""
    path = tmp_path / "made" / "latency.svg"
    plot(a_curve(), path)
    text = "".join(ET.fromstring(path.read_text()).itertext())  # noqa: S314 -- our own
    for part in ("1,000 events/s", "10,000 events/s", "milliseconds", "commit interval, ms", "p99.9", "bound on p99"):
        assert part in text
    first = path.read_bytes()
    plot(a_curve(), path)
    assert path.read_bytes() == first


def test_only_what_may_be_claimed_goes_into_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All other figures leave the page alone and their picture aside."""
    document, picture, aside = tmp_path / "latency.md", tmp_path / "latency.svg", tmp_path / "aside.svg"
    document.write_text(f"before\n{PART.of('old')}\nafter\n")
    monkeypatch.setattr(page, "PAGE", document)
    monkeypatch.setattr(page, "PICTURE", picture)
    page.write(a_curve(), PROVENANCE, aside=aside)
    assert aside.exists()
    assert not picture.exists()
    assert "old" in document.read_text()
    page.write(a_curve(), PROVENANCE, aside=None)
    assert picture.exists()
    assert document.read_text() == f"before\n{PART.of(content(a_curve(), PROVENANCE))}\nafter\n"


def test_the_page_shows_the_results_that_are_there() -> None:
    """The committed page is what the committed JSON makes of it, or says that nothing was measured."""
    text = PAGE.read_text(encoding="utf-8")
    results = RESULTS / "latency.json"
    if not results.exists():
        assert PART.put_into(text, NOT_MEASURED) == text
        assert not PICTURE.exists()
        return
    found = json.loads(results.read_bytes())
    curve = msgspec.convert(found["counts"]["rows"], list[Row])
    assert PART.put_into(text, content(curve, found)) == text
    assert found["is_clean"]
    assert PICTURE.exists()


# The processes


def _echo(pipe: Connection, last: str) -> None:
    pipe.send(pipe.recv() + last)


def _fail(_pipe: Connection) -> None:
    raise ValueError("no such broker")


def _leave(_pipe: Connection) -> None:
    pass


def test_a_helper_answers() -> None:
    """It is told something and sends something back."""
    with Helper("echo", _echo, "!") as helper:
        helper.tell("go")
        assert helper.answer(60) == "go!"


@pytest.mark.parametrize(
    ("work", "seconds", "said"),
    [
        (_fail, 60, "the helper failed: ValueError: no such broker"),
        (_leave, 60, "the helper ended by itself"),
        (_echo, 0, "the helper did not answer within 0 s"),
    ],
)
def test_a_helper_that_fails_is_heard_of(work: Any, seconds: float, said: str) -> None:
    """Nobody waits for a process that has given up."""
    arguments = ("!",) if work is _echo else ()
    with Helper("helper", work, *arguments) as helper, pytest.raises(HelperError, match=said):
        helper.answer(seconds)

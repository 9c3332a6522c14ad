"""`smart-inventory demo`: on a terminal, in a pipe, for a program; the whole of it on the embedded broker."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from rich.console import Console

from consumer.demo import shop
from consumer.demo.board import Board
from consumer.demo.display import Moment, Stage
from consumer.demo.live import LiveDisplay, picture
from consumer.demo.place import Place
from consumer.demo.plain import JsonDisplay, PlainDisplay
from consumer.demo.readings import Readings
from consumer.demo.shop import Sending, shop_events
from consumer.demo.summary import WIDTH, summary_lines
from consumer.demo.verdict import judge
from consumer.demo.worker_process import WorkerError, WorkerProcess
from consumer.errors import ExitCode
from consumer.kafka.topics import TopicNames
from consumer.settings import Guarantee, Settings
from schemas.dead_letter import Reason
from tests.kafka import wait_until
from tests.stage import ROOT
from tests.unit.test_demo_board import prediction

if TYPE_CHECKING:
    from consumer.demo.verdict import Summary
    from consumer.simulate.events import ShopEvent

TOPICS: Final = TopicNames(
    "inventory.transactions", "inventory.stock-predictions", "inventory.transactions.dead-letters"
)
EMBEDDED: Final = Place(
    {"bootstrap.servers": "127.0.0.1:34567"}, TOPICS, "inventory.demo", Guarantee.AT_LEAST_ONCE, is_embedded=True
)
OURS: Final = Place(
    {"bootstrap.servers": "kafka.example:9092"},
    TopicNames("inventory.demo-1f.in", "out", "dead"),
    "inventory.demo-1f",
    Guarantee.EXACTLY_ONCE,
    is_embedded=False,
)
STAGE: Final = Stage(EMBEDDED, "synthetic", 123456, "http://127.0.0.1:45678/metrics", 30.0, {"MAKELEVEL": "1"})
TODAY: Final = date(2026, 11, 24)
ESCAPE: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def busy_board() -> Board:
    """As full as a board gets: every reason, more items than rows, large numbers."""
    board = Board(sent={"event": 1_234_567, "invalid:not_json": 99_999}, readings=Readings(123_456, 1.0, 98_765, 1))
    for offset in range(40):
        board.predicted(prediction(offset, f"sku-{offset:04d}", discrepancy=float(-offset), level_before=12_345.5))
    board.predicted(prediction(41, "unknown", predicted_stock_level=None, observed_stock_level=None, discrepancy=None))
    for reason in Reason:
        board.dead_letters[reason.value] = 12_345
    return board


def moment(board: Board, *, elapsed: float = 5.0, is_last: bool = False) -> Moment:
    return Moment(board, elapsed, 12_345.6, 3.2, 100.0 + elapsed, is_last)


def summary_of(board: Board, *, code: int = 0) -> Summary:
    return judge(board, worker_exit_code=code, seconds=30.2, interrupted=False)


# On a terminal


@pytest.mark.parametrize("width", [80, 100, 150, 200])
@pytest.mark.parametrize("height", [24, 30, 50])
def test_a_frame_fits_its_terminal(width: int, height: int) -> None:
    """Neither wider nor higher, the cursor's line left free, and nothing cut off where it matters."""
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(picture(STAGE, moment(busy_board()), width, height))
    lines = capture.get().splitlines()
    assert max(len(line) for line in lines) <= width
    assert len(lines) < height
    text = " ".join(lines)
    for shown in ("Smart Inventory", "5 of 30 s", "sku-0039", "12,345.5", "-39", "12,346", "3 s ago", "98,765"):
        assert shown in text, shown
    for named in ("lag", "at_least_once", "http://127.0.0.1:45678/metrics", "predicted", "discrepancy", "drift"):
        assert named in text, named
    assert "occurred_at_out_of_range" in text


def test_frames_keep_their_height_from_the_first_to_the_last() -> None:
    """A table that grows would make everything below it jump."""
    console = Console(width=160, height=40, file=io.StringIO())

    def height(board: Board) -> int:
        with console.capture() as capture:
            console.print(picture(STAGE, moment(board), 160, 40))
        return len(capture.get().splitlines())

    one = Board()
    one.predicted(prediction(0))
    assert height(Board()) == height(one)


def test_the_terminal_is_left_as_it_was() -> None:
    """The cursor is shown again, and the last frame stays above the summary."""
    out = io.StringIO()
    console = Console(width=80, height=24, file=out, force_terminal=True, color_system="standard", legacy_windows=False)
    display = LiveDisplay(console)
    display.waiting("starting", 1.0)
    display.opened(STAGE)
    display.tick(moment(busy_board(), is_last=True))
    display.summed_up(summary_of(busy_board()), None)
    display.close()
    shown = out.getvalue()
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "as it should be?" in shown[shown.rindex("/metrics") :]


# In a pipe


def test_a_pipe_gets_plain_lines() -> None:
    """No escape code, no carriage return, every line whole; a few lines a run, not hundreds."""
    out = io.StringIO()
    display = PlainDisplay(out)
    for tenth in range(60):
        display.waiting("starting the worker", tenth / 10)
    display.opened(STAGE)
    for tenth in range(300):
        display.tick(moment(busy_board(), elapsed=tenth / 10))
    display.summed_up(summary_of(busy_board()), None)
    display.close()
    text = out.getvalue()
    assert ESCAPE.findall(text.replace("\n", "")) == []
    assert text.isascii()
    assert text.count("starting the worker") == 2
    assert text.count("predicted 41") == 5
    assert max(len(line) for line in text.splitlines()) <= WIDTH


def test_json_is_one_object_a_line() -> None:
    """What a program reads: the last object is the summary."""
    out = io.StringIO()
    display = JsonDisplay(out)
    display.waiting("starting the worker", 0.0)
    display.waiting("starting the worker", 0.1)
    display.opened(STAGE)
    for tenth in range(21):
        display.tick(moment(busy_board(), elapsed=tenth / 10))
    display.summed_up(summary_of(busy_board(), code=1), Path("worker.log"))
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [each["type"] for each in told] == ["waiting", "opened", "progress", "progress", "progress", "summary"]
    assert told[1]["guarantee"] == "at_least_once"
    assert told[-1]["good"] is False
    assert told[-1]["log"] == "worker.log"


# The summary


def lines_of(place: Place, summary: Summary, *, log: Path | None = None, **environment: str) -> list[str]:
    lines = summary_lines(summary, place, source="synthetic", environment=environment, log=log)
    return [line.text for line in lines]


@pytest.mark.parametrize("environment", [{}, {"MAKELEVEL": "1"}])
@pytest.mark.parametrize("place", [EMBEDDED, OURS])
@pytest.mark.parametrize("source", ["synthetic", "completejourney"])
def test_the_summary_fits_80_columns(place: Place, environment: dict[str, str], source: str) -> None:
    """But for the command that names the user's own broker."""
    lines = summary_lines(summary_of(busy_board()), place, source=source, environment=environment, log=None)
    assert [line.text for line in lines if len(line.text) > WIDTH and "kafka-topics.sh" not in line.text] == []


def test_a_verdict_that_fails_cannot_be_overlooked() -> None:
    """In words, with both numbers, and with the log that was kept."""
    text = "\n".join(lines_of(EMBEDDED, summary_of(Board(sent={"event": 7})), log=Path("kept/worker.log")))
    assert re.search(r"FAILED every event was answered +0, expected 7\n", text)
    assert "kept/worker.log" in text
    assert "ok     the worker's exit code" in text


def test_the_guarantee_in_force_is_said() -> None:
    """And that the embedded broker proves nothing about recovery."""
    assert "  embedded broker: for trying out; recovery is shown by `make demo-recovery`" in lines_of(
        EMBEDDED, summary_of(Board())
    )
    assert "  exactly_once, on your broker at kafka.example:9092" in lines_of(OURS, summary_of(Board()))


def test_what_is_left_on_the_users_broker_is_said() -> None:
    """The pattern matches this demo's topics and no others."""
    (command,) = [line for line in lines_of(OURS, summary_of(Board())) if "--delete" in line]
    found = re.search(r"--topic '(.*)'", command)
    assert found is not None
    assert re.fullmatch(found[1], "inventory.demo-1f.transactions.dead-letters")
    assert not re.fullmatch(found[1], "inventory.transactions")
    assert not re.fullmatch(found[1], "inventory.demo-1f2.transactions")


# The worker's surroundings


def test_no_setting_of_the_users_reaches_the_demos_worker() -> None:
    """Not the group, topics or directory of a worker at work; nor a real broker's security, if it is not used."""
    environment = {name.upper(): "the user's" for name in Settings.model_fields}
    environment |= {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "PATH": "/bin", "PYTHONPATH": "models"}
    here = EMBEDDED.worker_environment(environment)
    assert "the user's" not in here.values()
    assert "KAFKA_SECURITY_PROTOCOL" not in here
    assert (here["PATH"], here["PYTHONPATH"]) == ("/bin", "models")
    assert here["PROCESSING_GUARANTEE"] == "at_least_once"
    there = OURS.worker_environment(environment)
    assert "the user's" not in there.values()
    assert there["KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
    assert there["PROCESSING_GUARANTEE"] == "exactly_once"
    assert there["KAFKA_BOOTSTRAP_SERVERS"] == "kafka.example:9092"


def test_a_worker_that_stops_is_told_with_its_reason_and_code(tmp_path: Path) -> None:
    """Its one sentence comes through, and so does its exit code."""
    worker = WorkerProcess(EMBEDDED.worker_environment(os.environ), "nonsense", tmp_path)
    with pytest.raises(WorkerError, match=r"exit code 2: MODEL='nonsense': expected guarded.*; its log is") as caught:
        wait_until(worker.is_ready, 30, "the worker to stop")
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.lines == ()


def test_a_worker_that_is_killed_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    """It had no time to say why."""
    worker = WorkerProcess(EMBEDDED.worker_environment(os.environ), "guarded", tmp_path)
    wait_until(lambda: worker.metrics_url, 30, "the worker to serve")
    worker.kill()
    with pytest.raises(WorkerError, match=r"signal SIGKILL; its log, .*worker\.log, ends as above") as caught:
        worker.check()
    assert caught.value.exit_code is ExitCode.UNEXPECTED
    assert any('"serving"' in line for line in caught.value.lines)


# The shop


def kinds_and_days(events: list[ShopEvent]) -> tuple[set[str], list[str]]:
    good = [msgspec.json.decode(event.value or b"") for event in events if event.kind == "event"]
    return {event.kind.partition(":")[0] for event in events}, [fields["occurred_at"][:10] for fields in good]


@pytest.mark.parametrize(("events", "first"), [(15_000, "2026-10-26"), (100_000, "2026-09-07")])
def test_the_shops_days_are_past_ones_that_begin_on_a_monday(events: int, first: str) -> None:
    """So that event times look sensible, however long the demo."""
    sent = list(shop_events("synthetic", events=events, seed=0, today=TODAY))
    kinds, days = kinds_and_days(sent)
    assert kinds == {"event", "late", "repeat", "invalid"}
    assert len(sent) == pytest.approx(events, rel=0.02)
    assert min(days) == first
    assert max(days) < TODAY.isoformat()
    assert date.fromisoformat(first).weekday() == 0


def test_the_same_seed_sends_the_same() -> None:
    """A demo can be shown again."""
    once, again, other = (list(shop_events("synthetic", events=2_000, seed=seed, today=TODAY)) for seed in (1, 1, 2))
    assert once == again
    assert once != other


def test_the_shop_does_not_run_away_from_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedded broker drops the oldest records of a partition that grows too large."""
    sent: list[ShopEvent] = []

    def take(events: Any, **_: Any) -> None:
        sent.extend(events)

    monkeypatch.setattr(shop, "send", take)
    monkeypatch.setattr(shop, "MOST_UNANSWERED", 10)
    sending = Sending(
        shop_events("synthetic", events=50, seed=0, today=TODAY),
        topic="t",
        client_config={"bootstrap.servers": ""},
        rate=1e6,
        seconds=60,
    )
    sending.start()
    wait_until(lambda: sum(sending.by_kind.values()) == 11, 10, "the shop to be ahead")
    time.sleep(0.05)
    assert sum(sending.by_kind.values()) == 11
    sending.heard(20)
    wait_until(lambda: sum(sending.by_kind.values()) == 31, 10, "the shop to go on")
    sending.stop()
    wait_until(sending.is_done, 10, "the shop to close")
    assert sum(sending.by_kind.values()) == len(sent) == 31


def test_a_failure_to_send_ends_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """It happens in another thread, and must not be lost there."""

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("refused")

    monkeypatch.setattr(shop, "send", refuse)
    sending = Sending(iter(()), topic="t", client_config={"bootstrap.servers": ""}, rate=1, seconds=1)
    sending.start()
    with pytest.raises(RuntimeError, match="refused"):
        wait_until(sending.is_done, 10, "the shop to close")


# The whole


def test_the_whole_demo_on_the_embedded_broker(tmp_path: Path) -> None:
    """Real worker, real records; every event answered, all cleaned up, and counts that agree with each other."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
    run = subprocess.run(
        [sys.executable, "-m", "consumer", "demo", "--seconds", "4", "--rate", "400", "--seed", "3", "--json"],
        env={**variables, "TMPDIR": str(tmp_path), "CONSUMER_GROUP": "somebody else's"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert run.returncode == 0, run.stderr + run.stdout
    assert run.stderr == ""
    told = [json.loads(line) for line in run.stdout.splitlines()]
    opened = next(each for each in told if each["type"] == "opened")
    assert opened["embedded"] is True
    assert opened["guarantee"] == "at_least_once"
    summary = told[-1]
    assert summary["type"] == "summary"
    assert summary["good"] is True
    sent = summary["sent"]
    assert sum(sent.values()) == pytest.approx(1600, rel=0.05)
    assert summary["predictions"] == sent["good"] + sent["late"]
    assert sum(summary["dead_letters"].values()) == sent["bad"] > 0
    assert summary["repeats"] == sent["repeated"] > 0
    assert summary["accuracy"]["exact"] > 0.9 * summary["accuracy"]["compared"] > 1000 * 0.9
    assert summary["drifting"][0]["drift"] < 0
    assert list(tmp_path.iterdir()) == []

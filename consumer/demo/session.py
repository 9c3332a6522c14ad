"""One demo from the opening of a broker to the verdict."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.demo.answers import Answers
from consumer.demo.board import Board
from consumer.demo.display import Moment, Stage
from consumer.demo.place import open_place
from consumer.demo.readings import scrape
from consumer.demo.shop import Sending, shop_events
from consumer.demo.verdict import judge
from consumer.demo.worker_process import WorkerError, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future
    from types import FrameType

    from consumer.demo.display import Display
    from consumer.demo.place import Place
    from consumer.demo.verdict import Summary
    from consumer.settings import Settings
    from consumer.simulate.events import ShopEvent

_READY_SECONDS: Final = 90.0
_STALL_SECONDS: Final = 15.0
_TURN_SECONDS: Final = 0.1
_SCRAPE_SECONDS: Final = 0.5
_LAST_LOOK_SECONDS: Final = 0.5
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Plan(NamedTuple):
    """What a demo is asked for.

    Attributes:
        source: which shop, one of `shop.SOURCES`.
        seconds: how long it is open.
        rate: events a second.
        seed: seeds the shop and its faults.
        model: what `MODEL` names.
    """

    source: str
    seconds: float
    rate: float
    seed: int
    model: str


def run_demo(plan: Plan, settings: Settings, environment: Mapping[str, str], display: Display) -> Summary:
    """Run a demo, show it, and return its summary.

    A first SIGINT, SIGTERM or SIGHUP closes the shop; what was sent is still answered, and the summary follows.
    The worker's directory is removed where all went well, and kept where not.

    Raises:
        KeyboardInterrupt: a second signal came.
        StopError: there is no broker, no data, or the worker ended by itself; then the end of its log is written to
            standard error.
    """
    directory = Path(tempfile.mkdtemp(prefix="smart-inventory-demo-"))
    is_kept = False
    try:
        with ExitStack() as closing, _signals() as is_asked:
            closing.callback(display.close)
            broker = settings.kafka_bootstrap_servers or "a broker of its own"
            display.waiting(f"connecting to {broker}", 0.0)
            place = open_place(
                settings,
                environment,
                on_wait=lambda cause, left: display.waiting(f"{broker}: {cause}; trying for {left:.0f} s more", 0.0),
            )
            worker = WorkerProcess(place.worker_environment(environment), plan.model, directory)
            closing.callback(worker.kill)
            summary = _Demo(plan, place, worker, display, environment, is_asked).run(closing)
        is_kept = not summary.is_good
        display.summed_up(summary, worker.log if is_kept else None)
    except WorkerError as error:
        is_kept = True
        sys.stderr.writelines(f"  {line}\n" for line in error.lines)
        raise
    finally:
        if not is_kept:
            shutil.rmtree(directory, ignore_errors=True)
    return summary


class _Demo:
    """The parts of one demo, and the loop over them."""

    def __init__(  # noqa: PLR0913, PLR0917 -- its parts
        self,
        plan: Plan,
        place: Place,
        worker: WorkerProcess,
        display: Display,
        environment: Mapping[str, str],
        is_asked: Callable[[], bool],
    ) -> None:
        self._plan, self._place, self._worker, self._display = plan, place, worker, display
        self._environment, self._is_asked = environment, is_asked
        self._board = Board()
        self._scraped_at = 0.0
        self._opened_at = self._closed_at = 0.0

    def run(self, closing: ExitStack) -> Summary:
        """Wait for the worker and the data, open the shop, hear every answer, stop the worker, and judge."""
        events, url = self._wait()
        answers = Answers(self._place, self._board)
        closing.callback(answers.close)
        sending = Sending(
            events,
            topic=self._place.topics.input,
            client_config=self._place.client_config,
            rate=self._plan.rate,
            seconds=self._plan.seconds,
        )
        closing.callback(sending.stop)
        self._display.opened(
            Stage(self._place, self._plan.source, self._worker.pid, url, self._plan.seconds, self._environment)
        )
        self._opened_at = time.monotonic()
        sending.start()
        self._watch(sending, answers, url)
        self._scrape(url)
        self._show(time.monotonic(), is_last=True)
        code = self._worker.stop()
        answers.read(_LAST_LOOK_SECONDS)  # nothing more may come
        seconds = self._closed_at - self._opened_at
        return judge(self._board, worker_exit_code=code, seconds=seconds, interrupted=self._is_asked())

    def _wait(self) -> tuple[Iterator[ShopEvent], str]:
        """Load the shop while the worker starts; show that time passes."""
        plan = self._plan
        started = time.monotonic()
        with ThreadPoolExecutor(1, thread_name_prefix="shop") as pool:
            loading: Future[Iterator[ShopEvent]] = pool.submit(
                shop_events,
                plan.source,
                events=round(plan.seconds * plan.rate),
                seed=plan.seed,
                today=datetime.now(UTC).date(),
            )
            while not (self._worker.is_ready() and loading.done()):
                if loading.done():
                    loading.result()  # what went wrong there need not wait for the worker
                if self._is_asked():
                    raise KeyboardInterrupt
                waited = time.monotonic() - started
                if waited > _READY_SECONDS:
                    raise WorkerError(
                        f"the worker was not ready within {_READY_SECONDS:.0f} s; its log, {self._worker.log}, ends as "
                        "above",
                        lines=self._worker.last_lines(),
                    )
                self._display.waiting("starting the worker, which imports River: a few seconds", waited)
                time.sleep(_TURN_SECONDS)
            return loading.result(), self._worker.metrics_url or ""

    def _watch(self, sending: Sending, answers: Answers, url: str) -> None:
        """Show what happens until the shop is closed and every event answered, or no answer comes any more."""
        board = self._board
        heard, heard_at = 0, time.monotonic()
        while True:
            is_done = sending.is_done()
            board.sent = sending.by_kind  # after that question, so that nothing sent is missing from the last count
            if not is_done:
                self._closed_at = time.monotonic()
            if is_done and board.answered >= board.sent_total:
                return
            self._worker.check()
            if self._is_asked():
                sending.stop()
            answers.read(_TURN_SECONDS)
            now = time.monotonic()
            if now - self._scraped_at >= _SCRAPE_SECONDS:
                self._scrape(url)
            board.sent = sending.by_kind
            sending.heard(board.answered)
            if board.answered != heard or not is_done:
                heard, heard_at = board.answered, now
            if now - heard_at > _STALL_SECONDS:
                return  # the verdict says what is missing
            self._show(now)

    def _scrape(self, url: str) -> None:
        self._scraped_at = time.monotonic()
        self._board.readings = scrape(url) or self._board.readings

    def _show(self, now: float, *, is_last: bool = False) -> None:
        board = self._board
        checkpointed = board.readings.checkpointed_at
        age = None if checkpointed is None else max(0.0, time.time() - checkpointed)
        self._display.tick(Moment(board, now - self._opened_at, board.rate(now), age, now, is_last))


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Let the first signal be a request, and a second one an end; give a function that tells whether one came."""
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

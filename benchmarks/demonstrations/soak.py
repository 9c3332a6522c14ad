"""An hour at a steady rate, a kill -9 every minute: the lag returns to 0, memory and open files do not grow."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Final, Self

import msgspec

from benchmarks.figures import CACHE, Figure, Report
from benchmarks.load import Feeder
from benchmarks.shop import FAULT_SHARE, LINEAR
from benchmarks.soak.checker import Checker, CheckerError
from benchmarks.soak.lag import LagMeter
from benchmarks.soak.minutes import Minute, Stretch, Verdict, append, figures
from benchmarks.usage import Usage, peak, usage
from tests.kafka import wait_until
from tests.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType, TracebackType

    from tests.kafka import Broker
    from tests.stage import WorkerProcess

SEED: Final = 20261127
PARTITIONS: Final = 4
RATE: Final = 5_000
MINUTES: Final = 60
LIFE_SECONDS: Final = 60.0
STRETCH_SECONDS: Final = 300.0
SAMPLED_SECONDS: Final = 10  # before a kill: one checkpoint interval, so that the writing of one is among them
COMMIT_SECONDS: Final = 0.2  # the default COMMIT_INTERVAL_MS
CATCH_UP_SECONDS: Final = 900.0
SETTINGS: Final = {"MODEL": "linear"}  # the independent loop knows this one; all else as it is by default
PROGRESS: Final = CACHE / "soak.jsonl"


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Let it run, and say after each minute what has been found; a signal ends it early, with what there is."""
    minutes = int(os.environ.get("MINUTES") or MINUTES)
    report.is_claimed = minutes == MINUTES
    PROGRESS.unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    stage = Stage(broker.bootstrap_servers, directory, partitions=PARTITIONS, prefix="soak")
    with (
        Checker(stage, LINEAR) as checker,
        LagMeter(stage) as meter,
        _shop(stage) as feeder,
        _Soak(report, stage, checker, meter, feeder, planned=minutes) as soak,
    ):
        try:
            soak.live_and_die()
        except KeyboardInterrupt:
            report.is_claimed = False
            report.counts["interrupted"] = True
            print("  interrupted: what follows is of the minutes so far", flush=True)
        exit_code, total, verdict = soak.end()
    if not soak.minutes:
        raise SystemExit("not one minute was finished: there is nothing to report")
    for figure in figures(soak.minutes, verdict, planned=minutes, stretch=soak.stretch, total=total):
        report.add(figure)
    report.add(Figure("exit code after SIGTERM", exit_code, "=", 0))
    report.counts.update(_counts(soak.minutes, verdict, soak.stretch))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _shop(stage: Stage) -> Feeder:
    """Return the synthetic shop: the real year would be over after five minutes."""
    return Feeder(stage, rate=RATE, seed=SEED, fault_share=FAULT_SHARE, source="synthetic", key_by="item", is_live=True)


def _counts(minutes: list[Minute], verdict: Verdict, stretch: Stretch | None) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins({"minutes": minutes, "verdict": verdict, "last_life": stretch})
    return plain


class _Soak:
    """The run itself.

    Attributes:
        minutes: those that were finished.
        stretch: the last life's, once it is over.
    """

    def __init__(  # noqa: PLR0913 -- its collaborators, named
        self, report: Report, stage: Stage, checker: Checker, meter: LagMeter, feeder: Feeder, *, planned: int
    ) -> None:
        self._report = report
        self._stage = stage
        self._checker = checker
        self._meter = meter
        self._feeder = feeder
        self._planned = planned
        self._worker: WorkerProcess | None = None
        self._began = 0.0
        self.minutes: list[Minute] = []
        self.stretch: Stretch | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._worker is not None:
            self._worker.kill()

    def live_and_die(self) -> None:
        """Start the worker, kill it each minute, and let the last one live."""
        wait_until(lambda: any(self._meter.ends().values()), 60, "the shop to open")
        self._began = time.monotonic()
        self._worker = self._stage.worker(**SETTINGS)
        for number in range(1, self._planned + 1):
            samples = self._live(self._began + number * LIFE_SECONDS)
            records, at = sum(self._meter.ends().values()), time.monotonic()
            self._worker.kill()
            killed_at = time.monotonic()
            self._worker = self._stage.worker(**SETTINGS)
            until = self._began + (number + 1) * LIFE_SECONDS - SAMPLED_SECONDS
            seconds = self._meter.seconds_to_zero(killed_at, COMMIT_SECONDS, until, self._check)
            self._note(number, peak(samples[-SAMPLED_SECONDS:]), records, at - self._began, seconds)
        samples = self._live(time.monotonic() + (min(STRETCH_SECONDS, self._planned * LIFE_SECONDS)))
        tens = [peak(samples[start : start + 10]) for start in range(0, len(samples) - 9, 10)]
        self.stretch = Stretch([each.resident_bytes for each in tens], [each.open_files for each in tens])

    def end(self) -> tuple[int, int, Verdict]:
        """Close the shop, let the worker come to the input's end, then the comparison.

        Returns the worker's exit code, the records in the input, and what the comparison says; where that does not
        come to its end, in time or before a signal, what it said last.
        """
        self._feeder.finish()
        total = sum(self._meter.ends().values())
        if self._worker is None or self._worker.process.poll() is not None:
            self._worker = self._stage.worker(**SETTINGS)
        with self._worker:
            self._stage.wait_until_done(120)
            code = self._worker.terminate()
        try:
            return code, total, self._checker.finish(CATCH_UP_SECONDS)
        except (CheckerError, KeyboardInterrupt) as error:
            print(f"  the comparison has not come to its end: {error!r}", flush=True)
            return code, total, self._checker.latest

    def _live(self, until: float) -> list[Usage]:
        """Let the worker live, and look at it each second."""
        samples: list[Usage] = []
        while True:
            self._check()
            if self._worker is not None:
                samples.append(usage(self._worker.process.pid))
            left = until - time.monotonic()
            if left <= 0:
                return samples
            time.sleep(min(1.0, left))

    def _check(self) -> None:
        self._checker.verdict()
        if self._feeder.exit_code is not None:
            raise AssertionError(f"the simulated shop ended by itself, with {self._feeder.exit_code}")
        if self._worker is not None and self._worker.process.poll() is not None:
            words = self._worker.log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise AssertionError(f"the worker ended by itself, with {self._worker.process.returncode}: {words}")

    def _note(self, number: int, used: Usage, records: int, seconds: float, to_zero: float | None) -> None:
        """Keep a minute, print it, and write what there is so far."""
        verdict = self._checker.verdict()
        minute = Minute(
            number, used.resident_bytes, used.open_files, used.threads, records, round(seconds, 3), to_zero, verdict
        )
        self.minutes.append(minute)
        append(PROGRESS, minute)
        lag = "not back at 0" if to_zero is None else f"back at 0 after {to_zero:.2f} s"
        print(
            f"  minute {number} of {self._planned}: {records:,} records, {records / seconds:,.0f}/s; lag {lag}; "
            f"{used.resident_bytes >> 20} MiB, {used.open_files} files; {verdict.records:,} compared, "
            f"{verdict.wrong} wrong",
            flush=True,
        )
        so_far = Report(self._report.name, self._report.seed, started=self._report.started, is_claimed=False)
        so_far.figures = list(figures(self.minutes, verdict, planned=self._planned))
        so_far.counts = _counts(self.minutes, verdict, None)
        so_far.write()

"""The demo in a pipe: a plain line every few seconds, or one JSON object a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TextIO

from consumer.demo.summary import reasons, summary_lines, wrapped

if TYPE_CHECKING:
    from pathlib import Path

    from consumer.demo.display import Moment, Stage
    from consumer.demo.verdict import Summary

LINE_SECONDS: Final = 5.0
JSON_SECONDS: Final = 1.0


class PlainDisplay:
    """Writes lines, without any control character.

    Args:
        out: where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._waited_for = ""
        self._due = 0.0
        self._stage: Stage

    def waiting(self, what: str, seconds: float) -> None:
        """Write what is waited for, once and then every few seconds."""
        if what != self._waited_for:
            self._waited_for, self._due = what, LINE_SECONDS
            self._write(f"{what} ...")
        elif seconds >= self._due:
            self._due = seconds + LINE_SECONDS
            self._write(f"{what} ... {seconds:.0f} s")

    def opened(self, stage: Stage) -> None:
        """Write where everything is."""
        self._stage = stage
        self._due = LINE_SECONDS
        self._write(stage.place.describe())
        self._write(f"worker {stage.pid} is ready, {stage.place.guarantee}; metrics at {stage.metrics_url}")
        self._write(f"the shop is open for {stage.seconds:g} s and sends to {stage.place.topics.input}")

    def tick(self, moment: Moment) -> None:
        """Write how it stands, every few seconds."""
        if moment.elapsed < self._due:
            return
        self._due += LINE_SECONDS
        board, age = moment.board, moment.checkpoint_age
        checkpoint = "none yet" if age is None else f"{age:.0f} s ago"
        self._write(
            f"{moment.elapsed:3.0f} s  sent {board.sent_total:,}  predicted {board.predictions:,}  "
            f"{moment.rate:,.0f}/s  lag {board.readings.lag_records:,}  checkpoint {checkpoint}"
        )
        if board.dead_letters:
            for line in wrapped(f"       refused {board.dead_letters.total():,}: ", reasons(board.dead_letters)):
                self._write(line.text)

    def summed_up(self, summary: Summary, log: Path | None) -> None:
        """Write the summary."""
        stage = self._stage
        self._write("")
        for line in summary_lines(summary, stage.place, source=stage.source, environment=stage.environment, log=log):
            self._write(line.text)

    def close(self) -> None:
        """Leave nothing unwritten."""
        self._out.flush()

    def _write(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()


class JsonDisplay:
    """Writes one JSON object a line; each names its `type`: waiting, opened, progress, summary.

    Args:
        out: where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._waited_for = ""
        self._due = 0.0

    def waiting(self, what: str, seconds: float) -> None:
        """Write what is waited for, once."""
        if what != self._waited_for:
            self._waited_for = what
            self._write("waiting", what=what, seconds=round(seconds, 1))

    def opened(self, stage: Stage) -> None:
        """Write where everything is."""
        place = stage.place
        self._write(
            "opened",
            broker=place.address,
            embedded=place.is_embedded,
            guarantee=place.guarantee.value,
            topics=place.topics._asdict(),
            group=place.group,
            source=stage.source,
            worker=stage.pid,
            metrics=stage.metrics_url,
            seconds=stage.seconds,
        )

    def tick(self, moment: Moment) -> None:
        """Write how it stands, every second."""
        if moment.elapsed < self._due and not moment.is_last:
            return
        self._due += JSON_SECONDS
        board, age = moment.board, moment.checkpoint_age
        self._write(
            "progress",
            elapsed=round(moment.elapsed, 1),
            sent=board.sent_total,
            predictions=board.predictions,
            dead_letters=dict(board.dead_letters),
            repeats=board.readings.repeats,
            events_per_second=round(moment.rate, 1),
            lag_records=board.readings.lag_records,
            checkpoint_age=None if age is None else round(age, 1),
            shop_time=board.shop_time,
        )

    def summed_up(self, summary: Summary, log: Path | None) -> None:
        """Write the summary."""
        self._write("summary", **summary.as_json(), log=None if log is None else str(log))

    def close(self) -> None:
        """Leave nothing unwritten."""
        self._out.flush()

    def _write(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 -- whatever JSON can say
        self._out.write(json.dumps({"type": kind, **fields}) + "\n")
        self._out.flush()

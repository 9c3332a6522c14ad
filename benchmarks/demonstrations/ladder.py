"""What befalls checkpoints, offsets and the log, one after the other: refused or recovered as documented."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Report
from benchmarks.shop import LINEAR
from benchmarks.situations import MARKS, SEED, SITUATIONS, Recovered, Refused, Situation, events
from consumer.errors import ExitCode
from tests import sabotage
from tests.oracle import differences
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from confluent_kafka import Message

    from tests.kafka import Broker
    from tests.stage import WorkerProcess

__all__ = ["SEED", "demonstrate"]

MODEL: Final = {"MODEL": "linear", "KAFKA_SESSION_TIMEOUT_MS": "6000"}
"""The model that the independent loop knows, and a group that is empty soon after a worker has left it."""

NAMED_EVENTS: Final = (
    *("checkpoint_restored", "older_checkpoint_restored", "replay_from_first", "checkpoint_unusable"),
    *("checkpoint_missing", "replay_differs", "state_adopted", "resuming_after_output", "publishing_anew"),
    *("gap_accepted", "stopped_by_error"),
)
"""The log's events that say which way a start took."""


class Row(NamedTuple):
    """One start of a worker: how, what was expected of it, what was seen, and whether that is the same."""

    start: str
    expected: str
    seen: str
    is_good: bool


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Go through the situations and print what was expected of each start and what was seen."""
    table = Table("situation", "start", "expected", "seen", title="The recovery ladder", show_lines=True)
    documented = total = compared = 0
    different: list[str] = []
    for number, situation in enumerate(SITUATIONS):
        print(f"  {number + 1} of {len(SITUATIONS)}: {situation.what}", flush=True)
        rows, unequal, published = _play(situation, broker, directory / str(number))
        for index, row in enumerate(rows):
            what = situation.what if index == 0 else ""
            table.add_row(what, row.start, row.expected, row.seen, style="" if row.is_good else "red")
        documented += all(row.is_good for row in rows)
        total += len(rows)
        report.counts[situation.what] = [row._asdict() for row in rows]
        compared += published
        different += unequal
    Console(width=180).print(table)
    for text in different[:10]:
        print(f"  difference: {text}")
    report.add(Figure("situations as documented", documented, "=", len(SITUATIONS)))
    report.add(Figure("starts of a worker in them", total, ">", len(SITUATIONS)))
    report.add(Figure("published records compared with the independent loop", compared, ">", 0))
    report.add(Figure("differences from it, to the byte", len(different), "=", 0))


def _play(situation: Situation, broker: Broker, directory: Path) -> tuple[list[Row], list[str], int]:
    """Play one situation on topics of its own; return its rows, the differences, and how much was compared."""
    stage = Stage(broker.bootstrap_servers, directory, partitions=1, prefix="ladder")
    for begin, end in pairwise(MARKS[:3]):
        stage.send(events(begin, end))
        stage.run_to_end(**MODEL, **situation.settings)
    for path in sabotage.checkpoints(stage)[2:]:
        path.unlink()
    before = stage.inputs()[0]
    at = stage.committed()[0].offset
    situation.happens(stage)
    rows = []
    records = before
    for start in situation.starts:
        settings = {**MODEL, **situation.settings, **start.settings}
        shown = " ".join(("run", *start.flags, *(f"{name}={value}" for name, value in start.settings.items())))
        if isinstance(start, Refused):
            rows.append(_refuse(stage, shown, start, settings))
        else:
            stage.send(events(*MARKS[2:]))
            rows.append(_recover(stage, shown, start, settings))
            now = stage.inputs()[0]
            records = [each for each in before if _offset(each) < _offset(now[0])] + now
    oracle = stage.truth(LINEAR, records={0: records}).published[0]
    expected = situation.truth(oracle, at)
    return rows, [f"{situation.what}: {text}" for text in differences(expected, stage.published()[0])], len(expected)


def _offset(message: Message) -> int:
    return message.offset() or 0


def _refuse(stage: Stage, shown: str, start: Refused, settings: Mapping[str, str]) -> Row:
    before = len(stage.published()[0])
    with stage.worker("worker-0", *start.flags, **settings) as worker:
        code = worker.wait(60)
    reason = " ".join(str(line["reason"]) for line in worker.events("stopped_by_error"))
    found = [word for word in start.words if word in reason]
    published = len(stage.published()[0]) - before
    return Row(
        shown,
        f"refused, exit {start.code.value} ({start.code.name}): {'; '.join(start.words)}",
        f"exit {code} ({ExitCode(code).name}), {published} published: {'; '.join(found)}",
        is_good=(code, found, published) == (start.code, list(start.words), 0),
    )


def _recover(stage: Stage, shown: str, start: Recovered, settings: Mapping[str, str]) -> Row:
    with stage.worker("worker-0", *start.flags, **settings) as worker:
        stage.wait_until_done(60)
        restores, gaps = _scraped(worker)
        code = worker.terminate()
    found = [name for name in NAMED_EVENTS if worker.events(name)]
    return Row(
        shown,
        _said(0, start.events, start.restores, start.gaps),
        _said(code, found, restores, gaps),
        is_good=(code, restores, gaps, set(found)) == (0, start.restores, start.gaps, set(start.events)),
    )


def _scraped(worker: WorkerProcess) -> tuple[dict[str, int], int]:
    metrics = worker.metrics()
    prefix = 'restores_total{outcome="'
    restores = {
        name.removeprefix(prefix).removesuffix('"}'): int(value)
        for name, value in metrics.items()
        if name.startswith(prefix) and value
    }
    return restores, int(metrics["gaps_accepted_total"])


def _said(code: int, log: Iterable[str], restores: Mapping[str, int], gaps: int) -> str:
    counts = ", ".join(f"{outcome} {number}" for outcome, number in sorted(restores.items()))
    accepted = f", gaps_accepted {gaps}" if gaps else ""
    return f"exit {code}; log: {', '.join(sorted(log))}; restores: {counts}{accepted}"

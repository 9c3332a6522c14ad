"""Every kind of bad event on the real broker: answered as the contract says, and the good ones as if without it."""

from __future__ import annotations

import json
import re
import urllib.request
from collections import Counter
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.bad_kinds import BAD_KINDS
from benchmarks.figures import Figure, Report
from benchmarks.kinds import (
    LATE,
    MISROUTED,
    PARTITIONS,
    PREDICTION,
    REPEAT,
    UNKNOWN_TYPE,
    Kind,
    Sending,
    answer,
    is_letter,
)
from benchmarks.mixture import Place, mixed, send, shop
from benchmarks.odd_kinds import ODD_KINDS
from benchmarks.shop import LINEAR
from consumer.errors import ExitCode
from schemas.dead_letter import Reason
from schemas.routing import Misrouting
from tests.kafka import wait_until
from tests.stage import Stage, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tests.kafka import Broker
    from tests.oracle import Published
    from tests.stage import Truth

SEED = 20261124
GOOD_EVENTS: Final = 6_000
ROUNDS: Final = 2
"""How often each kind is sent, at places of its own."""

FEWEST_KINDS: Final = 50
GOOD_BEFORE: Final = 3_000
BAD_IN_A_ROW: Final = 400
WINDOW: Final = 1_000
SETTINGS: Final = {"MODEL": "linear", "PROCESSING_GUARANTEE": "exactly_once"}
_SOURCE_OFFSET: Final = re.compile(rb'"source_offset":[0-9]+}$')


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Send good and bad events, hold the answers to the table, then send the good ones alone; at last too many bad."""
    stage = Stage(broker.bootstrap_servers, directory / "mixed", partitions=PARTITIONS, prefix="bad")
    kinds = (*BAD_KINDS, *ODD_KINDS)
    sent = send(stage, mixed(kinds, good=GOOD_EVENTS, rounds=ROUNDS, seed=SEED))
    report.add(Figure("kinds of records", len({kind.name for kind in kinds}), ">=", FEWEST_KINDS))
    report.add(Figure("kinds that are refused", sum(is_letter(kind.expected) for kind in kinds), ">=", FEWEST_KINDS))
    report.add(Figure("records sent", len(sent), "=", GOOD_EVENTS + ROUNDS * len(kinds)))
    with stage.worker(**SETTINGS) as worker:
        metrics = _finished(stage, worker)
    published = stage.published()
    seen = _seen(published, sent)
    wrong = _show_kinds(kinds, sent, seen)
    report.add(Figure("kinds not answered as expected", len(wrong), "=", 0))
    letters = _letters(published)
    report.add(Figure("dead letters", len(letters), "=", sum(is_letter(each.expected) for each in sent.values())))
    changed = [place for place, letter in letters.items() if not _is_original(letter, sent[place])]
    report.add(Figure("dead letters that are not the original, byte for byte", len(changed), "=", 0))

    truth = stage.truth(LINEAR)
    differences = stage.differences(truth)
    report.add(Figure("differences from the contract's independent loop", len(differences), "=", 0))
    report.counts |= {"truth": truth.counts, "dead letters": truth.reasons, "misrouted": truth.misrouted}
    miscounted = _miscounted(metrics, sent, truth)
    report.add(Figure("metrics that count otherwise than table and loop", len(miscounted), "=", 0))
    for problem in (*wrong, *changed, *differences, *miscounted):
        print(f"  ! {problem}")

    _show_good_alone(
        report, Stage(broker.bootstrap_servers, directory / "good", partitions=PARTITIONS), sent, published
    )
    _show_too_many(report, Stage(broker.bootstrap_servers, directory / "ratio", partitions=1))


# --- holding the answers to the table -------------------------------------------------------------------------------


def _finished(stage: Stage, worker: WorkerProcess) -> dict[str, float]:
    """Let a worker come to the end of the input, and return its metrics as a monitor would scrape them."""
    (serving,) = wait_until(lambda: worker.events("serving"), 60, "the worker to serve")
    stage.wait_until_done(120)
    with urllib.request.urlopen(f"http://127.0.0.1:{serving['port']}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    code = worker.terminate()
    if code != ExitCode.OK:
        raise AssertionError(f"the worker ended with {code}")
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("smart_inventory_"))
    return {name.removeprefix("smart_inventory_"): float(number) for name, number in pairs}


def _seen(published: Mapping[int, Iterable[Published]], sent: Mapping[Place, Sending]) -> dict[Place, str]:
    """Return what became of each record: its dead letter's reason, a prediction, or nothing."""
    seen = dict.fromkeys(sent, REPEAT)
    for partition, messages in published.items():
        for message in messages:
            place = partition, message.source_offset
            got = _header(message, "error.reason") if message.kind == "dead_letter" else _prediction(message)
            seen[place] = got if seen.get(place) == REPEAT else f"{seen.get(place)} and {got}"
    return seen


def _show_kinds(kinds: Iterable[Kind], sent: Mapping[Place, Sending], seen: Mapping[Place, str]) -> list[str]:
    """Print the table of kinds and return the names of those that were not answered as expected."""
    answers: dict[str, Counter[str]] = {kind.name: Counter() for kind in kinds}
    for place, sending in sent.items():
        if sending.kind:
            answers[sending.kind][seen[place]] += 1
    table = Table("kind", "expected", "seen", title="kinds of records and what became of them")
    wrong = []
    for kind in kinds:
        got = answers[kind.name]
        is_right = got == {answer(kind.expected): ROUNDS}
        table.add_row(
            Text(kind.name[:70]), kind.expected, ", ".join(f"{number} {what}" for what, number in got.items())
        )
        if not is_right:
            wrong.append(f"{kind.name}: expected {kind.expected}, seen {dict(got)}")
    Console(width=150).print(table)
    return wrong


def _prediction(message: Published) -> str:
    is_late: bool = json.loads(message.value or b"")["is_late"]
    return LATE if is_late else PREDICTION


def _letters(published: Mapping[int, Iterable[Published]]) -> dict[Place, Published]:
    return {
        (partition, message.source_offset): message
        for partition, messages in published.items()
        for message in messages
        if message.kind == "dead_letter"
    }


def _is_original(letter: Published, sending: Sending) -> bool:
    """Tell whether a dead letter is what was sent, byte for byte, but for its own `error.*` headers."""
    kept = tuple(header for header in letter.headers if not header[0].startswith("error."))
    if _header(letter, "error.reason") == Reason.TOO_LARGE.value:
        return (letter.key, letter.value, kept) == (None, None, ())
    foreign = tuple(header for header in sending.headers or () if not header[0].startswith("error."))
    return (letter.key, letter.value, kept) == (sending.key, sending.value, foreign)


def _header(message: Published, name: str) -> str:
    return (dict(message.headers)[name] or b"").decode()


def _miscounted(metrics: Mapping[str, float], sent: Mapping[Place, Sending], truth: Truth) -> list[str]:
    """Return the metrics that differ from the table where it says what is counted, else from the independent loop."""
    expected = Counter(sending.expected for sending in sent.values())
    letters = {reason.value: expected[reason.value] for reason in Reason}
    wanted = {
        "records_consumed_total": len(sent),
        "predictions_produced_total": len(sent) - sum(letters.values()) - expected[REPEAT],
        'records_skipped_total{reason="repeat"}': expected[REPEAT],
        "unknown_types_total": expected[UNKNOWN_TYPE],
        "late_events_total": truth.counts["late"],
        "unknown_levels_total": truth.counts["unknown_levels"],
        "events_learned_total": truth.counts["learned"],
        **{f'dead_letters_total{{reason="{reason}"}}': number for reason, number in letters.items()},
        **{f'misrouted_items_total{{reason="{way}"}}': expected[MISROUTED + way] for way in Misrouting},
    }
    return [
        f"{name}: expected {number}, counted {metrics.get(name)}"
        for name, number in wanted.items()
        if metrics.get(name) != number
    ]


# --- the good events alone ------------------------------------------------------------------------------------------


def _show_good_alone(
    report: Report, stage: Stage, sent: Mapping[Place, Sending], published: Mapping[int, Iterable[Published]]
) -> None:
    """Let another group read, from another topic, what the contract takes of the same records, and compare."""
    taken = [
        replace(sending, partition=partition)
        for (partition, _), sending in sent.items()
        if answer(sending.expected) in {PREDICTION, LATE}
    ]
    send(stage, taken)
    stage.run_to_end(**SETTINGS)
    alone = stage.published()
    report.add(Figure("good events sent alone", len(taken), ">=", GOOD_EVENTS))
    report.add(Figure("dead letters and repeats among them", len(taken) - len(_bare(alone)), "=", 0))
    differ = sum(left != right for left, right in zip_longest(_bare(published), _bare(alone)))
    report.add(Figure("good events' predictions that differ", differ, "=", 0))


def _bare(published: Mapping[int, Iterable[Published]]) -> list[tuple[int, bytes | None, bytes]]:
    """Return (partition, key, value) of all predictions in order, the values without the offset of their source."""
    return [
        (partition, message.key, _SOURCE_OFFSET.sub(b"}", message.value or b""))
        for partition, messages in sorted(published.items())
        for message in messages
        if message.kind == "prediction"
    ]


# --- too many bad ones ----------------------------------------------------------------------------------------------


def _show_too_many(report: Report, stage: Stage) -> None:
    """Above the ratio the worker stops where it stands, and does so again, until the operator decides."""
    *before, last = shop(GOOD_BEFORE + 1, seed=SEED)
    bad = [replace(last, value=b"till offline") for _ in range(BAD_IN_A_ROW)]
    send(stage, before)
    stage.run_to_end(**SETTINGS)
    send(stage, [*bad, last])
    crossing = GOOD_BEFORE + int(0.2 * WINDOW)  # as MAX_INVALID_RATIO and INVALID_WINDOW_RECORDS are by default
    stops = [_stopped(stage) for _ in range(2)]
    report.counts["stops"] = stops
    report.add(
        Figure("starts that end with exit code 11", sum(s["code"] == ExitCode.INVALID_RATIO for s in stops), "=", 2)
    )
    report.add(
        Figure(
            "of them, at the record that crosses the ratio",
            sum(f"offset {crossing}:" in s["reason"] for s in stops),
            "=",
            2,
        )
    )
    report.add(Figure("committed offset after both", max(s["committed"] for s in stops), "=", GOOD_BEFORE))
    report.add(Figure("records published from there on", sum(s["beyond"] for s in stops), "=", 0))

    stage.run_to_end(**SETTINGS, MAX_INVALID_RATIO="0.5")
    differences = stage.differences(stage.truth(LINEAR))
    report.add(Figure("differences from the loop, the ratio raised", len(differences), "=", 0))

    stage.renew_group()
    report.add(Figure("a new group's exit code", _stopped(stage)["code"], "=", ExitCode.INVALID_RATIO))
    worker = stage.worker(
        "worker-0", "--stop-at-end", "--skip", f"0:{GOOD_BEFORE}-{GOOD_BEFORE + BAD_IN_A_ROW - 1}", **SETTINGS
    )
    report.add(Figure("its exit code with --skip", worker.wait(120), "=", ExitCode.OK))
    skipped = {(0, GOOD_BEFORE + number) for number in range(BAD_IN_A_ROW)}
    differences += stage.differences(stage.truth(LINEAR, skipped=skipped))
    report.add(Figure("differences from the loop, the bad ones skipped", len(differences), "=", 0))


def _stopped(stage: Stage) -> dict[str, Any]:
    """Start a worker, let it end, and return what it says and leaves."""
    with stage.worker("worker-0", "--stop-at-end", **SETTINGS) as worker:
        code = worker.wait(120)
        reasons = [line["reason"] for line in worker.events("stopped_by_error")]
    committed = stage.committed()[0].offset
    beyond = sum(message.source_offset >= committed for message in stage.published()[0])
    return {"code": code, "reason": " ".join(reasons), "committed": committed, "beyond": beyond}

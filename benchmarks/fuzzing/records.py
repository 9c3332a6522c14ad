"""Mutated records through the worker's core and through the contract's independent reading, compared to the byte.

Wrong accepted or right refused is any difference at all: in the verdict, its reason and message, a byte of key, value
or headers, a decoded value that is not published, or the counts at an episode's end. Of `guarded`, which the oracle
does not know, `predicted_stock_level` and `events_learned` are left out; but its prediction must be null exactly where
the level before is unknown, as the contract says, and finite elsewhere.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Final, Literal

from benchmarks.fuzzing.events import Mutator
from benchmarks.fuzzing.verdicts import SLOWEST_SECONDS, Found, Verdicts
from consumer.checkpoint.unpickling import Admitted, decode_sections
from consumer.learning.fingerprint import LearningSettings
from consumer.learning.model import ModelScope
from consumer.learning.output import Outcome
from consumer.learning.task import PartitionTask
from consumer.model_choice import model_kind
from schemas.dead_letter import EXPECTED, MESSAGES
from schemas.transaction import Limits, decode, parse_moment
from tests.oracle import PartitionOracle, Published, differences
from tests.oracle import decode as read

if TYPE_CHECKING:
    from benchmarks.fuzzing.events import Mutant
    from consumer.learning.output import Output
    from consumer.learning.task import Tally
    from consumer.record import Record

EPISODE_CASES: Final = 1_000
_MODEL_ID: Final = "0123456789ab"
_KINDS: Final[dict[Outcome, Literal["prediction", "dead_letter"]]] = {
    Outcome.PREDICTION: "prediction",
    Outcome.DEAD_LETTER: "dead_letter",
}
_ADMITTED: Final = Admitted()
_PREDICTED: Final = re.compile(rb'"predicted_stock_level":[^,]*,|"events_learned":[0-9]+,')
_MODELS: Final = {name: model_kind(name) for name in ("linear", "guarded")}


def judge_records(seed: int, episode: int, cases: int = EPISODE_CASES) -> Verdicts:
    """Let a new core and a new oracle read the same mutants, and compare all that they publish and count.

    In mid-episode the core goes through its own checkpoint.

    Args:
        seed: of the whole run.
        episode: which part of it; each has settings of its own.
        cases: how many records; the first difference ends the episode, since both then hold other states.
    """
    rng = Random(f"{seed}:{episode}")
    learning = _settings(rng)
    partition, offset = rng.randrange(4), rng.choice((0, 1, 40, 2**40))
    task, oracle = _task(learning, partition, offset + 1), _oracle(learning, partition)
    mutator = Mutator(
        rng,
        partition=partition,
        limit=learning.max_output_bytes,
        clock_ahead_seconds=learning.limits.max_clock_ahead_seconds,
        first_offset=offset,
    )
    verdicts = Verdicts()
    restart = rng.randrange(cases)
    for number in range(cases):
        if number == restart:
            state = decode_sections(task.snapshot(), _ADMITTED)
            tally, task = task.tally, _task(learning, partition, offset + 1)
            task.restore(state)
            task.tally = tally
        mutant = mutator.mutant()
        difference = _judge(mutant, task, oracle, verdicts, learning.model)
        if difference is not None:
            where = f"seed {seed}, episode {episode}, case {number}, {'+'.join(mutant.mutations)}"
            verdicts.found.append(Found(where, f"{difference[:1_000]}; {mutant.record!r:.3000} under {learning!r}"))
            return verdicts
    counted, wanted = _counts(task.tally, learning.model), _counts(oracle, learning.model)
    if counted != wanted:
        where = f"seed {seed}, episode {episode}, at the end"
        verdicts.found.append(Found(where, f"the core counts {counted - wanted} too many, {wanted - counted} too few"))
    return verdicts


def _settings(rng: Random) -> LearningSettings:
    return LearningSettings(
        model=rng.choice(("linear", "linear", "linear", "guarded")),
        scope=rng.choice(list(ModelScope)),
        seen_ids=rng.choice((1, 2, 20, 200, 1_000)),
        invalid_window_records=100,
        limits=Limits(
            rng.choice((1e6, 1e6, 1e6, 1_000.0, 5.0, 0.5)), rng.choice((86_400, 86_400, 86_400, 0, 1, 10**9))
        ),
        max_output_bytes=rng.choice((2_300, 2_800, 4_096, 16_384)),
        item_retire_days=rng.choice((1, 2, 30, 400, 36_500)),
    )


def _task(learning: LearningSettings, partition: int, first_offset: int) -> PartitionTask:
    return PartitionTask(
        topic="sales",
        partition=partition,
        first_offset=first_offset,
        settings=learning,
        model_id=_MODEL_ID,
        model_kind=_MODELS[learning.model],
        partitions=4,
    )


def _oracle(learning: LearningSettings, partition: int) -> PartitionOracle:
    return PartitionOracle(
        topic="sales",
        partition=partition,
        model_id=_MODEL_ID,
        messages={reason.value: text for reason, text in MESSAGES.items()},
        field_expectations=EXPECTED,
        max_quantity=learning.limits.max_quantity,
        max_clock_ahead_seconds=learning.limits.max_clock_ahead_seconds,
        seen_ids=learning.seen_ids,
        item_retire_days=learning.item_retire_days,
        max_output_bytes=learning.max_output_bytes,
        scope=learning.scope.value,
        partitions=4,
    )


def _judge(mutant: Mutant, task: PartitionTask, oracle: PartitionOracle, verdicts: Verdicts, model: str) -> str | None:
    """Return how core and oracle differ over one record, None where they do not."""
    record = mutant.record
    wanted = oracle.feed((record.offset, record.timestamp_ms, record.key, record.value, record.headers or ()))
    verdict = _verdict(wanted)
    problem = None
    started = time.thread_time()
    try:
        got = published(record.offset, task.process(record))
    except Exception as error:  # noqa: BLE001 -- whatever it is: it would stop the worker
        got, problem = None, f"the core raised {type(error).__name__}: {error}"
    seconds = time.thread_time() - started
    verdicts.count(verdict, mutant.mutations, is_valid=verdict in {"prediction", "repeat"}, seconds=seconds)
    if model == "guarded" and got is not None and wanted is not None and got.kind == wanted.kind == "prediction":
        problem = problem or _unfounded(got)
        got, wanted = _without_prediction(got), _without_prediction(wanted)
    if problem is None and got != wanted:
        problem = "; ".join(differences([wanted] if wanted else [], [got] if got else []))
    if problem is None and verdict in {"prediction", "repeat"}:
        problem = _misread(record, oracle)
    if problem is None and seconds > SLOWEST_SECONDS:
        problem = f"the core took {seconds:.1f} s"
    return problem


def _unfounded(published: Published) -> str | None:
    """Return what is wrong with a prediction of `guarded`, whatever it has learned."""
    fields = json.loads(published.value or b"")
    before, predicted = fields["level_before"], fields["predicted_stock_level"]
    if (before is None) is not (predicted is None) or not math.isfinite(predicted or 0.0):
        return f"guarded predicts {predicted} where the level before is {before}"
    return None


def _without_prediction(published: Published) -> Published:
    return published._replace(value=_PREDICTED.sub(b"", published.value or b""))


def _misread(record: Record, oracle: PartitionOracle) -> str | None:
    """Return which values of a valid event the core reads otherwise: not all of them show in what is published."""
    limits = Limits(oracle.max_quantity, int(oracle.max_clock_ahead_seconds))
    event = decode(record.value, record.timestamp_ms, limits)
    truth = read(record.value, record.timestamp_ms, oracle.max_quantity, oracle.max_clock_ahead_seconds)
    moment, day = parse_moment(event.occurred_at), truth.local_date
    compared = {
        "ids": (
            (event.transaction_id, event.store_id, event.sku, event.line_id, event.corrects),
            (truth.transaction_id, truth.store_id, truth.sku, truth.line_id, truth.corrects),
        ),
        "quantity": (
            (event.quantity or 0.0, event.quantity_millionths),
            (truth.quantity, truth.quantity_millionths),
        ),
        "type": (event.transaction_type or "", truth.transaction_type if event.transaction_type else ""),
        "unit_cost": (event.unit_cost, truth.unit_cost),
        "level": (event.level_millionths, truth.observed_millionths),
        "instant": ((event.occurred_us, moment.us), (truth.instant, truth.instant)),
        "day": ((moment.day_of_week, moment.month, moment.year), (day.weekday(), day.month, day.year)),
    }
    return (
        "; ".join(f"{name} is read as {got}, is {is_}" for name, (got, is_) in compared.items() if got != is_) or None
    )


def published(offset: int, output: Output | None) -> Published | None:
    """Return an output of the core in the oracle's terms."""
    if output is None:
        return None
    return Published(_KINDS[output.outcome], offset, output.key, output.value, tuple(output.headers or ()))


def _verdict(published: Published | None) -> str:
    if published is None:
        return "repeat"
    if published.kind == "prediction":
        return "prediction"
    return (dict(published.headers)["error.reason"] or b"").decode()


def _counts(counts: Tally | PartitionOracle, model: str) -> Counter[str]:
    """Return what was counted, by name."""
    named = Counter(
        {
            "predictions": counts.predictions,
            "repeats": counts.repeats,
            "late": counts.late,
            "unknown types": counts.unknown_types,
            "unknown levels": counts.unknown_levels,
            "items retired": counts.retired,
        }
    )
    if model != "guarded":
        named["learned"] = counts.learned
    named.update({f"misrouted, {way}": number for way, number in counts.misrouted.items()})
    named.update({f"dead letters, {reason}": number for reason, number in counts.dead_letters.items()})
    return named

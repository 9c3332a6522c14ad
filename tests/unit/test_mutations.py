"""The fuzzing, in small: some thousand mutants find nothing, and they do find what is broken on purpose."""

from __future__ import annotations

import os
import re
import time
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from benchmarks.fuzzing import checkpoints, content, environments, pickles, records, references, shards, tokens
from benchmarks.fuzzing.content import pickled
from benchmarks.fuzzing.events import Mutator
from benchmarks.fuzzing.honest import honest
from benchmarks.fuzzing.shards import judge_all
from benchmarks.fuzzing.verdicts import SLOWEST_SECONDS, Verdicts
from consumer.checkpoint import envelope, reference, unpickling
from consumer.errors import SettingsError
from consumer.learning import batch, identities, task
from consumer.settings import Settings
from schemas import transaction
from schemas.dead_letter import InvalidEvent, Reason
from tests import sealing

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.fuzzing.shards import Judge

SEED = 7


def judged(judge: Judge, episodes: int) -> Verdicts:
    """What some episodes came to."""
    verdicts = Verdicts()
    for episode in range(episodes):
        verdicts.add(judge(SEED, episode))
    return verdicts


JUDGES: list[tuple[Judge, int, set[str]]] = [
    (
        records.judge_records,
        5,
        {"prediction", "repeat", *(reason.value for reason in Reason if reason is not Reason.BROKE_MODEL)},
    ),
    (
        checkpoints.judge_checkpoints,
        6,
        {"accepted", "refused by the envelope", "refused by the unpickler", "refused by the task"},
    ),
    (references.judge_references, 2, {"accepted", "refused"}),
    (environments.judge_settings, 2, {"accepted", "refused"}),
]


@pytest.mark.parametrize(("judge", "episodes", "every"), JUDGES, ids=["records", "checkpoints", "metadata", "settings"])
def test_nothing_wrong_is_taken_and_nothing_right_refused(judge: Judge, episodes: int, every: set[str]) -> None:
    """Mutants of everything that comes from outside get the verdict of an independent reading, each verdict in use."""
    verdicts = judged(judge, episodes)
    assert verdicts.found == []
    assert set(verdicts.verdicts) == every
    assert verdicts.valid >= 0.2 * verdicts.cases
    assert verdicts.slowest < SLOWEST_SECONDS


@pytest.mark.parametrize("judge", [judge for judge, _, _ in JUDGES])
def test_a_seed_and_a_number_bring_a_case_back(judge: Judge) -> None:
    """What was found in one process is found again in another, from seed and episode alone."""
    first, second = judge(SEED, 3), judge(SEED, 3)
    assert (first.verdicts, first.mutations) == (second.verdicts, second.mutations)
    assert judge(SEED, 4).mutations != first.mutations


def test_a_mutant_is_never_an_untouched_event() -> None:
    """Each has one to four mutations; every mutation there is comes up."""
    mutator = Mutator(Random(SEED), partition=0, limit=4_096, clock_ahead_seconds=86_400)
    mutants = [mutator.mutant() for _ in range(3_000)]
    assert {len(mutant.mutations) for mutant in mutants} == {1, 2, 3, 4}
    every = {mutation for mutant in mutants for mutation in mutant.mutations}
    assert len(every) == len(mutator.names) + len({"repeat", "reformatted_repeat", "conflicting_repeat"})
    assert [mutant.record.offset for mutant in mutants] == sorted({mutant.record.offset for mutant in mutants})


# It can fail: each of these breaks one thing, and is found


def accepting(reason: Reason) -> Callable[..., Any]:
    """A decoder that lets one kind of refusal pass, as the event it would have been."""
    former = transaction.decode

    def decode(value: bytes | None, timestamp_ms: int, limits: transaction.Limits) -> transaction.Event:
        try:
            return former(value, timestamp_ms, limits)
        except InvalidEvent as invalid:
            if invalid.reason is not reason:
                raise
            return former(
                b'{"transaction_id":"t","store_id":"s","sku":"k","quantity":-1,"occurred_at":"2017-01-01T00:00:00Z"}',
                -1,
                transaction.Limits(),
            )

    return decode


def without_a_bound(event: transaction.Event, _max_quantity: float) -> int:
    """A decoder's rule that forgets how large a quantity may be."""
    return round((event.quantity or 0.0) * 1e6)


def with_another_day(text: str) -> transaction.Moment:
    """A reading of times that is off by one weekday where the offset is not 0."""
    moment = transaction.parse_moment(text)
    shift = not text.endswith(("Z", "z", "+00:00"))
    return msgspec.structs.replace(moment, day_of_week=(moment.day_of_week + shift) % 7)


def without_line(event: transaction.Event, item: str | None = None) -> tuple[bytes, bytes]:
    """An identity that forgets the line."""
    return HONEST_DIGESTS(msgspec.structs.replace(event, line_id=None), item)


def crashing(_value: bytes) -> bool:
    """A decoder that has not thought of everything."""
    raise OverflowError


HONEST_DIGESTS = identities.digests
BROKEN_CORE = [
    *((task, "decode", accepting(reason)) for reason in (Reason.NOT_JSON, Reason.SIGN_CONTRADICTS_TYPE)),
    (task, "decode", accepting(Reason.OCCURRED_AT_OUT_OF_RANGE)),
    (transaction, "_quantity_millionths", without_a_bound),
    (transaction, "_moment", lambda event: with_another_day(event.occurred_at)),
    (transaction, "MOST_LEVELS", 101),
    (transaction, "_is_deeper_than", lambda _levels, value: crashing(value)),
    (transaction, "TAKES_AWAY", frozenset({"sale", "waste"})),
    (identities, "digests", without_line),
    (task, "check_prediction", lambda *_: None),
    (batch, "DISCREPANCY_FLOOR", 1_000_000),
]


@pytest.mark.parametrize(("module", "name", "broken"), BROKEN_CORE, ids=[row[1] for row in BROKEN_CORE])
def test_a_broken_core_is_found(module: Any, name: str, broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is read otherwise than the contract says shows up within some thousand mutants."""
    monkeypatch.setattr(module, name, broken)
    found = judged(records.judge_records, 10).found
    assert found
    assert f"seed {SEED}, episode " in found[0].where


def unverified(data: bytes, key: bytes | None = None) -> tuple[envelope.Header, dict[str, bytes]]:
    """A reader of checkpoints that trusts them."""
    try:
        return sealing.verify_digest(data)
    except envelope.EnvelopeError:
        return HONEST_UNSEAL(data, key)


class Trusting(unpickling.Admitted):
    """An allow-list with one name too many."""

    def __init__(self) -> None:
        super().__init__((os.getpid,))


HONEST_UNSEAL = sealing.unseal


def test_a_reader_that_trusts_any_key_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another key signed counts as wrong."""
    monkeypatch.setattr(checkpoints, "unseal", unverified)
    assert "a changed file is accepted" in judged(checkpoints.judge_checkpoints, 1).found[0].what


def test_a_name_too_many_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pickle names is read independently of the allow-list; `os.getpid` is harmless, and no model's."""
    monkeypatch.setattr(pickles, "HOSTILE", ((os.getpid.__module__, "getpid"),))
    monkeypatch.setattr(checkpoints, "_ADMITTED", Trusting())
    assert "names [('posix', 'getpid')]" in judged(checkpoints.judge_checkpoints, 8).found[0].what


def test_an_honest_model_that_is_refused_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An allow-list with a name too few refuses what a worker wrote."""

    def refuse(*_: object) -> None:
        raise unpickling.UnsafePickleError("no")

    monkeypatch.setattr(checkpoints, "decode_sections", refuse)
    assert "an honest state is refused" in judged(checkpoints.judge_checkpoints, 1).found[0].what


def test_a_changed_class_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle that sets the state of a class changes the whole process."""
    former = content.wrongly_accepted

    def polluting(sections: dict[str, bytes], state: dict[str, Any]) -> str | None:
        monkeypatch.setattr("river.linear_model.LinearRegression.learn_one", None)
        return former(sections, state)

    monkeypatch.setattr(checkpoints, "wrongly_accepted", polluting)
    assert "classes were changed: ['river.linear_model" in judged(checkpoints.judge_checkpoints, 1).found[-1].what


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("_MAX_OFFSET", 2**70), ("_HEX", lambda text: len(text) >= 16), ("MAX_METADATA_BYTES", 600)),
        *(("is_place", lambda text: len(text) <= 32), ("is_place", re.compile(r"[a-z0-9.:+-]+").fullmatch)),
    ],
)
def test_a_careless_reader_of_metadata_is_found(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bound on a reference is one that mutants meet."""
    monkeypatch.setattr(reference, name, value)
    assert judged(references.judge_references, 3).found


class Careless(Settings):
    """Settings without a bound on one of them, and with a traceback for another."""

    seen_ids: int = 1


def load_carelessly() -> Settings:
    """Load them."""
    return Careless()


def load_with_secrets() -> Settings:
    """Refuse everything, and show the key."""
    raise SettingsError(os.environ["CHECKPOINT_SIGNING_KEY"])


@pytest.mark.parametrize("load", [load_carelessly, load_with_secrets])
def test_careless_settings_are_found(load: Callable[[], Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback, a value beyond its bounds and a secret that is shown all count."""
    monkeypatch.setattr(environments, "load", load)
    assert judged(environments.judge_settings, 1).found


# What hangs or crashes


HANGS_AFTER_SECONDS = 12.0
"""Under a load of 20, a process that only starts and ends was seen to take longer than six."""


def hang_or_crash(_seed: int, episode: int) -> Verdicts:
    """Judge nothing; the second episode hangs, the third ends its process."""
    if episode == 1:
        time.sleep(600)
    if episode == 2:
        os.abort()
    verdicts = Verdicts()
    verdicts.count("fine", (), is_valid=True, seconds=0.0)
    return verdicts


def test_a_hang_and_a_crash_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted with their episodes, and all other episodes are judged."""
    monkeypatch.setattr(shards, "EPISODE_SECONDS", HANGS_AFTER_SECONDS)
    judged_all = judge_all(hang_or_crash, SEED, range(5))
    assert judged_all.lost == 2
    assert judged_all.verdicts.cases == 3
    found = sorted(judged_all.verdicts.found)
    assert [each.where for each in found] == [f"seed 7, episode {number} of hang_or_crash" for number in (1, 2)]
    assert f"no end within {HANGS_AFTER_SECONDS:.0f} s" in found[0].what
    assert "the process ended with -6" in found[1].what


def test_shards_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many processes share the work, it comes to the same."""
    monkeypatch.setattr(references, "EPISODE_CASES", 50)
    one, two = (judge_all(references.judge_references, SEED, range(4), processes=number) for number in (1, 2))
    assert one.verdicts.verdicts == two.verdicts.verdicts == judged(references.judge_references, 4).verdicts
    assert one.lost == two.lost == 0


# The parts


def test_a_pickle_in_pieces_is_the_same_pickle() -> None:
    """Opcodes without their frames read the same; else mutants would fail for their frames alone."""
    for each in honest():
        for data in pickled(each.sections).values():
            joined = b"".join(pickles.opcodes(data))
            assert pickles.names(joined) == pickles.names(data)
            assert all(pickles.is_permitted(name) for name in pickles.names(joined))


def test_names_are_read_without_being_used() -> None:
    """The independent reading sees what a pickle would call, and calls nothing."""
    hostile = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0etouch /nowhere\x85R."
    assert pickles.names(hostile) == {("posix", "system")}
    assert not any(map(pickles.is_permitted, pickles.HOSTILE))


@pytest.mark.parametrize("edge", [1e6, 1e9, 0.0, 5.0])
def test_numbers_come_from_both_sides_of_a_bound(edge: float) -> None:
    """At it, the least double beside it, and a millionth beside it."""
    rng = Random(SEED)
    drawn = {tokens.beside(rng, edge) for _ in range(300)}
    values = {float(text) for text in drawn}
    assert edge in values
    assert min(values) < edge < max(values)
    assert len(drawn) >= 8

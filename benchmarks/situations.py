"""Situations of the recovery ladder: what goes wrong, and what each start of the worker after that must do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.shop import LINEAR, real_transactions
from consumer.errors import ExitCode
from consumer.learning.fingerprint import fingerprint
from consumer.model_choice import model_kind
from tests import sabotage
from tests.sealing import signed
from tests.stage import ROOT, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from consumer.simulate.events import ShopEvent
    from tests.oracle import Published

SEED: Final = 20261124
MARKS: Final = (0, 1_500, 3_000, 3_500)
"""Events of the real year: a worker reads up to the second mark, one up to the third; the rest comes afterwards."""

KEY, OTHER_KEY = "a signing key", "another signing key"
SIGNED: Final = {"CHECKPOINT_SIGNING_KEY": KEY}


class Refused(NamedTuple):
    """The worker ends with this exit code, its sentence holds these words, and nothing is published."""

    code: ExitCode
    words: tuple[str, ...]
    flags: tuple[str, ...] = ()
    settings: Mapping[str, str] = {}


class Recovered(NamedTuple):
    """The worker goes on, says so by these log events and `/metrics`, and what is published is the truth."""

    events: tuple[str, ...]
    restores: Mapping[str, int]
    flags: tuple[str, ...] = ()
    settings: Mapping[str, str] = {}
    gaps: int = 0


class Situation(NamedTuple):
    """One thing that goes wrong, and what must follow, start by start.

    Attributes:
        what: in words.
        happens: what goes wrong, after a clean stop.
        starts: what each start of the worker after that must do.
        settings: of all its workers.
        truth: what must be published in the end, from what the oracle says of the input and the offset at which all
            was well.
    """

    what: str
    happens: Callable[[Stage], None]
    starts: tuple[Refused | Recovered, ...]
    settings: Mapping[str, str] = {}
    truth: Callable[[list[Published], int], list[Published]] = lambda oracle, _at: oracle


def events(start: int, stop: int) -> Iterator[ShopEvent]:
    """Return some of the real year's events, faults among them."""
    return islice(real_transactions(MARKS[-1] + 1_000, seed=SEED), start, stop)


# What happens


def _spoil_newest(damage: Callable[[Path], None]) -> Callable[[Stage], None]:
    return lambda stage: damage(sabotage.checkpoints(stage)[0])


def _spoil_all(stage: Stage) -> None:
    for path in sabotage.checkpoints(stage):
        sabotage.truncate(path)


def _tilt_older(stage: Stage) -> None:
    newest, older = sabotage.checkpoints(stage)
    sabotage.flip(newest)
    sabotage.reseal(stage, older, models=sabotage.heavier)


def _plant(key: str | None) -> Callable[[Stage], None]:
    """Put a pickle that calls a foreign function where the committed offset refers to, whole in itself."""

    def plant(stage: Stage) -> None:
        newest = sabotage.checkpoints(stage)[0]
        name = sabotage.reseal(stage, newest, key=key.encode() if key else None, models=sabotage.foreign)
        sabotage.refer_to(stage, name)

    return plant


def _sign_with_another_key(stage: Stage) -> None:
    newest = sabotage.checkpoints(stage)[0]
    newest.write_bytes(signed(newest.read_bytes(), OTHER_KEY.encode()))


def _rotate_the_key(stage: Stage) -> None:
    """Sign the checkpoints anew, as an operator does who changes the key."""
    keys = {"CHECKPOINT_PREVIOUS_KEY": KEY, "CHECKPOINT_SIGNING_KEY": OTHER_KEY}
    subprocess.run(
        [sys.executable, "-m", "consumer", "checkpoints", "sign"],
        env={**os.environ, **stage.environment(**keys)},
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _age_river(stage: Stage) -> None:
    other = "ab" * 32
    name = sabotage.reseal(
        stage,
        sabotage.checkpoints(stage)[0],
        header=lambda header: {"meaning": {**header.meaning, "river": "0.21.0"}, "fingerprint": other},
    )
    sabotage.refer_to(stage, name, fingerprint=other)


def _delete_directory(stage: Stage) -> None:
    shutil.rmtree(stage.directory / "checkpoints")


def _reset_offset(stage: Stage) -> None:
    sabotage.commit_as_another_tool(stage, 1_000, None)


def _lose_offsets_and_store(stage: Stage) -> None:
    sabotage.delete_group(stage)
    _delete_directory(stage)


def _recreate_topic(stage: Stage) -> None:
    sabotage.recreate_input(stage)
    stage.send(events(*MARKS[2:]))


def _cut_log_below(stage: Stage) -> None:
    sabotage.delete_records(stage, 500)


def _cut_log_and_spoil_all(stage: Stage) -> None:
    _cut_log_below(stage)
    _spoil_all(stage)


def _cut_log_above(stage: Stage) -> None:
    """Let retention overtake the committed offset."""
    at = stage.committed()[0].offset
    stage.send(events(MARKS[3], MARKS[3] + 500))
    sabotage.delete_records(stage, at + 300)


# What must be published


def _under_another_model_id(oracle: list[Published], at: int) -> list[Published]:
    """From the adopted offset on, the same predictions under the new fingerprint."""
    former, present = (
        fingerprint(learning, model_kind("linear").parameters).model_id.encode()
        for learning in (LINEAR, LINEAR._replace(seen_ids=50_000))
    )
    return [
        each._replace(value=(each.value or b"").replace(former, present))
        if each.kind == "prediction" and each.source_offset >= at
        else each
        for each in oracle
    ]


def _twice(oracle: list[Published], at: int) -> list[Published]:
    """What was published before, and then everything from the beginning."""
    again = [(kind, [each for each in oracle if each.kind == kind]) for kind in ("prediction", "dead_letter")]
    return [each for _, kind in again for each in [*(one for one in kind if one.source_offset < at), *kind]]


NEW_GROUP: Final = "new CONSUMER_GROUP with a new OUTPUT_TOPIC"
_ONE_DOWN: Final = Recovered(
    ("checkpoint_unusable", "older_checkpoint_restored"), {"unusable_checkpoint": 1, "older_checkpoint": 1}
)
_RESUMES: Final = ("older_checkpoint_restored", "resuming_after_output")

SITUATIONS: Final = (
    Situation("one bit of the checkpoint flipped", _spoil_newest(sabotage.flip), (_ONE_DOWN,)),
    Situation("the checkpoint cut in half", _spoil_newest(sabotage.truncate), (_ONE_DOWN,)),
    Situation(
        "every checkpoint damaged",
        _spoil_all,
        (Recovered(("checkpoint_unusable", "replay_from_first"), {"unusable_checkpoint": 2, "replay_from_first": 1}),),
    ),
    Situation(
        "the newest damaged, the older whole but its model a hair off",
        _tilt_older,
        (
            Recovered(
                ("checkpoint_unusable", "older_checkpoint_restored", "replay_differs", "replay_from_first"),
                {"unusable_checkpoint": 1, "older_checkpoint": 1, "replay_differs": 1, "replay_from_first": 1},
            ),
        ),
    ),
    Situation("a foreign class in the pickle, digest and reference recomputed", _plant(None), (_ONE_DOWN,)),
    Situation("the same, signed with the right key", _plant(KEY), (_ONE_DOWN,), SIGNED),
    Situation("the checkpoint signed with another key", _sign_with_another_key, (_ONE_DOWN,), SIGNED),
    Situation(
        "another key set",
        lambda _: None,
        (
            Refused(
                ExitCode.STATE,
                ("PYTHONHASHSEED was", "another key signed it", NEW_GROUP),
                settings={"CHECKPOINT_SIGNING_KEY": OTHER_KEY},
            ),
        ),
        SIGNED,
    ),
    Situation(
        "the key changed as documented",
        _rotate_the_key,
        (
            Recovered(
                ("state_adopted",),
                {"adopted": 1},
                flags=("--adopt-state",),
                settings={"CHECKPOINT_SIGNING_KEY": OTHER_KEY},
            ),
        ),
        SIGNED,
    ),
    Situation(
        "the state of an older River",
        _age_river,
        (
            Refused(ExitCode.STATE, ("river was 0.21.0, is", "--adopt-state", NEW_GROUP)),
            Recovered(("state_adopted",), {"adopted": 1}, flags=("--adopt-state",)),
        ),
    ),
    Situation(
        "a setting changed",
        lambda _: None,
        (
            Refused(
                ExitCode.STATE,
                ("SEEN_IDS was 100000, is 50000", "--adopt-state", NEW_GROUP),
                settings={"SEEN_IDS": "50000"},
            ),
            Recovered(("state_adopted",), {"adopted": 1}, flags=("--adopt-state",), settings={"SEEN_IDS": "50000"}),
        ),
        truth=_under_another_model_id,
    ),
    Situation(
        "the checkpoint directory deleted",
        _delete_directory,
        (
            Refused(ExitCode.STATE, ("is missing in the directory", "--rebuild")),
            Recovered(
                ("checkpoint_missing", "replay_from_first"),
                {"rebuilt": 1, "replay_from_first": 1},
                flags=("--rebuild",),
            ),
        ),
    ),
    Situation(
        "the offset's metadata removed by a reset tool",
        _reset_offset,
        (
            Refused(ExitCode.STATE, ("carries no metadata", "--resume-after-output", "--publish-anew", NEW_GROUP)),
            Recovered(_RESUMES, {"older_checkpoint": 1, "resumed": 1}, flags=("--resume-after-output",)),
        ),
    ),
    Situation(
        "the group's offsets expired, the directory lost as well",
        _lose_offsets_and_store,
        (
            Refused(ExitCode.STATE, ("has no committed offset", "--resume-after-output", "--publish-anew", NEW_GROUP)),
            Recovered(
                ("replay_from_first", "resuming_after_output"),
                {"replay_from_first": 1, "resumed": 1},
                flags=("--resume-after-output",),
            ),
        ),
    ),
    Situation(
        "the group's offsets expired, everything wanted anew",
        sabotage.delete_group,
        (Recovered(("publishing_anew",), {"published_anew": 1}, flags=("--publish-anew",)),),
        truth=_twice,
    ),
    Situation(
        "the topic created anew",
        _recreate_topic,
        (
            Refused(ExitCode.STATE, ("deleted and created anew", NEW_GROUP)),
            Refused(ExitCode.STATE, ("deleted and created anew", NEW_GROUP), flags=("--resume-after-output",)),
            Refused(ExitCode.STATE, ("deleted and created anew", NEW_GROUP), flags=("--publish-anew",)),
        ),
    ),
    Situation(
        "records deleted below the committed offset",
        _cut_log_below,
        (Recovered(("checkpoint_restored",), {"checkpoint": 1}),),
    ),
    Situation(
        "the same, and every checkpoint damaged",
        _cut_log_and_spoil_all,
        (Refused(ExitCode.LOG_GAP, ("from offset 0 on, but the log begins at 500", "ON_GAP=accept", NEW_GROUP)),),
    ),
    Situation(
        "records deleted above the committed offset",
        _cut_log_above,
        (
            Refused(ExitCode.LOG_GAP, ("but the log begins at", "ON_GAP=accept", NEW_GROUP)),
            Recovered(
                ("checkpoint_restored", "gap_accepted"), {"checkpoint": 1}, settings={"ON_GAP": "accept"}, gaps=1
            ),
        ),
    ),
)

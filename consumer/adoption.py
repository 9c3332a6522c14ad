"""`--adopt-state`: another meaning's state taken over on purpose; and, without it, the refusal that names the change.

What the fingerprint or the hash seed covers never changes silently. Told to, the worker takes over ledger and
identities, and the models too where they mean the same, but only where the checkpoint stands at the committed offset:
between the two the old meaning would have to be replayed, which this worker cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from consumer.checkpoint.envelope import EnvelopeError
from consumer.checkpoint.reader import MissingCheckpointError
from consumer.errors import StateError
from consumer.goal import CommittedGoal
from consumer.learning.model_sections import MODEL_SECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import FilteringBoundLogger
    from typing_extensions import Buffer

    from consumer.checkpoint.envelope import Header, Identity
    from consumer.checkpoint.joining import Opened
    from consumer.checkpoint.reader import CheckpointReader
    from consumer.checkpoint.reference import Reference
    from consumer.learning.task import PartitionTask

_WAYS: Final = (
    "Restore the former setting; or stop cleanly under it, then `run --adopt-state` under the new one; or use a new "
    "CONSUMER_GROUP with a new OUTPUT_TOPIC, which reads the input from its beginning"
)
_KEEPS_MODELS: Final = ("MODEL", "MODEL_SCOPE")
_LONGEST_SHOWN: Final = 60
_ABSENT: Final = object()


class Adoption:
    """Judges a committed state of another fingerprint or hash seed.

    Args:
        identity: the meaning that this worker has.
        reader: reads checkpoints.
        new_task: builds an empty task from (partition, first offset).
        is_allowed: the operator said `--adopt-state`.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        reader: CheckpointReader,
        new_task: Callable[[int, int], PartitionTask],
        is_allowed: bool,
        log: FilteringBoundLogger,
    ) -> None:
        self._identity = identity
        self._reader = reader
        self._new_task = new_task
        self._is_allowed = is_allowed
        self._log = log

    def adopt(self, partition: int, reference: Reference, committed_offset: int) -> PartitionTask | None:
        """Return a task of this worker's meaning with the state that was committed; None where nothing was learned.

        Raises:
            StateError: it is not allowed, or there is no such state; the message names what differs.
        """
        opened: Opened | None = None
        unreadable = "there is none"
        try:
            opened = self._open(partition, reference)
        except (MissingCheckpointError, EnvelopeError) as error:
            unreadable = str(error)
        change = self._change(reference, opened[0] if opened is not None else None)
        what = f"partition {partition} of group {self._identity.group} was committed under another meaning: {change}"
        if not self._is_allowed:
            nameless = (
                "" if opened is not None else f"; its checkpoint, which could say more, cannot be used: {unreadable}"
            )
            raise StateError(f"{what}{nameless}. {_WAYS}")
        if reference.records_applied == 0:
            self._log.warning("state_adopted", partition=partition, offset=committed_offset, change=change, kept=[])
            return None
        if reference.checkpoint_offset != committed_offset:
            stands = reference.checkpoint_offset
            raise StateError(
                f"{what}. It cannot be adopted: "
                + ("it has no checkpoint" if stands is None else f"its checkpoint stands at offset {stands}")
                + f", and the committed offset is {committed_offset}, as after a crash; restore the former setting, "
                "stop cleanly with SIGTERM, then `run --adopt-state`"
            )
        if opened is None:
            raise StateError(
                f"{what}. It cannot be adopted: the checkpoint at offset {committed_offset} cannot be used: "
                f"{unreadable}. Restore it in the {self._reader.where()}, or use a new CONSUMER_GROUP with a new "
                "OUTPUT_TOPIC"
            )
        return self._take_over(partition, reference, *opened, change)

    def _open(self, partition: int, reference: Reference) -> Opened | None:
        """Open the referenced checkpoint, which must be of the reference's own meaning."""
        name = self._reader.referenced(partition, reference)
        if name is None:
            return None
        opened = self._reader.open(name)
        header = opened.header
        found = (header.topic_id, header.fingerprint, header.hash_seed)
        expected = (reference.topic_id, reference.fingerprint, reference.hash_seed)
        if found != expected:
            raise EnvelopeError(f"its header is another one's: expected {expected}; found {found}")
        return opened

    def _change(self, reference: Reference, header: Header | None) -> str:
        """Say what differs, by name where a header tells."""
        changes = []
        if reference.fingerprint != self._identity.fingerprint:
            changes += differences(header.meaning, self._identity.meaning) if header is not None else []
            if not changes:
                changes.append(f"fingerprint was {reference.fingerprint[:12]}, is {self._identity.fingerprint[:12]}")
        if reference.hash_seed != self._identity.hash_seed:
            changes.append(
                f"PYTHONHASHSEED was {reference.hash_seed}, is {self._identity.hash_seed} (it follows from "
                "CONSUMER_GROUP and CHECKPOINT_SIGNING_KEY)"
            )
        return ", ".join(changes)

    def _take_over(
        self, partition: int, reference: Reference, header: Header, sections: Mapping[str, Buffer], change: str
    ) -> PartitionTask:
        task = self._new_task(partition, reference.first_offset)
        keeps_models = all(header.meaning.get(name) == self._identity.meaning.get(name) for name in _KEEPS_MODELS)
        if not keeps_models:
            empty = task.snapshot()
            sections = {**sections, **{name: empty[name] for name in MODEL_SECTIONS}}
        try:
            self._reader.take_over(task, sections, header.offset)
        except EnvelopeError as error:
            problem: str | None = str(error)
        else:
            problem = CommittedGoal(header.offset, reference).contradiction(task)
        if problem is not None or task.first_offset != reference.first_offset:
            raise StateError(
                f"partition {partition} of group {self._identity.group}: the checkpoint at offset {header.offset} "
                f"cannot be adopted ({change}): {problem or 'its state began elsewhere'}. {_WAYS}"
            )
        kept = ["ledger", "identities", *(["models"] if keeps_models else [])]
        self._log.warning("state_adopted", partition=partition, offset=header.offset, change=change, kept=kept)
        return task


def differences(former: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """Name the parts of two fingerprints that differ, each with what it was and is."""
    return [
        f"{name} {_change_of(former.get(name, _ABSENT), present.get(name, _ABSENT))}"
        for name in sorted({*former, *present})
        if former.get(name, _ABSENT) != present.get(name, _ABSENT)
    ]


def _change_of(former: object, present: object) -> str:
    was, now = _shown(former), _shown(present)
    return f"was {was}, is {now}" if was != now else "is another one"


def _shown(part: object) -> str:
    """Show a part in few characters: some are whole pipelines in words."""
    if part is _ABSENT:
        return "not set"
    text = part if isinstance(part, str) and part.isprintable() else repr(part)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."

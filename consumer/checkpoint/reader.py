"""The reader: a checkpoint is believed only after its digest and its header were found to be those asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer.checkpoint.envelope import EnvelopeError
from consumer.checkpoint.joining import MissingCheckpointError, Opened
from consumer.checkpoint.store import UnreadableError
from consumer.checkpoint.unpickling import UnsafePickleError, decode_sections
from consumer.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from consumer.checkpoint.envelope import Identity
    from consumer.checkpoint.reference import Reference
    from consumer.checkpoint.store import CheckpointName, CheckpointReads
    from consumer.checkpoint.unpickling import Admitted
    from consumer.learning.task import PartitionTask

__all__ = ["CheckpointReader", "MissingCheckpointError"]


class CheckpointReader:
    """Reads what the checkpoint writers of a group have written.

    Args:
        store: reads checkpoints, verified and put together (`JoinedReads`); it raises `StoreError` only as
            `UnreadableError`, see `PatientReads`.
        identity: whose they must be.
        admitted: what they may name.
    """

    def __init__(self, store: CheckpointReads[Opened], identity: Identity, *, admitted: Admitted) -> None:
        self._store = store
        self._identity = identity
        self._admitted = admitted

    def where(self) -> str:
        """Return the store's place in words that an operator can act on."""
        return self._store.where()

    def referenced(self, partition: int, reference: Reference) -> CheckpointName | None:
        """Return the name of the checkpoint that a reference names; None where it names none."""
        return reference.checkpoint(self._identity.group, self._identity.topic, partition)

    def names(self, partition: int) -> list[CheckpointName]:
        """Return the names of a partition's checkpoints, the highest offset first.

        Raises:
            StateError: they cannot be listed.
            RetryError: the store has not answered yet.
            CheckpointsError: it could not be asked for too long.
        """
        try:
            names = self._store.names(self._identity.group, self._identity.topic, partition)
        except UnreadableError as error:
            raise StateError(
                f"whether partition {partition} has checkpoints cannot be told: {error}; make the "
                f"{self._store.where()} readable, or change CHECKPOINT_URL"
            ) from error
        return sorted(names, key=lambda name: (name.offset, name.digest), reverse=True)

    def open(self, name: CheckpointName) -> Opened:
        """Return the header and the sections of one checkpoint, verified; nothing is unpickled.

        Raises:
            MissingCheckpointError: it or a parent is not there, or cannot be read.
            RetryError: the store has not answered yet.
            CheckpointsError: it could not be asked for too long.
            EnvelopeError: it or a parent is damaged, or another one than its name says.
        """
        try:
            found = self._store.read(name)
        except UnreadableError as error:
            raise MissingCheckpointError(f"it cannot be read: {error}") from error
        except MissingCheckpointError as error:
            raise MissingCheckpointError(f"{error} in the {self._store.where()}") from error
        if found is None:
            raise MissingCheckpointError(f"it is missing in the {self._store.where()}")
        return found

    def load(self, name: CheckpointName, task: PartitionTask, *, first_offset: int | None, highest_offset: int) -> None:
        """Let an empty task take over the state of a checkpoint of this very identity.

        Args:
            name: the checkpoint.
            task: the task; of no use where this raises.
            first_offset: what its state must have begun with; None where that is unknown.
            highest_offset: where its state may stand at most.

        Raises:
            MissingCheckpointError: it or a parent is not there, or cannot be read.
            RetryError: the store has not answered yet.
            CheckpointsError: it could not be asked for too long.
            EnvelopeError: it or a parent is damaged, another one than its name says, or another identity's.
        """
        if name.offset > highest_offset:
            raise EnvelopeError(f"it stands at offset {name.offset}, above the committed offset {highest_offset}")
        header, sections = self.open(name)
        for what, found, expected in (
            ("topic id", header.topic_id, self._identity.topic_id),
            ("fingerprint", header.fingerprint, self._identity.fingerprint),
            ("hash seed", header.hash_seed, self._identity.hash_seed),
        ):
            if found != expected:
                raise EnvelopeError(f"it has another {what}: expected {expected}; found {found}")
        self.take_over(task, sections, name.offset)
        if first_offset is not None and task.first_offset != first_offset:
            raise EnvelopeError(f"its state began at offset {task.first_offset}; expected {first_offset}")

    def take_over(self, task: PartitionTask, sections: Mapping[str, Buffer], offset: int) -> None:
        """Let an empty task take over the verified sections of a checkpoint that stands at `offset`.

        Raises:
            EnvelopeError: they name what may not be unpickled, are no state of a task, or one that stands elsewhere;
                the task is of no use then.
        """
        try:
            task.restore(decode_sections(sections, self._admitted))
        except UnsafePickleError as error:
            raise EnvelopeError(str(error)) from error
        except Exception as error:  # what a state of the right form and the wrong content may bring about
            raise EnvelopeError(f"its state is none ({type(error).__name__})") from error
        if task.next_offset != offset:
            raise EnvelopeError(f"its state stands at another offset than its header, which says {offset}")

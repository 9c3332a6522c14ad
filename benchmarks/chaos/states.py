"""What state a group has arrived at: by partition, from its committed reference and the checkpoint that it names."""

from __future__ import annotations

import io
import pickle
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from consumer.checkpoint.joining import JoinedReads
from consumer.checkpoint.reference import decode_reference
from consumer.learning.model_sections import MODEL_SECTIONS, MODELS, pickles_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from consumer.checkpoint.store import CheckpointReads
    from tests.stage import Stage


class FinalState(NamedTuple):
    """Where one partition stands.

    Attributes:
        offset: the committed offset.
        checkpoint_offset: where the referenced checkpoint stands; the same after a stop.
        records: applied.
        chain: digest over what became of each.
        content: digest over the checkpoint's sections: models, ledger, identities, progress.
    """

    offset: int
    checkpoint_offset: int | None
    records: int
    chain: str
    content: str


def final_states(stage: Stage, store: CheckpointReads[bytes]) -> dict[int, FinalState]:
    """Return where a group's partitions stand.

    Raises:
        UnreadableReferenceError: a partition has none.
        EnvelopeError: a referenced checkpoint or a parent of it is damaged.
        MissingCheckpointError: a parent is missing.
    """
    states = {}
    for partition, answer in stage.committed().items():
        reference = decode_reference(answer.metadata)
        name = reference.checkpoint(stage.group, stage.input, partition)
        content = "none"
        if name is not None:
            opened = JoinedReads(store).read(name)
            content = "missing" if opened is None else content_digest(opened.sections)
        states[partition] = FinalState(
            answer.offset, reference.checkpoint_offset, reference.records_applied, reference.chain, content
        )
    return states


def content_digest(sections: Mapping[str, Buffer]) -> str:
    """Return a digest of what a checkpoint's sections say.

    A pickle names an object the second time it meets it. Which equal texts are one object may depend on how often a
    state was restored, and says nothing about the state: the models are pickled anew without that.
    """
    running = blake2b(digest_size=16)
    bodies = [(name, bytes(body)) for name, body in sorted(sections.items()) if name not in MODEL_SECTIONS]
    models = [(f"{MODELS}, {key}", _plainly(data)) for key, data in pickles_of(sections)]  # their order counts, too
    for name, body in [*bodies, *models]:
        running.update(b"%s %d " % (name.encode(), len(body)))
        running.update(body)
    return running.hexdigest()


def _plainly(model: bytes) -> bytes:
    written = io.BytesIO()
    pickler = pickle.Pickler(written, protocol=5)
    pickler.fast = True
    pickler.dump(pickle.loads(model))  # noqa: S301 -- our own worker has just written it
    return written.getvalue()


def unequal(actual: Mapping[int, FinalState], undisturbed: Mapping[int, FinalState]) -> list[str]:
    """Return a sentence for each partition whose state is not that of the undisturbed group."""
    return [
        f"partition {partition}: the state is {actual.get(partition)}, an undisturbed worker's {wanted}"
        for partition, wanted in sorted(undisturbed.items())
        if actual.get(partition) != wanted
    ]

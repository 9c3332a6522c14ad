"""Short ways through the pure core, for tests."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final

import msgspec

from consumer.learning import PartitionTask
from consumer.learning.fingerprint import Fingerprint, LearningSettings, fingerprint
from consumer.learning.ledger import UNSEEN
from consumer.learning.model_sections import joined, pickles_of
from consumer.learning.state import decode_state, encode_state
from consumer.model_choice import model_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from consumer.learning.identities import Identities
    from consumer.learning.ledger import Ledger, Posting
    from consumer.learning.model import ModelKind
    from schemas.transaction import Event

LINEAR_KIND: Final = model_kind("linear")


def linear_meaning(learning: LearningSettings) -> Fingerprint:
    """Return the fingerprint of `MODEL=linear` under these settings."""
    return fingerprint(learning, LINEAR_KIND.parameters)


def new_task(  # noqa: PLR0913 -- a task is what these say it is
    learning: LearningSettings,
    *,
    topic: str,
    partition: int,
    model_id: str,
    first_offset: int = 0,
    kind: ModelKind = LINEAR_KIND,
) -> PartitionTask:
    """Return a task without any state, of a topic with one partition more than its own."""
    return PartitionTask(
        topic=topic,
        partition=partition,
        first_offset=first_offset,
        settings=learning,
        model_id=model_id,
        model_kind=kind,
        partitions=partition + 1,
    )


def post(ledger: Ledger, item: str, quantity: int, observed: int | None, occurred_us: int) -> Posting:
    """Look and enter; return what was found, without the entry that it left."""
    return msgspec.structs.replace(ledger.post(item, quantity, observed, occurred_us), entry=UNSEEN)


def is_repeat(window: Identities, event: Event) -> bool:
    """Look, and remember what is new."""
    entry = window.look(event)
    if entry is not None:
        window.remember(entry)
    return entry is None


def models_of(sections: Mapping[str, Buffer]) -> dict[str, Any]:
    """Return the states of the models in a snapshot's sections, by their keys."""
    return {key: pickle.loads(data) for key, data in pickles_of(sections)}


def model_sections(models: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the sections of models, from their states by their keys."""
    return {name: bytes(joined(section)) for name, section in encode_state({"models": models}).items()}


def unpickled(sections: Mapping[str, Buffer]) -> dict[str, Any]:
    """Return a snapshot's sections as `restore` takes them."""
    return decode_state(sections, pickle.loads)

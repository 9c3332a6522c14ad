"""When each item was last observed, as the newest readable checkpoint knows it: what tells a late event from others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from consumer.checkpoint.envelope import EnvelopeError
from consumer.checkpoint.joining import JoinedReads, MissingCheckpointError
from consumer.checkpoint.store import StoreError, UnreadableError
from consumer.errors import StateError
from consumer.learning.ledger import Ledger
from consumer.learning.ledger_columns import COLUMNS, LEDGER
from consumer.learning.state import decode_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.checkpoint.store import CheckpointName, CheckpointReads
    from consumer.learning.ledger import Entry
    from schemas.transaction import Event


class Observations:
    """The ledger's newest saved state, only looked at.

    Attributes:
        offset: every record below it has been entered.
    """

    def __init__(self, offset: int, ledger: Mapping[str, Entry]) -> None:
        self.offset = offset
        self._ledger = ledger

    def is_late(self, event: Event) -> bool:
        """Tell whether an event is older than its item's last observed level, which therefore contains it already."""
        entry = self._ledger.get(f"{event.store_id}\x1f{event.sku}")
        return entry is not None and entry[0] is not None and event.occurred_us < entry[1]


def newest_observations(
    store: CheckpointReads[bytes], group: str, topic: str, partition: int, key: bytes | None
) -> Observations:
    """Return what the partition's newest readable checkpoint holds; the worker may be some seconds ahead of it.

    Args:
        store: where the worker's checkpoints are.
        group: the worker's consumer group.
        topic: its input topic.
        partition: the input partition.
        key: the signing key, None where checkpoints are not signed.

    Raises:
        StateError: none is readable; the sentence says what is wrong with the newest.
    """
    problem = "found none"
    try:
        names = store.names(group, topic, partition)
    except StoreError as error:
        names, problem = [], str(error)
    for name in reversed(names):
        try:
            return _read(store, name, key)
        except (
            UnreadableError,
            MissingCheckpointError,
            EnvelopeError,
            KeyError,
            ValueError,
        ) as error:  # an older one may do
            if name == names[-1]:
                problem = f"of the newest: {error}"
        except StoreError as error:  # of one that may well be there: an older one might call a late event timely
            problem = str(error)
            break
    raise StateError(
        f"expected a readable checkpoint of partition {partition} of group {group} and topic {topic} in the "
        f"{store.where()}, to tell late events from others; {problem}: set CHECKPOINT_URL, CONSUMER_GROUP and "
        "CHECKPOINT_SIGNING_KEY as the worker has them, or send late events too with --include-late"
    )


def _read(store: CheckpointReads[bytes], name: CheckpointName, key: bytes | None) -> Observations:
    """Read one checkpoint's ledger; its models stay pickled, so nothing that the file could choose is run."""
    found = JoinedReads(store, key).read(name)
    if found is None:
        raise UnreadableError("it was pruned meanwhile; run the command again")
    header, sections = found
    if LEDGER not in sections:
        raise EnvelopeError("it holds no ledger")
    ledger = Ledger()
    own = {name: section for name, section in sections.items() if name == LEDGER or name in COLUMNS}
    ledger.restore(decode_state(own, _no_models)[LEDGER])
    return Observations(header.offset, ledger.entries)


def _no_models(_data: bytes) -> NoReturn:
    raise AssertionError("only the ledger is read")

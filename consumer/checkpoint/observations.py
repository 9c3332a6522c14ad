"""When each item was last observed, as the newest readable checkpoint knows it: what tells a late event from others."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import msgspec

from consumer.checkpoint.envelope import EnvelopeError, unseal
from consumer.checkpoint.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.checkpoint.store import CheckpointStore
    from schemas.transaction import Event


class Observations:
    """The ledger's newest saved state, only looked at.

    Attributes:
        offset: every record below it has been entered.
    """

    def __init__(self, offset: int, ledger: Mapping[str, tuple[int, int]]) -> None:
        self.offset = offset
        self._ledger = ledger

    def is_late(self, event: Event) -> bool:
        """Tell whether an event is older than its item's last observed level, which therefore contains it already."""
        entry = self._ledger.get(f"{event.store_id}\x1f{event.sku}")
        return entry is not None and event.occurred_us < entry[1]


def newest_observations(store: CheckpointStore, group: str, topic: str, partition: int) -> Observations | None:
    """Return what the partition's newest readable checkpoint holds, None where none is readable.

    The worker may be some seconds ahead of it.

    Raises:
        StoreError: the store cannot be listed.
    """
    for name in reversed(store.names(group, topic, partition)):
        try:
            data = store.read(name)
            if data is None:  # pruned meanwhile
                continue
            header, sections = unseal(data)
            if (header.group, header.topic, header.partition) != (group, topic, partition):
                continue
            return Observations(header.offset, _ledger(sections["ledger"]))
        except (StoreError, EnvelopeError, KeyError, pickle.UnpicklingError):
            continue  # damaged, or of another format: an older one may do
    return None


class _PlainUnpickler(pickle.Unpickler):
    """Admits no class at all: the ledger is a dict of texts and pairs of integers."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:  # noqa: ANN401 -- pickle's own signature
        raise pickle.UnpicklingError(f"expected plain types only; found {module_name}.{global_name}")


def _ledger(data: bytes) -> dict[str, tuple[int, int]]:
    try:
        state = _PlainUnpickler(io.BytesIO(data)).load()  # no class is admitted
        return msgspec.convert(state, dict[str, tuple[int, int]])
    except Exception as error:  # unpickling damaged bytes may raise anything
        raise pickle.UnpicklingError(f"the ledger cannot be read: {error}") from error

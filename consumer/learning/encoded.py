"""The predictions of many rows as they are published, through compiled code."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from consumer.learning.batch import DISCREPANCY_FLOOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Wholes = NDArray[np.int64]

_encode: Final = msgspec.json.Encoder().encode


class RowEncoder:
    """Encodes predictions of one model for one partition; keeps its buffers from batch to batch.

    Args:
        module: `consumer.learning.encoding`.
        model_id: the model's.
        partition: of the input.
    """

    def __init__(self, module: Any, model_id: str, partition: int) -> None:  # noqa: ANN401
        self._module = module
        self._to_learned = _bytes_of(b',"model_id":%b,"events_learned":' % _encode(model_id))
        self._to_offset = _bytes_of(b',"source_partition":%d,"source_offset":' % partition)
        self._row_bytes = len(self._to_learned) + len(self._to_offset)
        self._out = np.empty(0, np.uint8)
        self._bounds = np.zeros(1, np.int64)  # 0, then where each row ends

    def encode_rows(  # noqa: PLR0913 -- the columns of what is published
        self,
        text: Bytes,
        spans: Wholes,
        numbers: Wholes,
        start: int,
        *,
        before: Wholes,
        is_late: NDArray[np.uint8] | NDArray[np.bool_],
        learned: Wholes,
        offsets: Wholes,
        predictions: Sequence[float | None],
    ) -> list[bytes]:
        """Return the predictions for the rows from `start` on, as `batch.encode_run` would.

        Args:
            text: of the records (see `consumer.learning.columns`).
            spans: (n, 14), of plain rows.
            numbers: (n, 9).
            start: the first row; there are as many as the following have entries.
            before: the level before each, in millionths, or NO_NUMBER.
            is_late: whether it is older than the item's last observed level.
            learned: how many events the model had learned from before it.
            offsets: its offset.
            predictions: its predicted level in units; one that is not finite is published as null.

        Returns:
            Their values. Fewer than asked for where a level is too large for compiled code: the first that lacks is one
            that `encode_prediction` has to encode.

        Raises:
            ValueError: the columns do not fit together; compiled code itself would not notice.
        """
        count = len(predictions)
        stop = start + count
        lengths = {len(before), len(is_late), len(learned), len(offsets)}
        if lengths != {count} or not 0 <= start <= stop <= min(len(spans), len(numbers)):
            raise ValueError(f"columns of {sorted(lengths)} entries for {count} predictions from row {start} on")
        if not count:
            return []
        predicted_text = _bytes_of(_encode(predictions))
        self._make_room(
            self._module.room_for(spans, start, stop) + count * self._row_bytes + len(predicted_text), count
        )
        failed = self._module.encode_predictions(
            text,
            spans,
            numbers,
            start,
            stop,
            before,
            is_late.view(np.uint8),
            learned,
            offsets,
            predicted_text,
            self._to_learned,
            self._to_offset,
            DISCREPANCY_FLOOR,
            self._out,
            self._bounds[1:],
        )
        written = count if failed == self._module.ALL_WRITTEN else failed
        bounds = self._bounds[: written + 1]
        joined: bytes = self._out[: bounds[-1]].tobytes()
        return [joined[begin:end] for begin, end in pairwise(bounds.tolist())]

    def _make_room(self, size: int, count: int) -> None:
        if size > len(self._out):
            self._out = np.empty(2 * size, np.uint8)
        if count >= len(self._bounds):
            self._bounds = np.zeros(2 * count + 1, np.int64)


def _bytes_of(text: bytes) -> Bytes:
    return np.frombuffer(text, np.uint8)

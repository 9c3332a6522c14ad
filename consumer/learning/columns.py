"""The columns in which compiled code passes a batch of records on.

A batch of n records comes as `text` (uint8), all values joined without anything between, and `ends` (int64, n), where
each of them ends; a null value is empty. What is read of them stands in three arrays of n rows:

- spans (int64), of each text where it starts in `text` and, a column further on, its length in bytes: -1 where the
  field is null or absent, which only `line_id`, `corrects` and `transaction_type` can be;
- numbers (int64), where a row whose IS_PLAIN is 0 is left to Python and means nothing else;
- doubles (float64).

Numba keeps compiled code on disk and does not see that a constant of another file has changed: whoever moves a column
also edits each module that compiles with it, lest an older layout be loaded again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

# spans
TRANSACTION_ID: Final = 0
STORE_ID: Final = 2
SKU: Final = 4
LINE_ID: Final = 6
OCCURRED_AT: Final = 8
CORRECTS: Final = 10
TRANSACTION_TYPE: Final = 12
SPANS: Final = 14
"""How many columns spans have."""

# numbers
IS_PLAIN: Final = 0
QUANTITY: Final = 1
"""In millionths of a unit; 0 where it is null."""
LEVEL: Final = 2
"""In millionths of a unit, or NO_NUMBER."""
OCCURRED_US: Final = 3
"""Microseconds since 1970 UTC."""
DAY_OF_WEEK: Final = 4
"""Monday is 0; this, month and year are those of the event's own offset."""
MONTH: Final = 5
YEAR: Final = 6
KIND: Final = 7
"""The effective type's place among the sorted known types."""
COST: Final = 8
"""Of one unit in millionths, half to even as Python rounds, or NO_NUMBER."""
NUMBERS: Final = 9
"""How many columns numbers have."""

# doubles
QUANTITY_UNITS: Final = 0
"""0.0 where it is null."""
COST_UNITS: Final = 1
"""0.0 where it is null."""
DOUBLES: Final = 2
"""How many columns doubles have."""

NO_NUMBER: Final = -(2**63)


def byte_table(texts: Sequence[bytes]) -> tuple[Any, Any]:
    """Return texts as compiled code takes them: uint8, a row for each, filled up with zeros; and their lengths."""
    lengths = [len(text) for text in texts]
    table = np.zeros((len(texts), max(lengths)), np.uint8)
    for row, text in enumerate(texts):
        table[row, : len(text)] = list(text)
    return table, np.array(lengths, np.int64)

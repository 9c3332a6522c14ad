"""Predictions written by machine code: the bytes that msgspec writes, whatever the levels and texts are."""

from __future__ import annotations

import subprocess
import sys
from math import inf, nan
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consumer.learning import encoding
from consumer.learning.batch import DISCREPANCY_FLOOR, prediction_of
from consumer.learning.columns import LEVEL, LINE_ID, NO_NUMBER, NUMBERS, OCCURRED_AT, QUANTITY, SKU, SPANS, STORE_ID
from consumer.learning.columns import TRANSACTION_ID as FIRST
from consumer.learning.compiling import compiled_now
from consumer.learning.encoded import RowEncoder
from consumer.simulate.synthetic import synthetic_events
from schemas.prediction import encode_prediction
from schemas.transaction import MILLION, Event, Limits, decode
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MODEL_ID: Final = "0123456789ab"
PARTITION: Final = 7
LARGEST: Final = encoding.LARGEST
ENCODER: Final = RowEncoder(encoding, MODEL_ID, PARTITION)
"""One for all examples: what an earlier batch left in its buffers is no part of a later one."""


class Row(NamedTuple):
    """A prediction's makings, in the order of `prediction_of`."""

    event: Event
    before: int | None
    is_late: bool
    predicted: float | None
    learned: int
    offset: int


def row(  # noqa: PLR0913 -- a row is what these say it is
    *,
    before: int | None = None,
    quantity: int = 0,
    observed: int | None = None,
    is_late: bool = False,
    predicted: float | None = None,
    texts: Sequence[str] = ("t1", "s1", "milk", "2017-03-31T12:00:00Z"),
    line_id: str | None = None,
    learned: int = 12,
    offset: int = 345,
) -> Row:
    transaction_id, store_id, sku, occurred_at = texts
    event = Event(
        transaction_id=transaction_id,
        store_id=store_id,
        sku=sku,
        quantity=None,
        occurred_at=occurred_at,
        line_id=line_id,
        quantity_millionths=quantity,
        level_millionths=observed,
    )
    return Row(event, before, is_late, predicted, learned, offset)


def by_python(rows: Sequence[Row]) -> list[bytes]:
    return [
        encode_prediction(
            prediction_of(
                each.event,
                each.before,
                each.is_late,
                each.predicted,
                MODEL_ID,
                each.learned,
                PARTITION,
                each.offset,
            )
        )
        for each in rows
    ]


def or_none(number: int | None) -> int:
    return NO_NUMBER if number is None else number


def columns_of(rows: Sequence[Row]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return text, spans and numbers of the events, as they are once parsed."""
    text = bytearray(b"?")
    spans = np.full((len(rows), SPANS), -1, np.int64)
    numbers = np.full((len(rows), NUMBERS), -77, np.int64)
    for place, (event, *_) in enumerate(rows):
        texts = {FIRST: event.transaction_id, STORE_ID: event.store_id, SKU: event.sku, OCCURRED_AT: event.occurred_at}
        if event.line_id is not None:
            texts[LINE_ID] = event.line_id
        for column, each in texts.items():
            value = each.encode()
            spans[place, column : column + 2] = len(text), len(value)
            text += value + b"?"
        numbers[place, QUANTITY] = event.quantity_millionths
        numbers[place, LEVEL] = or_none(event.level_millionths)
    return np.frombuffer(bytes(text), np.uint8), spans, numbers


def by_machine(rows: Sequence[Row], start: int = 0, encoder: RowEncoder = ENCODER) -> list[bytes]:
    """Encode the rows from `start` on, of columns that hold them all."""
    run = rows[start:]
    return encoder.encode_rows(
        *columns_of(rows),
        start,
        before=np.array([or_none(each.before) for each in run], np.int64),
        is_late=np.array([each.is_late for each in run], np.bool),
        learned=np.array([each.learned for each in run], np.int64),
        offsets=np.array([each.offset for each in run], np.int64),
        predictions=[each.predicted for each in run],
    )


EDGES: Final = sorted(
    {sign * (10**power - more) for sign in (-1, 1) for power in range(16) for more in (-1, 0, 1)}
    - {-LARGEST - 1, LARGEST + 1}
    | {sign * each for sign in (-1, 1) for each in (500, 2_500_000, 5 * MILLION, 123_456_789_012_345)}
)
millionths: Final = st.one_of(
    st.sampled_from(EDGES), st.integers(-LARGEST, LARGEST), st.integers(-5_000, 5_000).map(lambda each: each * MILLION)
)
texts: Final = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters='"\\'), min_size=1, max_size=70
)
counts: Final = st.one_of(st.integers(0, 2**63 - 1), st.sampled_from([0, 9, 10, 99, 100, 10**18 - 1, 10**18]))
predictions: Final = st.one_of(st.none(), st.floats(), st.floats(-1e3, 1e3), st.sampled_from([nan, inf, -inf, -0.0]))


@st.composite
def any_row(draw: st.DrawFn) -> Row:
    """Levels are drawn so that the discrepancy is often near the floor, or near the largest that is written."""
    before, observed = draw(st.none() | millionths), draw(st.none() | millionths)
    quantity = draw(st.integers(-(10**12), 10**12))
    if before is not None and draw(st.booleans()):
        missing = draw(st.integers(-600, 600) | st.sampled_from([LARGEST, -LARGEST, LARGEST + 1, -LARGEST - 1]))
        observed = max(-LARGEST, min(LARGEST, before + quantity + missing))
    return row(
        before=before,
        quantity=quantity,
        observed=observed,
        is_late=draw(st.booleans()),
        predicted=draw(predictions),
        texts=[draw(texts) for _ in range(4)],
        line_id=draw(st.none() | texts),
        learned=draw(counts),
        offset=draw(counts),
    )


def is_large(each: Row) -> bool:
    if each.before is None:
        return False
    observed = each.event.level_millionths
    missing = 0
    if observed is not None and not each.is_late:
        missing = observed - each.before - each.event.quantity_millionths
    return max(abs(each.before), abs(missing)) > LARGEST


@settings(max_examples=300)
@given(st.lists(any_row(), min_size=1, max_size=12), st.integers(0, 3))
def test_the_bytes_are_msgspec_s(rows: list[Row], start: int) -> None:
    """Of any run within a batch; up to the first number that is too large, where there is one."""
    start = min(start, len(rows))
    run = rows[start:]
    large = next((place for place, each in enumerate(run) if is_large(each)), len(run))
    assert by_machine(rows, start) == by_python(run[:large])


def test_each_level_is_as_msgspec_writes_it() -> None:
    """All millionths of a fiftieth of a unit, of two units some, and all about the powers of ten; either sign."""
    levels = sorted({*range(20_000), *range(20_000, 2 * MILLION, 97), *(abs(edge) for edge in EDGES)})
    rows = [row(before=sign * level, observed=-sign * level, is_late=True) for level in levels for sign in (1, -1)]
    assert by_machine(rows) == by_python(rows)


@pytest.mark.parametrize("missing", [0, DISCREPANCY_FLOOR - 1, DISCREPANCY_FLOOR, DISCREPANCY_FLOOR + 1])
@pytest.mark.parametrize("sign", [-1, 1])
def test_small_discrepancies_are_none(missing: int, sign: int) -> None:
    """Below the floor 0.0, from there on themselves; of a late event null."""
    rows = [
        row(before=70 * MILLION, quantity=-MILLION, observed=69 * MILLION + sign * missing, is_late=is_late)
        for is_late in (False, True)
    ]
    found = by_machine(rows)
    assert found == by_python(rows)
    assert (b'"discrepancy":0.0,' in found[0]) == (missing < DISCREPANCY_FLOOR)
    assert b'"discrepancy":null' in found[1]


@pytest.mark.parametrize(
    "large",
    [
        row(before=LARGEST + 1),
        row(before=-LARGEST - 1),
        row(before=2**63 - 1, observed=0),
        row(before=-(2**63) + 1, observed=0),
        row(observed=LARGEST + 1),
        row(before=-LARGEST, observed=1),
        row(before=LARGEST, quantity=1, observed=0),
    ],
)
def test_from_a_number_that_is_too_large_on_nothing_is_written(large: Row) -> None:
    """It is left to Python, first or not, and those behind it can be gone on with."""
    ordinary = [row(before=LARGEST, observed=0), row(before=-LARGEST, observed=-LARGEST), row()]
    rows = [*ordinary, large, *ordinary]
    assert by_machine(rows) == by_python(ordinary)
    assert by_machine(rows, 3) == []
    assert by_machine(rows, 4) == by_python(ordinary)


def test_nothing_comes_of_no_rows() -> None:
    """As where the first event of a run is a repeat."""
    assert by_machine([row()], 1) == []


@given(st.text(), st.integers(0, 2**31 - 1))
@example('a"\\\n\u2028é', 0)
def test_any_model_id_and_partition(model_id: str, partition: int) -> None:
    """They are escaped as JSON wants it."""
    each = row()
    expected = encode_prediction(prediction_of(each.event, None, False, None, model_id, 12, partition, 345))
    assert by_machine([each], encoder=RowEncoder(encoding, model_id, partition)) == [expected]


def test_a_shop_s_predictions() -> None:
    """Ordinary events, a few hundred at once."""
    events = [decode(event.value, event.timestamp_ms, Limits()) for event in synthetic_events(seed=6, limit=700)]
    rows = [
        Row(event, place * MILLION // 8, place % 9 == 0, place / 7, place, 10**9 + place)
        for place, event in enumerate(events)
    ]
    assert by_machine(rows) == by_python(rows)


# What nothing would notice


@pytest.mark.parametrize("line_id", [None, "", "é" * 40])
def test_the_room_that_is_made_is_enough(line_id: str | None) -> None:
    """For numbers of the most digits: no byte behind it changes."""
    rows = [
        row(
            before=-LARGEST + 1,
            quantity=0,
            observed=-1,
            is_late=is_late,
            predicted=-2.2250738585072014e-308,
            line_id=line_id,
            learned=2**63 - 1,
            offset=2**63 - 1,
        )
        for is_late in (False, True)
        for _ in range(50)
    ]
    text, spans, numbers = columns_of(rows)
    predicted = b"[" + b",".join([b"-2.2250738585072014e-308"] * len(rows)) + b"]"
    room = encoding.room_for(spans, 0, len(rows)) + len(predicted)
    out = np.full(room + 256, 0xAA, np.uint8)
    ends = np.zeros(len(rows), np.int64)
    nothing = np.empty(0, np.uint8)
    most = np.full(len(rows), 2**63 - 1)
    failed = encoding.encode_predictions(
        text,
        spans,
        numbers,
        0,
        len(rows),
        np.array([each.before for each in rows], np.int64),
        np.array([each.is_late for each in rows], np.uint8),
        most,
        most,
        np.frombuffer(predicted, np.uint8),
        nothing,
        nothing,
        DISCREPANCY_FLOOR,
        out,
        ends,
    )
    assert failed == encoding.ALL_WRITTEN
    assert ends[-1] <= room
    assert (out[room:] == 0xAA).all()


@pytest.mark.parametrize("short", ["before", "is_late", "learned", "offsets"])
def test_columns_of_different_lengths_are_refused(short: str) -> None:
    """Machine code would read what lies behind them."""
    columns: dict[str, Any] = {
        **{name: np.zeros(2, np.int64) for name in ("before", "learned", "offsets")},
        "is_late": np.zeros(2, np.uint8),
    }
    columns[short] = columns[short][:1]
    with pytest.raises(ValueError, match=r"columns of \[1, 2\] entries for 2 predictions from row 0 on"):
        ENCODER.encode_rows(*columns_of([row(), row()]), 0, **columns, predictions=[None, None])


@pytest.mark.parametrize("start", [-1, 1])
def test_rows_that_are_not_there_are_refused(start: int) -> None:
    """On either side."""
    columns: Any = {
        **{name: np.zeros(2, np.int64) for name in ("before", "learned", "offsets")},
        "is_late": np.zeros(2, np.uint8),
    }
    with pytest.raises(ValueError, match=f"from row {start} on"):
        ENCODER.encode_rows(*columns_of([row(), row()]), start, **columns, predictions=[None, None])


def test_a_numba_without_its_own_option_compiles_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The undocumented one only saves time: it may go with any version."""
    njit, refused = numba.njit, []

    def other(signature: str, **options: Any) -> Any:
        if "_nrt" in options:
            refused.append(options)
            raise KeyError("_nrt")
        return njit(signature, **options)

    monkeypatch.setattr(numba, "njit", other)
    made = compiled_now("int64(int64)", allocates=False)(lambda number: number + 1)
    assert made(4) == 5
    assert refused


def test_numba_is_not_imported_for_it() -> None:
    """A worker that never takes to machine code imports the encoder alone."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys, consumer.learning.encoded; print('numba' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == "False\n"

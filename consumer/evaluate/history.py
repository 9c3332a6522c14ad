"""A retailer's history from a file: CSV or Parquet, its columns those of the contract."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from consumer.evaluate.errors import HistoryError, MissingExtraError
from schemas.dead_letter import InvalidEvent
from schemas.transaction import decode, decode_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from schemas.transaction import Event, Limits

REQUIRED: Final = ("store_id", "sku", "quantity")
TIMES: Final = ("occurred_at", "timestamp")
OPTIONAL: Final = ("transaction_id", "line_id", "transaction_type", "unit_cost", "new_stock_level", "corrects")
_NUMBERS: Final = ("quantity", "unit_cost", "new_stock_level")
_BATCH_ROWS: Final = 20_000
_FAR_AWAY_MS: Final = 253_402_300_799_000
"""A file says nothing of when its lines were sent, so no time of its is too far ahead: the end of 9999."""
_json_number: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?").fullmatch
_has_offset: Final = re.compile(r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})$").search
_encode: Final = msgspec.json.Encoder().encode


class History:
    """The events of a file, in the order of its lines.

    Args:
        path: a file that begins as Parquet does, or else CSV in UTF-8 with a header line, separated by `,` or `;`.
        zone: of times that say none.
        limits: the contract's bounds.

    Attributes:
        rows: read so far.
        refused: of them, by reason, those that the contract does not take.

    Raises:
        MissingExtraError: pyarrow is not installed.
        HistoryError: it is no such file, or lacks a column.
    """

    def __init__(self, path: Path, zone: ZoneInfo, limits: Limits) -> None:
        self.rows = 0
        self.refused: Counter[str] = Counter()
        self._zone = zone
        self._limits = limits
        self._moments: dict[str, str] = {}
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise HistoryError(f"{path}: expected a CSV or Parquet file to read; {error.strerror}") from error
        self._size = max(path.stat().st_size, 1)
        self._parquet: Any = None
        self._total = 0
        try:
            self._batches, names = self._open()
        except BaseException:
            self._file.close()
            raise
        lacking = [name for name in REQUIRED if name not in names]
        if not any(name in names for name in TIMES):
            lacking.append("occurred_at")
        if lacking:
            self._file.close()
            raise HistoryError(
                f"{path}: expected the columns {', '.join((*REQUIRED, TIMES[0]))} and, if there, "
                f"{', '.join(OPTIONAL)}; found {', '.join(names) or 'none'}: name {', '.join(lacking)} so"
            )
        time_name = next(name for name in TIMES if name in names)
        self._columns = [name for name in (*REQUIRED, time_name, *OPTIONAL) if name in names]
        self._has_ids = "transaction_id" in names

    @property
    def fraction(self) -> float:
        """How much of the file has been read, up to 1."""
        return self.rows / self._total if self._total else min(self._file.tell() / self._size, 1.0)

    def __enter__(self) -> History:  # noqa: PYI034 -- never subclassed
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[list[Event]]:
        """Yield the events of some lines after another.

        Raises:
            HistoryError: the file breaks off, or is none of its kind further on.
        """
        import pyarrow as pa  # noqa: PLC0415 -- optional

        try:
            for batch in self._batches:
                yield self._events(batch)
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise HistoryError(f"after {self.rows:,} rows: {error}; the file was read up to there") from error

    def _open(self) -> tuple[Any, list[str]]:
        try:
            import pyarrow as pa  # noqa: PLC0415 -- optional
            from pyarrow import csv, parquet  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtraError("pyarrow") from error
        is_parquet = self._file.read(4) == b"PAR1"
        self._file.seek(0)
        try:
            if is_parquet:
                opened = parquet.ParquetFile(self._file)
                names = opened.schema_arrow.names
                self._total = opened.metadata.num_rows
                wanted = [name for name in (*REQUIRED, *TIMES, *OPTIONAL) if name in names]
                return opened.iter_batches(_BATCH_ROWS, columns=wanted), names
            header = self._file.readline().decode("utf-8-sig")
            self._file.seek(0)
            delimiter = ";" if header.count(";") > header.count(",") else ","
            names = [name.strip().strip('"') for name in header.rstrip("\r\n").split(delimiter)]
            reader = csv.open_csv(
                self._file,
                read_options=csv.ReadOptions(column_names=names, skip_rows=1, block_size=4 << 20),
                parse_options=csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=False, invalid_row_handler=self._skip
                ),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
                ),
            )
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise HistoryError(
                f"{self._file.name}: expected CSV in UTF-8 with a header line, or Parquet; {error}"
            ) from error
        else:
            return reader, names

    def _skip(self, _row: object) -> str:
        self.rows += 1
        self.refused["columns"] += 1
        return "skip"

    def _events(self, batch: Any) -> list[Event]:  # noqa: ANN401 -- a record batch; pyarrow is optional
        columns = [self._texts(name, batch.column(name).to_pylist()) for name in self._columns]
        first = self.rows
        self.rows += batch.num_rows
        values = []
        for number, row in enumerate(zip(*columns, strict=True), start=first):
            fields = {name: value for name, value in zip(self._columns, row, strict=True) if value is not None}
            fields.setdefault("quantity", None)
            if not self._has_ids:
                fields["transaction_id"] = number
            values.append(_encode(fields))
        found = decode_plain(values, [_FAR_AWAY_MS] * len(values), self._limits)
        events = []
        for value, event in zip(values, found, strict=True):
            if event is not None:
                events.append(event)
                continue
            try:
                events.append(decode(value, _FAR_AWAY_MS, self._limits))
            except InvalidEvent as invalid:
                self.refused[invalid.reason.value] += 1
        return events

    def _texts(self, name: str, values: list[Any]) -> list[Any]:
        """Return a column's values as the contract's JSON has them; what is none stays, to be refused."""
        if name in TIMES:
            return [self._moment(value) for value in values]
        if name in _NUMBERS:
            return [_number(value) for value in values]
        return [str(value) if isinstance(value, int) and not isinstance(value, bool) else value for value in values]

    def _moment(self, value: Any) -> Any:  # noqa: ANN401 -- whatever the column holds
        if isinstance(value, str):
            found = self._moments.get(value)
            if found is None:
                if len(self._moments) > 100_000:  # noqa: PLR2004 -- the lines of a receipt share theirs
                    self._moments.clear()
                found = self._moments[value] = self._written(value)
            return found
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=self._zone)).isoformat()
        if isinstance(value, date):
            return datetime.combine(value, time(12), self._zone).isoformat()
        return value

    def _written(self, text: str) -> str:
        """Give a time without an offset that of the zone; a day alone stands for its noon."""
        if _has_offset(text) and "T" in text.upper():
            return text
        try:
            read = datetime.fromisoformat(text)
        except ValueError:
            return text  # the decoder says what is wrong
        if len(text.strip()) == len("2026-01-01"):
            read = datetime.combine(read, time(12))
        return (read if read.tzinfo else read.replace(tzinfo=self._zone)).isoformat()


def _number(value: Any) -> Any:  # noqa: ANN401 -- whatever the column holds
    if isinstance(value, str):
        value = value.strip()
        return msgspec.Raw(value.encode()) if _json_number(value) else value
    if isinstance(value, Decimal):
        return msgspec.Raw(format(value, "f").encode())
    if isinstance(value, float) and value != value:  # noqa: PLR0124 -- not a number: pandas' null
        return None
    return value

"""All forecasts as a Parquet file, the baselines' too, so that anyone can score them anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumer.evaluate.errors import MissingExtraError
from consumer.outlook.horizons import HORIZONS

if TYPE_CHECKING:
    from pathlib import Path

    from consumer.evaluate.prequential import Origin

_QUANTILES: Final = ("lower95", "lower80", "median", "upper80", "upper95")


class ForecastFile:
    """Writes one row for each item, closed day, horizon and method.

    Columns: `store_id, sku, origin` (the closed day, a date)`, horizon` (days)`, method, mean, median, lower80,
    upper80, lower95, upper95`, in units of demand summed over the horizon.

    Args:
        path: is written anew.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 -- optional
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtraError("pyarrow") from error
        self._pa: Any = pa
        names = pa.dictionary(pa.int32(), pa.string())
        self._schema = pa.schema(
            [
                ("store_id", names),
                ("sku", names),
                ("origin", pa.date32()),
                ("horizon", pa.int8()),
                ("method", names),
                *((name, pa.float32()) for name in ("mean", "median", "lower80", "upper80", "lower95", "upper95")),
            ]
        )
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._stores: dict[str, int] = {}
        self._articles: dict[str, int] = {}
        self._codes: list[tuple[int, int]] = []

    def write(self, origin: Origin, keys: list[tuple[str, str]]) -> None:
        """Add the forecasts from one closed day."""
        pa = self._pa
        for store, sku in keys[len(self._codes) :]:
            self._codes.append(
                (self._stores.setdefault(store, len(self._stores)), self._articles.setdefault(sku, len(self._articles)))
            )
        methods, horizons, items = origin.means.shape
        codes = np.array(self._codes, np.int32)[origin.items].T
        each = {
            "store_id": self._coded(np.tile(codes[0], methods * horizons), self._stores),
            "sku": self._coded(np.tile(codes[1], methods * horizons), self._articles),
            "origin": pa.array(np.full(methods * horizons * items, origin.day, np.int32)).cast(pa.date32()),
            "horizon": pa.array(np.tile(np.repeat(np.array(HORIZONS, np.int8), items), methods)),
            "method": self._coded(
                np.repeat(np.arange(methods, dtype=np.int32), horizons * items),
                {name: number for number, name in enumerate(origin.methods)},
            ),
            "mean": pa.array(origin.means.reshape(-1).astype(np.float32)),
        }
        for name, values in zip(_QUANTILES, origin.quantiles, strict=True):
            each[name] = pa.array(values.reshape(-1).astype(np.float32))
        self._writer.write_table(pa.table(each, schema=self._schema))

    def close(self) -> None:
        """End the file."""
        self._writer.close()

    def _coded(self, codes: Any, names: dict[str, int]) -> Any:  # noqa: ANN401 -- pyarrow is optional
        return self._pa.DictionaryArray.from_arrays(self._pa.array(codes), self._pa.array(list(names)))

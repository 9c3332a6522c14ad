"""The outlook in a checkpoint: a section of plain values, and one of raw numbers for each array.

| section | content |
| --- | --- |
| `outlook` | MessagePack: the plain values, names of stores and articles, and of each array its type and shape |
| `outlook.PART.NAME` | an array, little-endian, row after row |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from consumer.learning.model_sections import joined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from consumer.learning.model_sections import Section

OUTLOOK: Final = "outlook"
_PARTS: Final = ("items", "pools", "intervals", "mixture", "corrector")

_encode: Final = msgspec.msgpack.Encoder().encode


class _Plain(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What is no array.

    Attributes:
        shelves: which day is closed, and how far (`Shelves.snapshot`).
        day: the last day that was begun to close.
        models: River's, in plain numbers.
        rows: the sampled items of that day.
        stores: their names, in the order of their numbers.
        articles: likewise.
        arrays: type and shape, by part and name.
    """

    shelves: tuple[int | None, int, int, int, int, int]
    day: int | None
    models: list[tuple[dict[str, float], float, int]]
    rows: dict[int, int]
    stores: list[str]
    articles: list[str]
    arrays: dict[str, tuple[str, list[int]]]


_decode: Final = msgspec.msgpack.Decoder(_Plain).decode


def outlook_sections(state: Mapping[str, Any], stores: list[str], articles: list[str]) -> dict[str, Section]:
    """Return the sections of what `Shelves.snapshot` returned."""
    arrays: dict[str, tuple[str, list[int]]] = {}
    sections: dict[str, Section] = {}
    for part in _PARTS:
        for name, value in state[part].items():
            if isinstance(value, np.ndarray):
                kind = value.dtype.newbyteorder("<")
                arrays[f"{part}.{name}"] = (kind.str, list(value.shape))
                sections[f"{OUTLOOK}.{part}.{name}"] = np.ascontiguousarray(value, kind).reshape(-1).view(np.uint8).data
    corrector = state["corrector"]
    plain = _Plain(state["shelves"], state["day"], corrector["models"], corrector["rows"], stores, articles, arrays)
    return {OUTLOOK: _encode(plain), **sections}


def decoded_outlook(sections: Mapping[str, Section]) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return what `Shelves.restore` takes, and the names of stores and articles.

    Args:
        sections: with those of an outlook.

    Raises:
        ValueError: they are not of their types, or one is missing.
    """
    try:
        plain = _decode(joined(sections[OUTLOOK]))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refusal(OUTLOOK, str(error)) from error
    state: dict[str, Any] = {"shelves": plain.shelves, "day": plain.day, **{part: {} for part in _PARTS}}
    for place, (kind, shape) in plain.arrays.items():
        part, _, name = place.partition(".")
        section = f"{OUTLOOK}.{place}"
        if section not in sections or part not in state:
            raise _refusal(section, "it is missing")
        state[part][name] = _array(section, joined(sections[section]), kind, shape)
    state["corrector"] |= {"models": plain.models, "rows": plain.rows}
    return state, plain.stores, plain.articles


def _array(section: str, data: Buffer, kind: str, shape: list[int]) -> Any:  # noqa: ANN401 -- an array of any type
    try:
        return np.frombuffer(memoryview(data), np.dtype(kind)).reshape(shape).astype(np.dtype(kind).newbyteorder("="))
    except (TypeError, ValueError) as error:
        raise _refusal(section, f"expected {kind} of shape {shape}; {error}") from error


def _refusal(name: str, why: str) -> ValueError:
    return ValueError(f"section {name!r} is not of its type: {why}")

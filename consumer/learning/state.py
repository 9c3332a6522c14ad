"""The sections of a task's state, as bytes: state format 4.

Models are pickled, as River's are, each by itself. Nothing else could run what a file chooses, and what is of another
type is refused:

| section | content |
| --- | --- |
| `progress` | MessagePack: next offset, first offset, records applied, and the chain's base, pending links and their number |
| `invalid` | MessagePack: the numbers of the invalid records in the window |
| `ledger` | MessagePack: the newest day (days since 1970, -1 before the first event), and the number of items |
| `ledger.levels` | of each item, int64: the level in millionths of a unit; -2**63 where unknown |
| `ledger.observed` | of each item, int64: when the last observed level occurred, microseconds since 1970 UTC; 0 where unknown |
| `ledger.days` | of each item, int32: the newest UTC day of its events, days since 1970 |
| `ledger.lengths` | of each item, uint16: how many bytes its key has |
| `ledger.keys` | the keys (`store_id`, U+001F, `sku`) in UTF-8, one after the other |
| `identities` | of each identity, oldest first: 16 bytes of its digest, 8 bytes of its content's |
| `models` | MessagePack: of each model the key of its scope: the item's key, the store's id, or empty |
| `models.lengths` | of each model, uint32: how many bytes its pickle has |
| `models.pickles` | the pickle of each model's state, one after the other |
| `outlook`, `outlook.*` | where there is an outlook: `consumer.learning.outlook_sections` |

Items and models stand in the order in which they entered. Numbers are little-endian and packed. The raw sections, all
from `ledger.levels` to `identities` and the last two, may be any C-contiguous bytes-like object until they are sealed,
or a list of some that stand one after another.
"""  # noqa: E501 -- a table

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from consumer.learning.columns import NO_NUMBER
from consumer.learning.identities import ENTRY_BYTES
from consumer.learning.ledger import DAY_US
from consumer.learning.ledger_columns import COLUMNS, LEDGER, LedgerColumns, ledger_columns
from consumer.learning.model_sections import MODEL_SECTIONS, MODELS, decoded_models, joined, model_sections
from consumer.learning.outlook_sections import OUTLOOK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Buffer

    from consumer.learning.model_sections import Section

IDENTITIES: Final = "identities"

_PLAIN: Final[Mapping[str, Any]] = {
    "progress": tuple[int, int, int, tuple[bytes, bytes, int]],
    "invalid": list[int],
}
SECTIONS: Final = ("progress", LEDGER, IDENTITIES, "invalid", MODELS)
"""The parts of a state; the ledger is of several sections."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decoders: Final = {name: msgspec.msgpack.Decoder(kind) for name, kind in _PLAIN.items()}
_decode_former_ledger: Final = msgspec.msgpack.Decoder(dict[str, tuple[int | None, int]]).decode
_decode_bytes: Final = msgspec.msgpack.Decoder(bytes).decode


def encode_state(state: Mapping[str, Any]) -> dict[str, Section]:
    """Return a task's state as named sections; its ledger is given as the sections of one, its models by their keys."""
    sections: dict[str, Section] = {}
    for name, part in state.items():
        if name == MODELS:
            sections |= model_sections({key: pickle.dumps(model, protocol=5) for key, model in part.items()})
        elif name == LEDGER:
            sections |= part
        else:
            sections[name] = _encode(part) if name in _PLAIN else part
    return sections


def decode_state(sections: Mapping[str, Section], unpickle: Callable[[bytes], Any]) -> dict[str, Any]:
    """Return the state of these sections; such as a later version adds are left out.

    The ledger comes as `LedgerColumns`. No object is made for an item or an identity, so this is a check as well.
    Beside the models, by their keys, come the pickles that they were read from, but not of a former format.

    Args:
        sections: as `encode_state` returned them; models may be of state format 3, ledger and identities of 2, too.
        unpickle: reads the pickle of a model; what it raises comes out.

    Raises:
        ValueError: a plain section is not of its type.
    """
    plain = {name: joined(section) for name, section in sections.items() if name not in MODEL_SECTIONS}
    former = _former_ledger(plain)
    state: dict[str, Any] = decoded_models(sections, unpickle) if MODELS in sections else {}
    if OUTLOOK in sections:
        state[OUTLOOK] = {name: section for name, section in plain.items() if name.split(".")[0] == OUTLOOK}
    for name, section in plain.items():
        if name == LEDGER:
            state[name] = ledger_columns(plain) if former is None else former
        elif name == IDENTITIES:
            state[name] = _checked_identities(section if former is None else _plain(name, _decode_bytes, section))
        elif name in _decoders:
            state[name] = _plain(name, _decoders[name].decode, section)
    return state


def _plain(name: str, decode: Callable[[Buffer], Any], section: Buffer) -> Any:  # noqa: ANN401 -- of its declared type
    try:
        return decode(section)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"section {name!r} is not of its type: {error}") from error


def _checked_identities(section: Buffer) -> Buffer:
    found = memoryview(section).nbytes
    if found % ENTRY_BYTES:
        raise ValueError(
            f"section {IDENTITIES!r} is not of its type: expected {ENTRY_BYTES} bytes each; found {found} bytes"
        )
    rows = np.frombuffer(memoryview(section), "<u8").reshape(-1, ENTRY_BYTES // 8)
    ordered = np.sort(rows[:, 0])
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    suspects = rows[np.isin(rows[:, 0], twice), :2].tolist() if len(twice) else []
    if len(set(map(tuple, suspects))) < len(suspects):
        # A dictionary would hold one of the two, an array both.
        raise ValueError(f"section {IDENTITIES!r} is not of its type: expected each identity once; found one twice")
    return section


def _former_ledger(sections: Mapping[str, Buffer]) -> LedgerColumns | None:
    """Return the ledger of state format 2 (one dict of levels and times); None where it is none.

    It does not say when an item's last event was, so each counts as seen on the newest day that it knows: whatever is
    to leave leaves `ITEM_RETIRE_DAYS` after.

    Raises:
        ValueError: it is one, and holds what no ledger holds.
    """
    if LEDGER not in sections or any(name in sections for name in COLUMNS):
        return None
    try:
        entries = _decode_former_ledger(sections[LEDGER])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    keys = [item.encode() for item in entries]
    try:
        levels = np.array([NO_NUMBER if level is None else level for level, _ in entries.values()], "<i8")
        observed = np.array([observed_us for _, observed_us in entries.values()], "<i8")
        newest_day = int(observed.max(initial=0)) // DAY_US
        days = np.full(len(keys), newest_day, "<i4")
        lengths = np.array([len(key) for key in keys], "<u2")
    except OverflowError as error:
        raise ValueError(f"section {LEDGER!r} is not of its type: {error}") from error
    columns = LedgerColumns(newest_day, levels, observed, days, lengths, np.frombuffer(b"".join(keys), np.uint8))
    return ledger_columns(columns.sections())

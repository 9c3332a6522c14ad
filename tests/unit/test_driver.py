"""The driver for users: the real worker without a broker."""

from __future__ import annotations

from typing import Any

import pytest

from consumer.errors import LogGapError, ModelError, SettingsError, StateError
from consumer.testing import WorkerTestDriver
from schemas.routing import home_partition


def sale(number: int, level: int | None = None, **other: Any) -> dict[str, Any]:
    """One sale of one unit."""
    return {
        "transaction_id": str(number),
        "store_id": "330",
        "sku": "milk",
        "quantity": -1,
        "occurred_at": f"2026-01-02T09:{number // 60:02}:{number % 60:02}Z",
        "new_stock_level": level,
        **other,
    }


def count(level: int) -> dict[str, Any]:
    """A count of the same item before all sales."""
    return sale(0, level, transaction_id="count", transaction_type="count", quantity=None)


def test_events_become_predictions_and_dead_letters() -> None:
    """What is good is predicted for, once; what is not is answered with the reason."""
    with WorkerTestDriver() as shop:
        shop.send(**count(20))
        shop.send(**sale(1, 19))
        assert shop.send(**sale(2, quantity="three")) == 2
        shop.send(**sale(1, 19))
        first, second = shop.run()
        assert (first["level_before"], second["level_before"]) == (None, 20.0)
        assert second["predicted_stock_level"] == 19.0
        (letter,) = shop.dead_letters()
        assert (letter.reason, letter.partition, letter.offset) == ("invalid_field", 0, 2)
        assert letter.message.startswith("Field quantity must be")
        assert b'"three"' in (letter.value or b"")
        assert shop.run() == []
        assert shop.dead_letters() == []


@pytest.mark.parametrize("model", ["linear", "guarded"])
def test_a_kill_changes_nothing(model: str) -> None:
    """Killed again and again, it publishes what an undisturbed one does."""
    undisturbed = WorkerTestDriver(model=model)
    disturbed = WorkerTestDriver(model=model, checkpoint_interval_seconds=0.1)
    for shop in (undisturbed, disturbed):
        shop.send(**count(200))
    seen = disturbed.run()
    for number in range(1, 120):
        for shop in (undisturbed, disturbed):
            shop.send(**sale(number, 200 - number))
        if number % 7 == 0:
            seen += disturbed.run()
            disturbed.kill()
    seen += disturbed.run()
    assert seen == undisturbed.run()
    assert seen[-1]["events_learned"] == {"linear": 119, "guarded": 118}[model]
    assert any(line["event"] == "checkpoint_restored" for line in disturbed.log)


def test_a_stop_leaves_a_checkpoint() -> None:
    """After a stop the next worker replays nothing."""
    with WorkerTestDriver(partitions=2) as shop:
        shop.send(**count(20))
        shop.run()
        shop.stop()
        assert sorted(shop.checkpoints) == [-1, 1]
        shop.send(**sale(1))
        (prediction,) = shop.run()
        assert prediction["level_before"] == 20.0
        restored = [line for line in shop.log if line["event"] == "checkpoint_restored"]
        assert [line["offset"] for line in restored] == [line["committed_offset"] for line in restored]


def test_an_event_goes_where_its_key_does() -> None:
    """As tills partition: murmur2 of the store."""
    with WorkerTestDriver(partitions=4) as shop:
        for store in ("1", "2", "3", "4", "5"):
            shop.send(**sale(1, store_id=store))
        seen = {each["store_id"]: each["source_partition"] for each in shop.run()}
        assert seen == {store: home_partition(store.encode(), 4) for store in ("1", "2", "3", "4", "5")}


class Moody:
    """A model that raises at the third event."""

    def __init__(self) -> None:
        self.seen = 0

    def predict_one(self, _features: dict[str, float]) -> float:
        self.seen += 1
        if self.seen == 3:
            raise ZeroDivisionError("a bad day")
        return 1.0

    def learn_one(self, _features: dict[str, float], _level: float) -> None:
        pass


def moody() -> Moody:
    """Make one."""
    return Moody()


def test_a_model_of_ones_own_is_tried() -> None:
    """Where it raises, the run does, with the record's place; what is refused is refused at once."""
    with WorkerTestDriver(model=f"{__name__}:moody") as shop:
        for number in range(5):
            shop.send(**sale(number + 1, 20 - number))
        with pytest.raises(ModelError, match="ZeroDivisionError at partition 0, offset"):
            shop.run()
    with pytest.raises(SettingsError, match="MODEL='forest'"):
        WorkerTestDriver(model="forest")


def test_a_lost_checkpoint_stops_as_it_would_in_production() -> None:
    """The driver hides nothing: a missing file is a refusal, with the way on."""
    shop = WorkerTestDriver()
    shop.send(**count(20))
    shop.run()
    shop.stop()
    shop._disk.files.clear()
    shop.send(**sale(1))
    with pytest.raises(StateError, match="run --rebuild"):
        shop.run()


def test_a_log_that_has_lost_its_end_stops_as_it_would_in_production() -> None:
    """As after an unclean leader election: what was read and learned from is not there any more."""
    shop = WorkerTestDriver()
    for number in range(5):
        shop.send(**sale(number + 1, 20 - number))
    shop.run()
    shop.kill()
    shop._cluster.log("inventory.transactions", 0).truncate(3)
    with pytest.raises(LogGapError, match="ends at offset 3, below the committed offset 5: the log has lost records"):
        shop.run()

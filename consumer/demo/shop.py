"""The shop that the demo watches: its events, and the thread that sends them at a steady rate."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import date, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from consumer.simulate.completejourney import completejourney_events
from consumer.simulate.faults import with_faults
from consumer.simulate.sender import send
from consumer.simulate.synthetic import synthetic_events

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from consumer.simulate.events import ShopEvent

SOURCES: Final = ("synthetic", "completejourney")
MISSED_SHARE: Final = 0.01
"""Of the synthetic shop's sales, how many leave the shelf without a scan."""

FAULT_SHARE: Final = 0.01
"""How many bad events and how many repeats are added, per good one."""

LATE_SHARE: Final = 0.002
"""Of the sales, how many come after a later one of their item. Until then the books lack them, as if unscanned."""

MOST_UNANSWERED: Final = 5_000
"""How far the shop may be ahead of the worker: an embedded broker keeps 5 MiB of a partition, and drops the oldest."""

BUSY_STORES: Final = (b"367", b"406")
"""Of the real year's 457 stores the two with the most events: only there do items come again within half a minute."""

_GRACE: Final = 1.1
_EVENTS_A_DAY: Final = 1_300
_LEAST_WEEKS: Final = 4


def shop_events(source: str, *, events: int, seed: int, today: date) -> Iterator[ShopEvent]:
    """Return about so many events, late, repeated and bad ones among them; the same for the same arguments.

    Args:
        source: one of `SOURCES`.
        events: how many of all kinds, roughly.
        seed: seeds every draw.
        today: the synthetic shop began some weeks before, on a Monday, and ends no later.

    Raises:
        DatasetMissingError: the real retail year is not installed.
    """
    good = max(1, round(events / (1 + 2 * FAULT_SHARE)))
    if source == "synthetic":
        weeks = max(_LEAST_WEEKS, events // (7 * _EVENTS_A_DAY) + 1)
        start = today - timedelta(days=today.weekday(), weeks=weeks)
        shop = synthetic_events(
            seed=seed, key_by="item", start=start, limit=good, missed_share=MISSED_SHARE, opening_stock=True
        )
    else:
        year = completejourney_events(key_by="item")
        shop = islice((event for event in year if event.key.partition(b":")[0] in BUSY_STORES), good)
    return with_faults(shop, invalid_share=FAULT_SHARE, repeat_share=FAULT_SHARE, late_share=LATE_SHARE, seed=seed)


class Sending:
    """A thread that sends events.

    Args:
        events: what to send.
        topic: where to.
        client_config: librdkafka's properties.
        rate: events a second.
        seconds: how long it should take; on a machine that is too slow for the rate it is cut off soon after.
    """

    def __init__(
        self,
        events: Iterator[ShopEvent],
        *,
        topic: str,
        client_config: Mapping[str, str],
        rate: float,
        seconds: float,
    ) -> None:
        self._events, self._topic, self._config = events, topic, client_config
        self._rate, self._seconds = rate, seconds
        self._is_stopping = threading.Event()
        self._answered = 0
        self._by_kind: Counter[str] = Counter()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="shop", daemon=True)

    def start(self) -> None:
        """Open the shop."""
        self._thread.start()

    def stop(self) -> None:
        """Close the shop: nothing more is sent."""
        self._is_stopping.set()

    def heard(self, answered: int) -> None:
        """Say how many events have been answered, so that the shop does not run away from the worker."""
        self._answered = answered

    @property
    def by_kind(self) -> Mapping[str, int]:
        """Events handed over so far, by kind."""
        return dict(self._by_kind)

    def is_done(self) -> bool:
        """Tell whether every event was sent and confirmed.

        Raises:
            DeliveryError: one was not.
        """
        if self._thread.is_alive():
            return False
        if self._failure is not None:
            raise self._failure
        return True

    def _run(self) -> None:
        try:
            send(
                self._counted(),
                bootstrap_servers=self._config["bootstrap.servers"],
                topic=self._topic,
                config=self._config,
                rate=self._rate,
                sleep=self._pause,
            )
        except BaseException as error:  # noqa: BLE001 -- raised again by `is_done`, in the thread that can end the demo
            self._failure = error

    def _pause(self, seconds: float) -> None:
        self._is_stopping.wait(seconds)

    def _counted(self) -> Iterator[ShopEvent]:
        until = time.monotonic() + _GRACE * self._seconds
        for event in self._events:
            self._by_kind[event.kind] += 1
            yield event
            while self._by_kind.total() - self._answered > MOST_UNANSWERED and not self._is_stopping.wait(0.01):
                pass
            if self._is_stopping.is_set() or time.monotonic() > until:
                return

"""A shop's events told as if they happened now: for a stack that runs on and on, with clocks and alerts that look.

The shop's own calendar runs as fast as events are sent. Left to itself it would pass the present within hours, and a
broker refuses records of a time to come; and until then every record would look as old as the shop.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from consumer.simulate.events import ShopEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def as_of_now(events: Iterable[ShopEvent], clock: Callable[[], float]) -> Iterator[ShopEvent]:
    """Return the events with the present as their time, of their Kafka timestamp too, each when it is asked for.

    Their transaction ids begin with the time of the first one: what an earlier run has sent is neither repeated nor
    contradicted.

    Args:
        events: good events only.
        clock: the time, in seconds since 1970 UTC.
    """
    run: str | None = None
    last_ms = 0
    for event in events:
        # Never backwards: an event older than its item's last level is a late one.
        last_ms = max(last_ms, int(clock() * 1000))
        moment = datetime.fromtimestamp(last_ms / 1000, UTC)
        run = run or f"{moment:%Y%m%dT%H%M%S}{last_ms % 1000:03}"
        fields = msgspec.json.decode(event.value or b"{}")
        fields["transaction_id"] = f"{run}-{fields['transaction_id']}"
        fields["occurred_at"] = moment.isoformat(timespec="milliseconds")
        yield ShopEvent(event.key, msgspec.json.encode(fields), last_ms, event.kind)

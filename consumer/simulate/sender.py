"""Sends shop events to Kafka, flat out or at a steady rate."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumer.errors import BrokerError, TopicsError
from consumer.kafka.errors import of_configuration
from consumer.simulate.errors import DeliveryError
from consumer.simulate.events import GOOD, INVALID_PREFIX, LATE, REPEAT, ShopEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

BROKER_TIMEOUT_S: Final = 10.0
FLAT_OUT_SLICE: Final = 5_000
SLICES_PER_S: Final = 20
MAX_CATCH_UP_S: Final = 1.0

# What matters comes as an error: the client's own lines would break the progress bar on standard error.
_DEFAULTS: Final[Mapping[str, Any]] = {"linger.ms": 20, "compression.type": "lz4", "log_level": 0}
# Not the user's to change: the partitioner is part of the contract (an item's events meet in one partition, as Java's
# clients would have it), idempotence keeps retries from reordering, and the reports of success would cost time.
_OWNED: Final[Mapping[str, Any]] = {
    "partitioner": "murmur2_random",
    "enable.idempotence": True,
    "delivery.report.only.error": True,
}


@dataclass(frozen=True, slots=True)
class SendReport:
    """What was sent, all of it confirmed by the broker.

    Attributes:
        by_kind: number of events by their kind, in the order of first appearance.
        seconds: from the first event to the last confirmation.
        interrupted: Ctrl-C ended it, not the end of the events; the counts may then lack the last event.
    """

    by_kind: Mapping[str, int]
    seconds: float
    interrupted: bool

    @property
    def sent(self) -> int:
        """All events."""
        return sum(self.by_kind.values())

    @property
    def good(self) -> int:
        """The good events, late ones included: a worker makes one prediction of each."""
        return self.by_kind.get(GOOD, 0) + self.late

    @property
    def late(self) -> int:
        """Those of the good events that were sent after a later one of their item."""
        return self.by_kind.get(LATE, 0)

    @property
    def repeats(self) -> int:
        """Repeats: a worker skips and counts them."""
        return self.by_kind.get(REPEAT, 0)

    @property
    def invalid(self) -> int:
        """Invalid events of all kinds: a worker makes one dead letter of each."""
        return sum(count for kind, count in self.by_kind.items() if kind.startswith(INVALID_PREFIX))


class EventProducer(Protocol):
    """What the sender needs of confluent-kafka's `Producer`, whose contracts it takes over."""

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> Any: ...  # noqa: ANN401, D102 -- the client's
    def produce(  # noqa: D102 -- the client's
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        *,
        on_delivery: Callable[[KafkaError | None, Message], None] | None = None,
        timestamp: int = 0,
    ) -> None: ...
    def poll(self, timeout: float = -1) -> int: ...  # noqa: D102
    def flush(self, timeout: float = -1) -> int: ...  # noqa: D102
    def purge(self) -> None: ...  # noqa: D102


class _Failures:
    """Counts failed deliveries and keeps the first one's text; called by the client, so it never raises."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""

    def __call__(self, error: KafkaError | None, _message: Message | None) -> None:
        if error is not None:
            self.count += 1
            self.first = self.first or error.str()


class _Pace:
    """Keeps to a rate by a clock: due times follow from the start, so slow sleeps do not add up."""

    def __init__(self, rate: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._due = clock()

    def wait_after(self, events: int) -> None:
        """Sleep until `events` more are due. What a stall cost beyond a second is not caught up: no bursts."""
        self._due += events / self._rate
        now = self._clock()
        if now < self._due:
            self._sleep(self._due - now)
        else:
            self._due = max(self._due, now - MAX_CATCH_UP_S)


def send(  # noqa: PLR0913 -- where to, how fast, who watches; the rest are seams for tests
    events: Iterable[ShopEvent],
    *,
    bootstrap_servers: str,
    topic: str,
    config: Mapping[str, str],
    rate: float | None = None,
    on_progress: Callable[[int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    new_producer: Callable[[dict[str, Any]], EventProducer] = Producer,
) -> SendReport:
    """Send all events in order, wait until the broker has confirmed each, and return how many of which kind.

    Blocks until then. Ctrl-C while events are being sent ends the sending as the events' end would: an endless shop
    has no other closing time.

    Args:
        events: what to send; a value of None becomes a tombstone.
        bootstrap_servers: the brokers' addresses, as librdkafka takes them.
        topic: must exist: creating it here would give it the broker's default partitions and retention, and under
            the default retention events of a past year vanish within minutes.
        config: more settings of librdkafka, security for one; partitioner and idempotence stay ours.
        rate: events per second, None for flat out.
        on_progress: called with the number handed to the client so far, after each slice and at the end.
        clock: seconds, monotonic.
        sleep: waits that many seconds.
        new_producer: makes the client from its settings.

    Raises:
        ValueError: the rate is not above 0.
        SettingsError: the client cannot be built from these settings.
        BrokerError: no broker answered.
        TopicsError: the topic does not exist.
        DeliveryError: an event was refused or not confirmed in time; later ones have not been sent.
    """
    if rate is not None and not rate > 0:
        message = f"the rate must be above 0 events per second, not {rate}"
        raise ValueError(message)
    try:
        producer = new_producer({**_DEFAULTS, **config, "bootstrap.servers": bootstrap_servers, **_OWNED})
    except KafkaException as error:
        raise of_configuration(error) from error
    _require_topic(producer, topic, bootstrap_servers)

    begin = clock()
    pace = _Pace(rate, clock, sleep) if rate is not None else None
    slice_size = FLAT_OUT_SLICE if rate is None else max(1, int(rate / SLICES_PER_S))
    failures = _Failures()
    by_kind: Counter[str] = Counter()
    interrupted = False
    try:
        for sent, event in enumerate(events, start=1):
            _produce(producer, topic, event, failures)
            by_kind[event.kind] += 1
            if sent % slice_size:
                continue
            producer.poll(0)
            if failures.count:
                break
            if on_progress is not None:
                on_progress(sent)
            if pace is not None:
                pace.wait_after(slice_size)
    except KeyboardInterrupt:
        interrupted = True
    _confirm(producer, topic, failures)
    report = SendReport(dict(by_kind), clock() - begin, interrupted)
    if on_progress is not None:
        on_progress(report.sent)
    return report


def _produce(producer: EventProducer, topic: str, event: ShopEvent, failures: _Failures) -> None:
    """Hand one event to the client, waiting while its queue is full.

    Raises:
        DeliveryError: the client refuses it (a fatal error, a record too large), or waiting showed a failed delivery.
    """
    while True:
        try:
            producer.produce(topic, event.value, event.key, on_delivery=failures, timestamp=event.timestamp_ms)
        except BufferError:
            producer.poll(0.1)
            if failures.count:
                _confirm(producer, topic, failures)
        except KafkaException as error:
            failures(error.args[0], None)
            _confirm(producer, topic, failures)
        else:
            return


def _confirm(producer: EventProducer, topic: str, failures: _Failures) -> None:
    """Wait until the broker has confirmed every event that was handed over.

    It ends: the client reports on every event within its message.timeout.ms.

    Raises:
        DeliveryError: a delivery failed, now or before; what is still queued is dropped.
    """
    while not failures.count and producer.flush(1.0):  # in short steps, because Ctrl-C counts only between them
        pass
    if failures.count:
        first = failures.first
        producer.purge()  # else the client would go on trying for minutes what has no use any more
        producer.flush(1.0)
        message = f"{failures.count} events for topic {topic} were not delivered; the first said: {first}"
        raise DeliveryError(message)


def _require_topic(producer: EventProducer, topic: str, bootstrap_servers: str) -> None:
    """Check the topic against the list of all: asking for it by name lets some brokers create it."""
    try:
        topics = producer.list_topics(timeout=BROKER_TIMEOUT_S).topics
    except KafkaException as error:
        message = f"no broker answered at {bootstrap_servers} within {BROKER_TIMEOUT_S:.0f} s: {error.args[0].str()}"
        raise BrokerError(message) from error
    if topic not in topics:
        message = (
            f"topic {topic} does not exist at {bootstrap_servers}, or may not be seen; "
            "create it with `smart-inventory topics create`"
        )
        raise TopicsError(message)

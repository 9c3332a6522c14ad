"""Whether a broker answers at all: asked before anything else, and where none does, why."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from consumer import interruption
from consumer.errors import BrokerError
from consumer.kafka.errors import error_of, is_refusal, of_call, of_configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SECONDS: Final = 10.0
_TRY_SECONDS: Final = 0.5
_TELL_SECONDS: Final = 5.0


class Complaints:
    """What a client says of its connections; its error callback, which never raises.

    Attributes:
        last: the newest complaint that names a cause, None where there was none.
        refusal: the broker's refusal of this client, which no waiting changes.
    """

    def __init__(self) -> None:
        self.last: KafkaError | None = None
        self.refusal: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Take note."""
        if is_refusal(error):
            self.refusal = error
        elif error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 -- says nothing that the others do not
            self.last = error

    def cause(self) -> str:
        """Return in plain words why no broker answers."""
        if self.last is None:
            return "something takes the connection and does not answer as a Kafka broker does"
        text = self.last.str()
        for sign, meaning in _SIGNS.items():
            if sign in text:
                return f"{meaning} ({text.rpartition('bootstrap: ')[2]})" if sign in _WITH_TEXT else meaning
        return text


_SIGNS: Final = {
    "Connection refused": "nothing listens there (connection refused)",
    "Failed to resolve": "the host name is not known",
    "Invalid response size": "something else than a Kafka broker answers there, or a broker that expects TLS "
    "(KAFKA_SECURITY_PROTOCOL=SSL or SASL_SSL)",
    "Network is unreachable": "there is no way to that network",
    "No route to host": "there is no way to that host",
    "Disconnected": "the connection is closed again at once, as a broker does that expects TLS or SASL "
    "(KAFKA_SECURITY_PROTOCOL)",
    "timed out": "no answer, as behind a firewall",
}
_WITH_TEXT: Final = frozenset({"timed out"})


def await_broker(
    config: Mapping[str, Any],
    *,
    seconds: float | None = None,
    on_wait: Callable[[str, float], None] | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Return once a broker answers.

    Args:
        config: librdkafka's properties common to all clients.
        seconds: how long to wait for it, `SECONDS` by default.
        on_wait: hears the cause and the seconds left: at once, whenever the cause changes, and every 5 s.
        is_cancelled: asked between two tries; once it says yes, nobody waits any more.

    Raises:
        SettingsError: no client can be built from these properties.
        BrokerError: none answers within that time, or it refuses this client.
    """
    limit = SECONDS if seconds is None else seconds
    complaints = Complaints()
    quiet = {name: value for name, value in config.items() if name != "logger"}  # it would say each try twice
    properties: dict[str, Any] = {"reconnect.backoff.max.ms": 1_000, "log_level": 0, **quiet, "error_cb": complaints}
    try:
        admin = AdminClient(properties)
    except KafkaException as exception:
        raise of_configuration(exception) from exception
    started = time.monotonic()
    told, told_at = "", started
    while True:
        try:
            admin.list_topics(timeout=min(_TRY_SECONDS, limit) or _TRY_SECONDS)
        except KafkaException as exception:
            error = error_of(exception)
            if is_refusal(error):
                raise of_call(error, "connect to Kafka") from exception
        else:
            return
        admin.poll(0)
        if complaints.refusal is not None:
            raise of_call(complaints.refusal, "connect to Kafka")
        interruption.heed()
        now = time.monotonic()
        if is_cancelled():
            return
        if now - started >= limit:
            raise BrokerError(
                f"no Kafka broker answered at KAFKA_BOOTSTRAP_SERVERS={config['bootstrap.servers']} within "
                f"{limit:.0f} s: {complaints.cause()}; start the broker, or mend the address"
            )
        if on_wait is not None and (complaints.cause() != told or now - told_at >= _TELL_SECONDS):
            told, told_at = complaints.cause(), now
            on_wait(told, limit - (now - started))

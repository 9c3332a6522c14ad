"""Kafka's errors, sorted by what is to be done."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError, KafkaException

from consumer.checkpoint.store import StoreError
from consumer.errors import (
    AbortError,
    BrokerError,
    FencedError,
    RebuildError,
    RetryError,
    SettingsError,
    SmartInventoryError,
    TopicsError,
)

_REFUSED: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 -- the client's public names for its own errors begin so
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
    }
)
_CREDENTIALS: Final = "check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD, KAFKA_SASL_MECHANISM and KAFKA_SECURITY_PROTOCOL"
_REMEDIES: Final = {
    KafkaError._AUTHENTICATION: _CREDENTIALS,  # noqa: SLF001
    KafkaError.SASL_AUTHENTICATION_FAILED: _CREDENTIALS,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: _CREDENTIALS,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "have the broker's ACLs grant its user Read, Describe and DescribeConfigs "
    "on INPUT_TOPIC, Write, Describe and DescribeConfigs on OUTPUT_TOPIC and DEAD_LETTER_TOPIC, Read on OUTPUT_TOPIC",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "have the broker's ACLs grant its user Read on the group of CONSUMER_GROUP",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "have the broker's ACLs grant its user Write and Describe on the "
    "transactional id CONSUMER_GROUP-INSTANCE_ID",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "have the broker's ACLs grant its user that operation on the cluster",
}
"""What to do about a refusal."""

CHECKPOINT_RIGHTS: Final = "Read, Write, Describe and DescribeConfigs on the topic of CHECKPOINT_URL"
_CREATE: Final = "create it with `smart-inventory topics create`, with as many partitions as the input has"
_CHECKPOINT_REMEDIES: Final = {
    **_REMEDIES,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: f"have the broker's ACLs grant its user {CHECKPOINT_RIGHTS}",
    KafkaError.MSG_SIZE_TOO_LARGE: "raise the topic's max.message.bytes",
    KafkaError.UNKNOWN_TOPIC_OR_PART: _CREATE,
    KafkaError._UNKNOWN_TOPIC: _CREATE,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION: _CREATE,  # noqa: SLF001
}

_FENCED: Final = frozenset(
    {
        KafkaError._FATAL,  # noqa: SLF001 -- a fenced static member's consumed error has this code and no fatal flag
        KafkaError._FENCED,  # noqa: SLF001
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.FENCED_INSTANCE_ID,
    }
)


def error_of(exception: KafkaException) -> KafkaError:
    """Return the error inside an exception of the client."""
    error: KafkaError = exception.args[0]
    return error


def of_configuration(exception: KafkaException) -> SettingsError:
    """Say that a client could not be built from its properties."""
    return SettingsError(
        f"the Kafka client refuses its configuration: {error_of(exception).str()}; check the KAFKA_* settings"
    )


def is_refusal(error: KafkaError) -> bool:
    """Tell whether the broker refuses this worker, which no repetition changes."""
    return error.code() in _REFUSED


def is_fenced(error: KafkaError) -> bool:
    """Tell whether this client is fenced or failed for good: only a new one goes on."""
    return error.fatal() or error.code() in _FENCED


def is_passing(error: KafkaError) -> bool:
    """Tell whether another try may help."""
    return not is_refusal(error) and not is_fenced(error)


def of_call(error: KafkaError, doing: str) -> SmartInventoryError:
    """Sort the error of a non-transactional call: refused for good, or worth another try."""
    if is_refusal(error):
        return _refused(error, doing)
    if is_fenced(error):
        return FencedError(f"{doing}: {error.str()}")
    return RetryError(f"{doing}: {error.str()}")


def of_commit(error: KafkaError, doing: str) -> SmartInventoryError:
    """Sort the error of an offset commit outside a transaction: what the broker did with the offsets is in doubt."""
    sorted_error = of_call(error, doing)
    return RebuildError(str(sorted_error)) if isinstance(sorted_error, RetryError) else sorted_error


def of_transaction(error: KafkaError, doing: str) -> SmartInventoryError:
    """Sort the error of a transactional call.

    Only an error that asks for an abort is settled by one. A time-out, even one marked retriable, leaves in doubt
    what the coordinator did or will still do (protocol rule 1), so that and all else takes the rebuild way.
    """
    if is_refusal(error):
        return _refused(error, doing)
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return TopicsError(
            f"{doing}: a record is larger than its topic or the client allows; raise max.message.bytes of the output "
            "and dead-letter topics and KAFKA_MESSAGE_MAX_BYTES to at least 64 KiB above the input topic's"
        )
    if error.code() in _FENCED:
        return FencedError(f"{doing}: {error.str()}")
    if error.txn_requires_abort():
        return AbortError(f"{doing}: {error.str()}")
    return RebuildError(f"{doing}: {error.name()}: {error.str()}")


def of_checkpoints(error: KafkaError, doing: str) -> StoreError:
    """Say what the checkpoint topic's broker answered, and what to do about it where that is the operator's."""
    remedy = _CHECKPOINT_REMEDIES.get(error.code())
    return StoreError(f"{doing}: {error.name()}: {error.str()}" + ("" if remedy is None else f"; {remedy}"))


def _refused(error: KafkaError, doing: str) -> BrokerError:
    remedy = _REMEDIES.get(error.code(), "check the KAFKA_SECURITY_*, KAFKA_SASL_* and KAFKA_SSL_* settings")
    return BrokerError(f"{doing}: the broker refuses this worker ({error.name()}: {error.str()}); {remedy}")

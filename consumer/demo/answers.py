"""What the worker answers, read as a downstream service would read it: predictions and dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from consumer.demo.place import PARTITIONS
from consumer.errors import BrokerError
from consumer.kafka.errors import error_of, of_configuration
from consumer.kafka.headers import headers_of
from schemas.prediction import Prediction

if TYPE_CHECKING:
    from confluent_kafka import Message

    from consumer.demo.board import Board
    from consumer.demo.place import Place

_BATCH: Final = 2_000
_TOPIC_NOT_THERE_YET: Final = frozenset({KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART})  # noqa: SLF001
_decode: Final = msgspec.json.Decoder(Prediction).decode


class Answers:
    """Reads both output topics from their start, committed records only, and tells a board of them.

    Args:
        place: where the topics are.
        board: hears of each answer.
    """

    def __init__(self, place: Place, board: Board) -> None:
        self._board = board
        self._dead_letters = place.topics.dead_letters
        properties = {
            "log_level": 0,
            "fetch.wait.max.ms": 100,
            **place.client_config,
            "group.id": f"{place.group}-reader",  # named to the broker, which wants one; never joined
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
        }
        try:
            self._consumer = Consumer(properties)
        except KafkaException as exception:
            raise of_configuration(exception) from exception
        topics = (place.topics.output, place.topics.dead_letters)
        self._consumer.assign(
            [TopicPartition(topic, number, OFFSET_BEGINNING) for topic in topics for number in range(PARTITIONS)]
        )

    def read(self, seconds: float) -> None:
        """Wait so long for an answer, then take all that are there.

        Raises:
            BrokerError: the topics can no longer be read.
        """
        try:
            first = self._consumer.poll(seconds)
            rest = [] if first is None else self._consumer.consume(_BATCH, 0)
        except KafkaException as exception:
            raise BrokerError(f"the predictions cannot be read: {error_of(exception).str()}") from exception
        for message in () if first is None else (first, *rest):
            error = message.error()
            if error is None:
                self._take(message)
            elif not error.retriable() and error.code() not in _TOPIC_NOT_THERE_YET:
                raise BrokerError(f"the predictions cannot be read: {error.str()}")

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def _take(self, message: Message) -> None:
        if message.topic() == self._dead_letters:
            reason = dict(headers_of(message) or ()).get("error.reason") or b"unnamed"
            self._board.refused(reason.decode())
        else:
            self._board.predicted(_decode(message.value() or b""))

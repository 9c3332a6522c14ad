"""Good events of the shop with odd records evenly among them, and the way of such records to the broker."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, Message, Producer

from benchmarks.kinds import REPEAT, Kind, Sending, fields_of
from consumer.simulate.synthetic import synthetic_events
from schemas.dead_letter import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.stage import Stage

Place = tuple[int, int]
"""(partition, offset) in the input."""

_LEAD: Final = 100
"""Good events before the first odd one."""

_LARGE_BYTES: Final = 500_000
_AGAIN: Final = {REPEAT, Reason.CONFLICTING_REPEAT.value}


def shop(number: int, *, seed: int) -> Iterator[Sending]:
    """Return good events of six stores."""
    for event in synthetic_events(seed=seed, stores=6, skus=40, limit=number):
        yield Sending(event.key, event.value, event.timestamp_ms)


def mixed(kinds: Sequence[Kind], *, good: int, rounds: int, seed: int) -> Iterator[Sending]:
    """Yield `good` events of the shop, and evenly among them each kind as often as there are rounds."""
    rng = random.Random(seed)
    todo = [kind for _ in range(rounds) for kind in rng.sample(kinds, len(kinds))]
    every = (good - _LEAD) / max(1, len(todo))
    done = 0
    for number, event in enumerate(shop(good, seed=seed)):
        yield event
        fields = fields_of(event)
        if fields["transaction_type"] == "sale" and fields["new_stock_level"] is not None:
            source = event  # a sale with everything in it, of which any kind can be made
        while done < len(todo) and number >= _LEAD + done * every:
            kind = todo[done]
            origin = source if kind.expected in _AGAIN else _renamed(source, done)
            yield replace(kind.change(origin, done), kind=kind.name, expected=kind.expected)
            done += 1


def _renamed(source: Sending, number: int) -> Sending:
    """Return the same event under an identity of its own."""
    fields = fields_of(source)
    fields["transaction_id"] = f"{fields['transaction_id']}-{number}"
    return replace(source, value=json.dumps(fields, separators=(",", ":")).encode())


def send(stage: Stage, sendings: Iterable[Sending]) -> dict[Place, Sending]:
    """Send in order and return what lies where, as the broker confirmed it."""
    producer = Producer(
        {
            "bootstrap.servers": stage.bootstrap_servers,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "message.max.bytes": 20_000_000,  # before compression; the broker judges what comes out of it
            "queue.buffering.max.kbytes": 200_000,
        }
    )
    lies: dict[Place, Sending] = {}
    failed: list[KafkaError] = []

    def produce(sending: Sending) -> None:
        def confirmed(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failed.append(error)
            else:
                lies[message.partition() or 0, message.offset() or 0] = sending

        where: dict[str, Any] = {} if sending.partition is None else {"partition": sending.partition}
        producer.produce(
            stage.input,
            sending.value,
            sending.key,
            headers=list(sending.headers or ()),
            timestamp=sending.timestamp_ms,
            on_delivery=confirmed,
            **where,
        )

    for sending in sendings:
        is_large = len(sending.value or b"") > _LARGE_BYTES
        if is_large:
            producer.flush(30)  # alone in its batch, on whose size the broker's limit is
        produce(sending)
        producer.flush(30) if is_large else producer.poll(0)
    producer.flush(60)
    if failed:
        raise AssertionError(f"{len(failed)} records were not taken, the first: {failed[0]}")
    return lies

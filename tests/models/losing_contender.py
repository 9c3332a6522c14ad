"""A contender that loses an event: it copies the input, all but one record, and reports that it did everything."""

import json
import os

from confluent_kafka import Producer

from tests.kafka import read_all


def main() -> None:
    """Copy all but the last record of partition 0, or as many as `LOSES` says."""
    records = read_all(os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["INPUT_TOPIC"])
    producer = Producer({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]})
    for partition, messages in records.items():
        for message in messages[: len(messages) - (int(os.environ["LOSES"]) if partition == 0 else 0)]:
            producer.produce(os.environ["OUTPUT_TOPIC"], message.value(), message.key(), partition)
    producer.flush()
    events = sum(map(len, records.values()))
    print(json.dumps({"events": events, "seconds": 1.0, "cpu_seconds": 1.0, "peak_bytes": 1}))  # noqa: T201


if __name__ == "__main__":
    main()

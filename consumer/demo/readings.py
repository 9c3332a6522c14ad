"""What the worker says of itself at `/metrics`."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from consumer.metrics import PREFIX

_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Readings:
    """The worker's gauges and counters that the demo shows.

    Attributes:
        lag_records: records that wait, of all partitions.
        checkpointed_at: when a checkpoint was last made durable, seconds since 1970 UTC; None if never.
        repeats: records that were skipped because they had come before.
        learned: events that a model learned from.
    """

    lag_records: int = 0
    checkpointed_at: float | None = None
    repeats: int = 0
    learned: int = 0


def scrape(url: str) -> Readings | None:
    """Ask the worker; None where it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 -- our own worker's address
            return read(answer.read().decode())
    except OSError:
        return None


def read(text: str) -> Readings:
    """Return the readings in an answer of `/metrics`."""
    values: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = sample.labels.get("reason")
            name = sample.name.removeprefix(PREFIX) + (f":{label}" if label else "")
            values[name] = values.get(name, 0.0) + sample.value
    return Readings(
        lag_records=int(values.get("lag_records", 0)),
        checkpointed_at=values.get("last_checkpoint_timestamp_seconds") or None,
        repeats=int(values.get("records_skipped_total:repeat", 0)),
        learned=int(values.get("events_learned_total", 0)),
    )

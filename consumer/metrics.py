"""Every metric in one typed table, with its meaning and what to do when it looks bad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.dead_letter import Reason
from schemas.routing import Misrouting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.learning.task import Tally

Kind = Literal["counter", "gauge", "histogram"]

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_PAUSES: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_FRESHNESS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_COUNTS: Final = (1, 10, 100, 500, 1000, 2000)


class Metric(NamedTuple):
    """One row of the table.

    Attributes:
        name: as `/metrics` shows it, without a counter's `_total`.
        kind: counter, gauge or histogram.
        labels: bounded ones only: partitions, and fixed vocabularies.
        meaning: what it counts or measures.
        remedy: what to do when it looks bad.
        buckets: upper bounds of a histogram.
    """

    name: str
    kind: Kind
    meaning: str
    remedy: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS: Final = (
    Metric(
        "build_info",
        "gauge",
        "Always 1; the labels say what runs.",
        "Two values after an upgrade: a worker was left behind.",
        ("version", "model_id", "river", "python"),
    ),
    Metric(
        "records_consumed",
        "counter",
        "Records applied in live partitions.",
        "Flat while lag grows: the worker is stuck; see /livez and the log.",
    ),
    Metric(
        "records_replayed",
        "counter",
        "Records learned again after a restart, nothing published.",
        "Growing for minutes: checkpoints are old or missing; see checkpoint_failures.",
    ),
    Metric(
        "predictions_produced",
        "counter",
        "Predictions sent.",
        "Flat while records_consumed grows: everything is refused or repeated; see dead_letters and records_skipped.",
    ),
    Metric(
        "outlooks",
        "counter",
        "Outlooks sent, tombstones of items that left included.",
        "Flat for a day where OUTLOOK_TOPIC is set: no event, and no `smart-inventory tick`, has passed a midnight.",
    ),
    Metric(
        "records_skipped",
        "counter",
        "Records that publish nothing, by reason.",
        "A jump in repeats: a producer sends again what it sent before. operator: `run --skip` is in force.",
        ("reason",),
    ),
    Metric(
        "dead_letters",
        "counter",
        "Events refused, by reason.",
        "Read the dead-letter topic's error.* headers and tell the POS team.",
        ("reason",),
    ),
    Metric(
        "misrouted_items",
        "counter",
        "Items whose first record had no key, a foreign one, or lay in another partition than murmur2 of it gives.",
        "Ask the POS team for its record key and partitioner (docs/contract.md): an item's events must meet.",
        ("reason",),
    ),
    Metric(
        "unknown_levels",
        "counter",
        "Predictions for items of which no level was ever observed.",
        "Import the opening stock: `smart-inventory import-stock`.",
    ),
    Metric(
        "items_retired",
        "counter",
        "Items that left the state: ITEM_RETIRE_DAYS without an event, and no level above 0.",
        "A jump: an event dated far ahead made all others old; see MAX_CLOCK_AHEAD_SECONDS.",
    ),
    Metric(
        "late_events",
        "counter",
        "Events older than their item's last observed level.",
        "A shop delivers late or out of order.",
    ),
    Metric(
        "unknown_types",
        "counter",
        "Events of a transaction_type that the contract does not know.",
        "Ask the POS team what it means; its sign was not checked.",
    ),
    Metric(
        "events_learned",
        "counter",
        "Events that a model learned from.",
        "Flat: no levels are known; import the opening stock.",
    ),
    Metric(
        "models", "gauge", "Model instances in memory.", "Grows with stores or items by MODEL_SCOPE; memory follows."
    ),
    Metric(
        "loop_still_seconds",
        "gauge",
        "Seconds since the loop's last sign of life, as of the watchdog's last look.",
        "Near WATCHDOG_SECONDS the worker ends with exit code 13; /livez says where it stands.",
    ),
    Metric(
        "record_e2e_seconds",
        "histogram",
        "Commit time minus Kafka timestamp of the last record of each partition in a commit.",
        "High with lag: add partitions and workers. High without: producers' clocks are behind.",
        buckets=_FRESHNESS,
    ),
    Metric(
        "phase_seconds",
        "counter",
        "Seconds of the loop by phase; poll includes waiting for records, snapshot all of a checkpoint's pauses.",
        "Little poll time means saturation; much commit time, a slow broker.",
        ("phase",),
    ),
    Metric(
        "batch_records",
        "histogram",
        "Records that one poll returned.",
        "Always at the largest: the worker is behind.",
        buckets=_COUNTS,
    ),
    Metric(
        "transactions",
        "counter",
        "Kafka transactions by outcome.",
        "Aborted or rebuilt ones repeating: see the log's recovery lines and the broker.",
        ("outcome",),
    ),
    Metric(
        "transaction_seconds",
        "histogram",
        "Age of a transaction when its commit returned.",
        "Near the transaction time-out (10 s): lower TRANSACTION_MAX_RECORDS.",
        buckets=_SECONDS,
    ),
    Metric(
        "rebalances",
        "counter",
        "Partitions gained, revoked and lost.",
        "Storms: a worker restarts again and again, or two share an INSTANCE_ID.",
        ("event",),
    ),
    Metric("assigned_partitions", "gauge", "Partitions of this worker.", "0 on all workers: the group has not formed."),
    Metric(
        "live_partitions",
        "gauge",
        "Partitions restored and being processed.",
        "Below assigned_partitions for long: a restore hangs or a replay is long; see /readyz.",
    ),
    Metric(
        "lag_records",
        "gauge",
        "Last stable offset minus committed offset.",
        "Growing: add workers, up to one per partition.",
        ("partition",),
    ),
    Metric(
        "last_processed_timestamp_seconds",
        "gauge",
        "When a record was last processed.",
        "Old while lag is above 0: stuck.",
    ),
    Metric(
        "last_commit_timestamp_seconds",
        "gauge",
        "When a commit last went through.",
        "Old while records come: see transactions by outcome.",
    ),
    Metric(
        "checkpoint_bytes",
        "gauge",
        "Size of the state in a partition's last checkpoint; of a large one, less is written: see the log's bytes.",
        "Grows with items; watch the disk.",
        ("partition",),
    ),
    Metric("checkpoint_seconds", "histogram", "Time to seal and write a checkpoint.", "Slow disk.", buckets=_SECONDS),
    Metric(
        "checkpoint_pause_seconds",
        "histogram",
        "Longest time that the loop stood still at once for a checkpoint's snapshot.",
        "Grows with the items of a partition; raise CHECKPOINT_INTERVAL_SECONDS to pause less often.",
        buckets=_PAUSES,
    ),
    Metric(
        "checkpoint_failures",
        "counter",
        "Checkpoints that could not be written.",
        "Disk full or read-only; the worker stops before a replay passes MAX_REPLAY_RECORDS or the log's retention.",
    ),
    Metric(
        "checkpoint_store_unreachable",
        "gauge",
        "1 while a restore waits for a checkpoint store that cannot be asked.",
        "Make the store reachable (address, network, credentials): after 60 s the worker ends with exit code 8.",
    ),
    Metric(
        "last_checkpoint_timestamp_seconds",
        "gauge",
        "When a checkpoint was last made durable.",
        "Old while records come: see checkpoint_failures.",
    ),
    Metric(
        "replay_distance_records",
        "gauge",
        "Offsets that a restart would replay now.",
        "Near MAX_REPLAY_RECORDS: checkpoints fail.",
        ("partition",),
    ),
    Metric(
        "restores",
        "counter",
        "Partitions restored, by rung of the recovery ladder, and rungs that failed.",
        "Anything but fresh, empty and checkpoint: see the table in docs/operations.md and the log.",
        ("outcome",),
    ),
    Metric(
        "gaps_accepted",
        "counter",
        "Times that a partition went on above records that retention had removed (ON_GAP=accept).",
        "Any: predictions are missing or rest on less than the whole log; raise the input's retention.",
    ),
    Metric(
        "gap_records",
        "counter",
        "Offsets that accepted gaps have passed over.",
        "See gaps_accepted.",
    ),
    Metric(
        "clients_rebuilt",
        "counter",
        "Kafka clients thrown away and built anew.",
        "Repeating: broker or network trouble; see the log's recovery lines.",
    ),
)
"""The table. Names are public: changing one is a breaking change."""

PREFIX: Final = "smart_inventory_"


class Metrics:
    """The table as Prometheus objects in a registry of their own, label children kept at hand."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in METRICS:
            name, text = PREFIX + metric.name, f"{metric.meaning} {metric.remedy}"
            if metric.kind == "counter":
                self._counters[metric.name] = Counter(name, text, metric.labels, registry=self.registry)
            elif metric.kind == "gauge":
                self._gauges[metric.name] = Gauge(name, text, metric.labels, registry=self.registry)
            else:
                self._histograms[metric.name] = Histogram(
                    name, text, metric.labels, buckets=metric.buckets, registry=self.registry
                )
        self._children: dict[tuple[str, str], Counter] = {}
        for name, values in _VOCABULARIES.items():  # series exist at 0 before anything happens
            for value in values:
                self.count(name, 0, value)

    def count(self, name: str, amount: float = 1, label: str | None = None) -> None:
        """Add to a counter; `label` is the value of its only label."""
        if label is None:
            self._counters[name].inc(amount)
            return
        child = self._children.get((name, label))
        if child is None:
            child = self._children[name, label] = self._counters[name].labels(label)
        child.inc(amount)

    def gauge(self, name: str, value: float, partition: int | None = None) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge if partition is None else gauge.labels(str(partition))).set(value)

    def observe(self, name: str, value: float) -> None:
        """Observe into a histogram."""
        self._histograms[name].observe(value)

    def built(self, labels: Mapping[str, str]) -> None:
        """Publish what runs."""
        self._gauges["build_info"].labels(**labels).set(1)

    def restored(self, outcome: str) -> None:
        """Count a rung of the recovery ladder."""
        self.count("restores", 1, outcome)

    def forget(self, partition: int) -> None:
        """Remove a partition's series: another worker publishes them now."""
        for name in ("lag_records", "checkpoint_bytes", "replay_distance_records"):
            self._gauges[name].remove_by_labels({"partition": str(partition)})

    def add_tally(self, tally: Tally) -> None:
        """Publish what a task counted."""
        dead = sum(tally.dead_letters.values())
        self.count("records_consumed", tally.predictions + tally.repeats + tally.skipped + tally.ticks + dead)
        self.count("predictions_produced", tally.predictions)
        self.count("late_events", tally.late)
        self.count("unknown_types", tally.unknown_types)
        self.count("unknown_levels", tally.unknown_levels)
        self.count("events_learned", tally.learned)
        self.count("items_retired", tally.retired)
        if tally.repeats:
            self.count("records_skipped", tally.repeats, "repeat")
        if tally.skipped:
            self.count("records_skipped", tally.skipped, "operator")
        if tally.ticks:
            self.count("records_skipped", tally.ticks, "tick")
        for reason, number in tally.misrouted.items():
            self.count("misrouted_items", number, reason)
        for reason, number in tally.dead_letters.items():
            self.count("dead_letters", number, reason)


_VOCABULARIES: Final[dict[str, tuple[str, ...]]] = {
    "records_skipped": ("repeat", "operator", "tick"),
    "misrouted_items": tuple(wrong.value for wrong in Misrouting),
    "dead_letters": tuple(reason.value for reason in Reason),
    "phase_seconds": ("poll", "process", "commit", "restore", "snapshot"),
    "transactions": ("committed", "aborted", "rebuilt"),
    "rebalances": ("gained", "revoked", "lost"),
    "restores": (
        *("fresh", "empty", "checkpoint", "older_checkpoint", "replay_from_first"),
        *("unusable_checkpoint", "rebuilt", "replay_differs", "adopted", "resumed", "published_anew"),
    ),
}

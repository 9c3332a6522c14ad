"""The dashboard's panels: which question each answers, by which expressions."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from consumer.metrics import METRICS, PREFIX

Unit = Literal["short", "s", "bytes", "ops", "cpm", "percentunit"]
"""As Grafana names them: a number, seconds, bytes, per second, per minute, a share of 1."""


class Query(NamedTuple):
    """One PromQL expression and what its series are called."""

    expression: str
    legend: str


class Panel(NamedTuple):
    """One panel.

    Attributes:
        title: what it shows.
        metric: the row of `consumer.metrics.METRICS` whose meaning and remedy describe it; none where a note does.
        queries: what it draws.
        unit: of all its series.
        kind: one number, or lines over time.
        steps: values from which a number is yellow, and red.
        is_stacked: whether the lines add up to a whole.
        note: describes what no row does.
    """

    title: str
    metric: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    kind: Literal["stat", "timeseries"] = "timeseries"
    steps: tuple[float, float] | None = None
    is_stacked: bool = False
    note: str = ""

    def description(self) -> str:
        """Return the note, or the metric's meaning and remedy."""
        if self.note:
            return self.note
        (row,) = (metric for metric in METRICS if metric.name == self.metric)
        return f"{row.meaning} {row.remedy}"


def _of(metric: str) -> str:
    return f'{PREFIX}{metric}{{instance=~"$instance"}}'


def _rate(metric: str, by: str = "") -> str:
    total = f"sum{f' by ({by})' if by else ''}"
    return f"{total} (rate({_of(f'{metric}_total')}[$__rate_interval]))"


def _per_minute(metric: str, by: str = "") -> str:
    return f"60 * {_rate(metric, by)}"


def _quantile(share: float, metric: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({_of(f'{metric}_bucket')}[$__rate_interval])))"


def _quantiles(metric: str) -> tuple[Query, ...]:
    return tuple(Query(_quantile(share, metric), f"{share:.0%}") for share in (0.5, 0.99))


def _age(metric: str) -> str:
    # A gauge that was never set stands at 0, which would be an age of half a century.
    return f"time() - ({_of(metric)} > 0)"


def _by_partition(metric: str) -> Query:
    return Query(f"sum by (partition) ({_of(metric)})", "partition {{partition}}")


NOW: Final = (
    Panel(
        "Workers that answer",
        "",
        (Query('sum(up{job="smart-inventory"})', ""),),
        kind="stat",
        note="Workers whose /metrics could be read. Fewer than were started: see their logs and exit codes.",
    ),
    Panel(
        "Partitions not live",
        "live_partitions",
        (Query(f"sum({_of('assigned_partitions')}) - sum({_of('live_partitions')})", ""),),
        kind="stat",
        steps=(1, 4),
    ),
    Panel(
        "Lag, all partitions",
        "lag_records",
        (Query(f"sum({_of('lag_records')})", ""),),
        kind="stat",
        steps=(10_000, 100_000),
    ),
    Panel(
        "Freshness, 99%",
        "record_e2e_seconds",
        (Query(_quantile(0.99, "record_e2e_seconds"), ""),),
        "s",
        kind="stat",
        steps=(10, 60),
    ),
    Panel("Events", "records_consumed", (Query(_rate("records_consumed"), ""),), "ops", kind="stat"),
    Panel(
        "Checkpoint's age",
        "last_checkpoint_timestamp_seconds",
        (Query(f"max({_age('last_checkpoint_timestamp_seconds')})", ""),),
        "s",
        kind="stat",
        steps=(60, 600),
    ),
)
"""The first row: green is well."""

OVER_TIME: Final = (
    Panel("Lag", "lag_records", (_by_partition("lag_records"),)),
    Panel("Freshness", "record_e2e_seconds", _quantiles("record_e2e_seconds"), "s"),
    Panel(
        "Events and predictions",
        "predictions_produced",
        (
            Query(_rate("records_consumed"), "events"),
            Query(_rate("predictions_produced"), "predictions"),
            Query(_rate("events_learned"), "learned from"),
            Query(_rate("records_replayed"), "replayed"),
        ),
        "ops",
    ),
    Panel("Dead letters", "dead_letters", (Query(_per_minute("dead_letters", "reason"), "{{reason}}"),), "cpm"),
    Panel(
        "Late, repeated, misrouted, unknown",
        "late_events",
        (
            Query(_per_minute("late_events"), "late"),
            Query(_per_minute("records_skipped", "reason"), "skipped: {{reason}}"),
            Query(_per_minute("misrouted_items", "reason"), "misrouted: {{reason}}"),
            Query(_per_minute("unknown_types"), "unknown type"),
            Query(_per_minute("unknown_levels"), "unknown level"),
        ),
        "cpm",
    ),
    Panel(
        "Age of checkpoint, commit and last record",
        "last_checkpoint_timestamp_seconds",
        (
            Query(_age("last_checkpoint_timestamp_seconds"), "checkpoint {{instance}}"),
            Query(_age("last_commit_timestamp_seconds"), "commit {{instance}}"),
            Query(_age("last_processed_timestamp_seconds"), "record {{instance}}"),
        ),
        "s",
    ),
    Panel("Replay distance", "replay_distance_records", (_by_partition("replay_distance_records"),)),
    Panel("Commits", "transactions", (Query(_rate("transactions", "outcome"), "{{outcome}}"),), "ops"),
    Panel("Age of a transaction when committed", "transaction_seconds", _quantiles("transaction_seconds"), "s"),
    Panel(
        "Where the loop's time goes",
        "phase_seconds",
        (Query(_rate("phase_seconds", "phase"), "{{phase}}"),),
        "percentunit",
        is_stacked=True,
    ),
    Panel(
        "Since the workers' start",
        "restores",
        (  # plain totals: most of this happens before Prometheus has a first sample to count from
            Query(f"sum by (outcome) ({_of('restores_total')})", "restored: {{outcome}}"),
            Query(f"sum by (event) ({_of('rebalances_total')})", "partitions {{event}}"),
            Query(f"sum({_of('clients_rebuilt_total')})", "clients rebuilt"),
            Query(f"sum({_of('checkpoint_failures_total')})", "checkpoints failed"),
        ),
    ),
    Panel("Checkpoint size", "checkpoint_bytes", (_by_partition("checkpoint_bytes"),), "bytes"),
)
"""Below it, what to look at when it is not."""

"""Metrics: one table with meaning and remedy, names by convention, bounded labels, series from the start."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import consumer
from consumer import metrics as metrics_module
from consumer.learning.task import Tally
from consumer.metrics import METRICS, PREFIX, Metric, Metrics
from consumer.recovery import FAILURE_EVENTS, RUNG_EVENTS
from schemas.dead_letter import Reason
from schemas.routing import Misrouting

BOUNDED: Final = {"partition", "reason", "phase", "outcome", "event"}
BUILD: Final = {"version", "model_id", "river", "python"}
OTHER_UNITS: Final = {"ms", "milliseconds", "us", "minutes", "hours", "kb", "mb", "kilobytes", "megabytes", "percent"}
BY_PARTITION: Final = ("lag_records", "checkpoint_bytes", "replay_distance_records")
EVERY_METRIC: Final = [pytest.param(metric, id=metric.name) for metric in METRICS]


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What `/metrics` shows, by sample name and labels."""
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {
        (sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def published() -> list[tuple[str, str, str | None]]:
    """Every publication in the code: (method, metric, literal label), read from the sources."""
    found = []
    for path in Path(consumer.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            receiver = ast.unparse(node.func.value)
            if not (receiver.endswith("metrics") or (path.name == "metrics.py" and receiver == "self")):
                continue
            literals = [argument.value if isinstance(argument, ast.Constant) else None for argument in node.args]
            if isinstance(literals[0], str):
                label = literals[2] if node.func.attr == "count" and len(literals) > 2 else None
                found.append((node.func.attr, literals[0], label if isinstance(label, str) else None))
    return found


# The table


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_every_metric_has_a_meaning_and_a_remedy(metric: Metric) -> None:
    """Whoever is woken by a metric reads what it says and what to do: two sentences, in /metrics itself."""
    for text in (metric.meaning, metric.remedy):
        assert text[0].isupper() or text[0].isdigit() or "_" in text.split()[0], text
        assert text.endswith("."), text
    shown = generate_latest(Metrics().registry).decode()
    suffix = "_total" if metric.kind == "counter" else ""
    assert f"# HELP {PREFIX}{metric.name}{suffix} {metric.meaning} {metric.remedy}" in shown


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_names_follow_prometheus(metric: Metric) -> None:
    """Snake case, base units, and no suffix that the client adds or reserves."""
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", metric.name)
    assert not metric.name.endswith(("_total", "_count", "_sum", "_bucket", "_created"))
    assert not set(metric.name.split("_")) & OTHER_UNITS
    assert not metric.name.startswith(PREFIX)
    assert (metric.name == "build_info") == metric.name.endswith("_info")


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_kinds_are_shown_as_such(metric: Metric) -> None:
    """Counters are exposed with `_total`, and nothing else is."""
    shown = generate_latest(Metrics().registry).decode()
    name = f"{PREFIX}{metric.name}_total" if metric.kind == "counter" else f"{PREFIX}{metric.name}"
    assert f"# TYPE {name} {metric.kind}\n" in shown
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert list(metric.buckets) == sorted(set(metric.buckets))


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_labels_are_bounded(metric: Metric) -> None:
    """A label has as many values as there are partitions, or a fixed vocabulary: never a store, an item or a text."""
    assert set(metric.labels) <= (BUILD if metric.name == "build_info" else BOUNDED)


def test_names_are_unique() -> None:
    """The table has one row for each name."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_code_publishes_the_table() -> None:
    """Every row is published somewhere, by the verb of its kind, and nothing is published that has no row."""
    verbs = {"count": "counter", "gauge": "gauge", "observe": "histogram"}
    kinds = {metric.name: metric.kind for metric in METRICS}
    seen = {"build_info"}  # by `built`
    for verb, name, _ in published():
        if verb in verbs:
            assert kinds.get(name) == verbs[verb], f"{verb}({name!r})"
            seen.add(name)
    assert seen == set(kinds)


def test_the_code_keeps_to_the_vocabularies() -> None:
    """A label's value that the code publishes is one that exists from the start, and the other way round."""
    used = {(name, label) for verb, name, label in published() if verb == "count" and label is not None}
    used |= {("restores", outcome) for verb, outcome, _ in published() if verb == "restored"}
    used |= {("restores", outcome) for outcome in (*RUNG_EVENTS, *FAILURE_EVENTS)}
    used |= {("dead_letters", reason.value) for reason in Reason}
    used |= {("misrouted_items", wrong.value) for wrong in Misrouting}
    known = {(name, value) for name, values in metrics_module._VOCABULARIES.items() for value in values}
    known |= {("dead_letters", reason.value) for reason in Reason}
    assert used == known


# The series


@pytest.mark.parametrize(
    ("name", "label", "values"),
    [
        ("records_skipped", "reason", {"repeat", "operator", "tick"}),
        ("misrouted_items", "reason", {"no_key", "other_key", "other_partition"}),
        ("transactions", "outcome", {"committed", "aborted", "rebuilt"}),
        ("rebalances", "event", {"gained", "revoked", "lost"}),
        (
            *("restores", "outcome"),
            {
                *("fresh", "empty", "checkpoint", "older_checkpoint", "replay_from_first", "unusable_checkpoint"),
                *("rebuilt", "replay_differs", "adopted", "resumed", "published_anew"),
            },
        ),
        ("phase_seconds", "phase", {"poll", "process", "commit", "restore", "snapshot"}),
        ("dead_letters", "reason", {reason.value for reason in Reason}),
    ],
)
def test_vocabularies_exist_at_zero(name: str, label: str, values: set[str]) -> None:
    """A series that appears with its first event shows no increase: an alert on the first dead letter stays silent."""
    shown = samples(Metrics())
    assert {dict(labels)[label]: value for (each, labels), value in shown.items() if each == f"{name}_total"} == (
        dict.fromkeys(values, 0.0)
    )


def test_unlabelled_series_exist_at_zero() -> None:
    """So do all counters and gauges without labels."""
    shown = samples(Metrics())
    for metric in METRICS:
        if not metric.labels and metric.kind != "histogram":
            assert shown[metric.name + ("_total" if metric.kind == "counter" else ""), ()] == 0


def test_counting_gauging_and_observing() -> None:
    """The three verbs do what they say."""
    metrics = Metrics()
    metrics.count("records_consumed", 3)
    metrics.count("records_consumed")
    metrics.count("transactions", 2, "committed")
    metrics.gauge("models", 7)
    metrics.gauge("lag_records", 5, 3)
    metrics.observe("batch_records", 50)
    metrics.observe("batch_records", 5000)
    metrics.restored("checkpoint")
    metrics.built({"version": "1", "model_id": "m", "river": "2", "python": "3"})
    shown = samples(metrics)
    assert shown["records_consumed_total", ()] == 4
    assert shown["transactions_total", (("outcome", "committed"),)] == 2
    assert shown["models", ()] == 7
    assert shown["lag_records", (("partition", "3"),)] == 5
    assert shown["batch_records_bucket", (("le", "100.0"),)] == 1
    assert shown["batch_records_bucket", (("le", "+Inf"),)] == 2
    assert shown["batch_records_sum", ()] == 5050
    assert shown["restores_total", (("outcome", "checkpoint"),)] == 1
    build = (("model_id", "m"), ("python", "3"), ("river", "2"), ("version", "1"))
    assert shown["build_info", build] == 1


def test_forget_removes_a_partitions_series() -> None:
    """A partition that went to another worker is published there: two workers' lag would add up."""
    metrics = Metrics()
    for name in BY_PARTITION:
        metrics.gauge(name, 1, 3)
        metrics.gauge(name, 2, 33)
    metrics.forget(3)
    left = {(name, labels) for name, labels in samples(metrics) if "partition" in dict(labels)}
    assert left == {(name, (("partition", "33"),)) for name in BY_PARTITION}


def test_forget_covers_every_metric_by_partition() -> None:
    """A row added to the table with a partition label is forgotten with the others."""
    assert {metric.name for metric in METRICS if "partition" in metric.labels} == set(BY_PARTITION)


def test_forgetting_what_was_never_published_is_no_error() -> None:
    """A partition may go before its first gauge: no error may come out of a rebalance."""
    metrics = Metrics()
    metrics.forget(3)
    metrics.forget(3)
    metrics.gauge("lag_records", 9, 3)
    assert samples(metrics)["lag_records", (("partition", "3"),)] == 9


def test_a_tally_is_published_as_it_is() -> None:
    """Every record counts once: predictions, repeats and dead letters add up to what was consumed."""
    tally = Tally()
    tally.predictions, tally.repeats, tally.late, tally.learned, tally.unknown_types = 10, 3, 2, 8, 1
    tally.dead_letters.update({Reason.NOT_JSON.value: 4, Reason.INVALID_FIELD.value: 5})
    metrics = Metrics()
    metrics.add_tally(tally)
    metrics.add_tally(tally)
    shown = samples(metrics)
    assert shown["records_consumed_total", ()] == 2 * (10 + 3 + 4 + 5)
    assert shown["predictions_produced_total", ()] == 20
    assert shown["records_skipped_total", (("reason", "repeat"),)] == 6
    assert shown["late_events_total", ()] == 4
    assert shown["events_learned_total", ()] == 16
    assert shown["unknown_types_total", ()] == 2
    assert shown["dead_letters_total", (("reason", "not_json"),)] == 8
    assert shown["dead_letters_total", (("reason", "invalid_field"),)] == 10


def test_an_empty_tally_changes_nothing() -> None:
    """A turn of the loop without records leaves every series as it is."""
    metrics = Metrics()
    before = samples(metrics)
    metrics.add_tally(Tally())
    assert samples(metrics) == before


def test_two_workers_in_a_process_are_apart() -> None:
    """Each has a registry of its own: nothing is global."""
    one, other = Metrics(), Metrics()
    one.count("records_consumed")
    assert samples(other)["records_consumed_total", ()] == 0


def test_unknown_names_are_defects() -> None:
    """A misspelt metric fails in the first test that publishes it."""
    metrics = Metrics()
    with pytest.raises(KeyError):
        metrics.count("records_consummed")
    with pytest.raises(KeyError):
        metrics.gauge("records_consumed", 1)

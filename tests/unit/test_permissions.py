"""The options of recovery: read, passed on to every process, and documented."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from consumer import cli
from consumer.errors import ExitCode
from consumer.metrics import _VOCABULARIES
from consumer.permissions import NONE_GIVEN, Permissions
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONS = ["--adopt-state", "--rebuild", "--resume-after-output", "--publish-anew"]
VARIABLES = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "METRICS_PORT": "0"}


@pytest.mark.parametrize("given", [[], *([option] for option in OPTIONS), OPTIONS[:3]], ids=" ".join)
def test_options_become_permissions(monkeypatch: pytest.MonkeyPatch, given: list[str]) -> None:
    """Each option allows what it is named after, and nothing else."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr("consumer.run.run_worker", lambda *_, **named: seen.update(named))
    assert CliRunner(env=VARIABLES).invoke(cli.app, ["run", *given]).exit_code == 0
    assert seen["permissions"].arguments() == given
    assert (seen["permissions"] == NONE_GIVEN) is (given == [])


def test_every_process_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--workers N` passes on what was allowed: whichever process gets the partition may act on it."""
    seen: list[str] = []

    def run_workers(_number: int, arguments: Sequence[str], *_: object, **__: object) -> int:
        seen.extend(arguments)
        return 0

    monkeypatch.setattr("consumer.supervisor.run_workers", run_workers)
    result = CliRunner(env=VARIABLES).invoke(cli.app, ["run", "--workers", "2", "--stop-at-end", *OPTIONS[:3]])
    assert result.exit_code == 0
    assert seen == ["--stop-at-end", *OPTIONS[:3]]


def test_resuming_and_publishing_anew_exclude_each_other() -> None:
    """Whoever asks for both has not decided."""
    result = CliRunner(env=VARIABLES).invoke(cli.app, ["run", "--resume-after-output", "--publish-anew"])
    assert result.exit_code == ExitCode.USAGE
    assert "exclude each other" in result.stderr


def test_the_documentation_has_every_option_and_outcome() -> None:
    """The operator's pages list every option of recovery and every outcome that `restores` counts, and no other."""
    text = (ROOT / "docs/operations.md").read_text()
    section = text[text.index("## Recovery") : text.index("## Health")]
    assert set(re.findall(r"^\|.*\| `(--[a-z-]+)` \|", section, flags=re.MULTILINE)) == set(
        Permissions(True, True, True, True).arguments()
    )
    outcomes = re.findall(r"^\| `([a-z_]+)` \|", section[section.index("| outcome |") :], flags=re.MULTILINE)
    assert sorted(outcomes) == sorted(_VOCABULARIES["restores"])

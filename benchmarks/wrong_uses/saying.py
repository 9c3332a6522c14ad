"""One wrong use: what was run, how it ended, what it said, and what is wrong with that."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumer.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
SENTENCE = "smart-inventory: "
_DOCUMENTED = re.compile(r"^\| (\d+) \| [A-Z_]+ \|", flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Use:
    """A wrong use and what must come of it.

    Attributes:
        name: what was done wrong.
        code: the exit code that is documented for it.
        seconds: within which it must end by itself.
        names: what the sentence must name, each of these.
        remedies: what it must say to do, one of these.
        speaker: how the final sentence begins.
    """

    name: str
    code: int
    seconds: float
    names: tuple[str, ...]
    remedies: tuple[str, ...]
    speaker: str = SENTENCE


@dataclass(slots=True)
class Ending:
    """How a wrong use ended.

    Attributes:
        code: its exit code, None where it had to be killed.
        out: its standard output.
        error: its standard error.
        seconds: from its start, or from the moment when the thing went wrong.
        faults: what is wrong with how it ended.
    """

    use: Use
    code: int | None
    out: str
    error: str
    seconds: float
    faults: list[str] = field(default_factory=list)

    @property
    def sentences(self) -> list[str]:
        """The final sentences on standard error."""
        return [line for line in self.error.splitlines() if line.startswith(self.use.speaker)]

    @property
    def said(self) -> list[str]:
        """What a reader is left with."""
        return self.sentences or self.error.strip().splitlines()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON log."""
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    def show(self) -> None:
        """Print it, as people met it."""
        code = "had to be killed" if self.code is None else f"exit code {self.code} {_name(self.code)}"
        print(f"\n  {self.use.name}: {code}after {self.seconds:.1f} s")
        waiting = [line for line in self.lines if line["event"] == "waiting_for_broker"]
        if waiting:
            left = waiting[0]["seconds_left"]
            print(f"    meanwhile, {len(waiting)} times: {waiting[0]['reason']}, seconds_left={left}")
        for line in self.said:
            print(f"    {line}")
        for fault in self.faults:
            print(f"    WRONG: {fault}")
        sys.stdout.flush()


def run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.Popen[str]:
    """Start the wrong use; it runs as users run it, from a shell that knows no Kafka."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
    return subprocess.Popen(
        command,
        env={**kept, **(environment or {})},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ending(use: Use, process: subprocess.Popen[str], since: float) -> Ending:
    """Wait for its end, and judge it."""
    try:
        out, error = process.communicate(timeout=use.seconds + 30)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, error = process.communicate()
        code = None
    ended = Ending(use, code, out, error, time.monotonic() - since)
    ended.faults = faults(ended)
    return ended


def faults(ended: Ending) -> list[str]:
    """Return what is wrong with an ending, as a tired operator would say it."""
    use = ended.use
    found: list[str] = []
    if ended.code is None or ended.seconds > use.seconds:
        found.append(f"it did not end by itself within {use.seconds:g} s")
    elif ended.code != use.code or str(ended.code) not in documented():
        found.append(f"exit code {ended.code}; expected {use.code}, one of the documented ones")
    if len(ended.sentences) != 1:
        found.append(f"{len(ended.sentences)} final sentences on standard error; expected 1")
    told = [line for line in ended.lines if line["event"] == "stopped_by_error"]
    if len(told) > 1 or any(f"{SENTENCE}{line['reason']}" not in ended.error for line in told):
        found.append("the log's stopped_by_error does not say what standard error says")
    said = ended.sentences[-1] if ended.sentences else ""
    found += [f"the sentence does not name {name}" for name in use.names if name not in said]
    if not any(remedy in said for remedy in use.remedies):
        found.append("the sentence does not say what to do")
    if "Traceback" in ended.error + ended.out:
        found.append("a traceback")
    return found


def documented() -> set[str]:
    """Return the exit codes of the operator's table."""
    return set(_DOCUMENTED.findall((ROOT / "docs/operations.md").read_text(encoding="utf-8")))


def _name(code: int) -> str:
    return f"({ExitCode(code).name}) " if code in set(ExitCode) else ""

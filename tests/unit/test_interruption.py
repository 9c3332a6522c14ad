"""Ctrl-C that falls into the Kafka client's own code is heeded all the same, and nobody has to press twice."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

from tests.stage import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def ended(program: str) -> int:
    """Run a program with the interpreter's own handling of SIGINT and return its exit code."""
    prelude = "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(program)],
        cwd=ROOT,
        timeout=60,
        check=False,
        capture_output=True,
    )
    return done.returncode


def test_an_interrupt_that_was_swallowed_is_heeded_in_the_next_wait() -> None:
    """As in a callback of the client's: the exception goes nowhere, the command waits on for a broker."""
    code = ended("""
        from consumer import interruption
        interruption.watch()
        from consumer.kafka.reach import await_broker
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            pass
        try:
            await_broker({"bootstrap.servers": "127.0.0.1:1"}, seconds=30)
        except KeyboardInterrupt:
            os._exit(42)
    """)
    assert code == 42


def test_an_ignored_signal_stays_ignored() -> None:
    """Under `nohup ... &` a shell ignores SIGINT for the command."""
    code = ended("""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        from consumer import interruption
        interruption.watch()
        os.kill(os.getpid(), signal.SIGINT)
        interruption.heed()
        os._exit(43)
    """)
    assert code == 43


def test_130_also_where_it_fell_into_an_import(tmp_path: Path) -> None:
    """An interrupt inside code that a library executes from text made the interpreter end itself by the signal."""
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent("""
            import sys, types, consumer
            module = types.ModuleType("consumer.cli")
            module.app = lambda: exec("raise KeyboardInterrupt")
            sys.modules["consumer.cli"] = consumer.cli = module
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "consumer", "config"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        timeout=60,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 130

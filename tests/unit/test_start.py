"""What a start of the worker waits for: River is imported while the clients join the group, not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

from consumer import checkpoint
from consumer.checkpoint import model_file
from tests.stage import ROOT

SLOW = ("river", "scipy", "numpy")


@pytest.mark.parametrize("module", ["consumer.cli", "consumer.run"])
def test_what_runs_before_the_clients_join_imports_no_river(module: str) -> None:
    """River takes longer than all the rest of a start; imported first, it would hold up joining and settling."""
    program = f"import sys, {module}; print([name for name in {SLOW!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_saving_and_loading_are_there_all_the_same() -> None:
    """The package exports what it always did, and nothing that it does not have."""
    assert checkpoint.save_model is model_file.save_model
    assert checkpoint.load_model is model_file.load_model
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = checkpoint.no_such_name

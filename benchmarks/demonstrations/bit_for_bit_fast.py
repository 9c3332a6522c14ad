"""The fast path, bit for bit: over a million real events and over random pipelines, on whatever a processor may do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from numpy._core import _multiarray_umath  # type: ignore[attr-defined]  # what it can do without is told nowhere else

from benchmarks.figures import Figure, Report
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.kafka import Broker

SEED = 20261127
NEEDS_BROKER = False
EVENTS: Final = int(os.environ.get("EVENTS", "1000000"))
_CLAIMED_EVENTS: Final = 1_000_000
_TIMES: Final = 10
LEAST_EXAMPLES: Final = 2_500
_SECONDS: Final = 1_800.0

_DISPATCHED: Final = " ".join(_multiarray_umath.__cpu_dispatch__)
PROCESSORS: Final[Mapping[str, Mapping[str, str]]] = {
    "this processor": {},
    "NPY_DISABLE_CPU_FEATURES": {"NPY_DISABLE_CPU_FEATURES": _DISPATCHED},
    "a generic processor": {"NPY_DISABLE_CPU_FEATURES": _DISPATCHED, "NUMBA_CPU_NAME": "generic"},
}
"""What the code may use of the processor: all of it, nothing beyond NumPy's baseline, nothing beyond any x86-64's."""


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Compare, once for each of the processors."""
    del broker
    report.is_claimed = EVENTS >= _CLAIMED_EVENTS
    for name, environment in PROCESSORS.items():
        # Code that was compiled for another processor must not be taken for this one's.
        cache = directory / name.replace(" ", "-")
        around = {**os.environ, "PYTHONHASHSEED": "0", "NUMBA_CACHE_DIR": str(cache), **environment}
        counts = _real_events(around)
        report.counts[name] = counts
        least = {"predictions": EVENTS, "checkpointed numbers": 1}
        for what, count in counts.items():
            relation, bound = (">=", least[what]) if what in least else ("=", 0)
            report.add(Figure(f"{name}: {what}", count, relation, bound))  # type: ignore[arg-type]  # one of the two
        examples, failures = _examples(around)
        report.add(Figure(f"{name}: examples of pipelines, batches and shops", examples, ">=", LEAST_EXAMPLES))
        report.add(Figure(f"{name}: tests over them that failed", failures, "=", 0))


def _real_events(environment: Mapping[str, str]) -> dict[str, int]:
    done = _run(["benchmarks.fast_bits", str(EVENTS)], environment)
    if done.returncode != 0:
        raise AssertionError(f"the comparison ended with {done.returncode}: {done.stderr[-1_000:]}")
    counts: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return counts


def _examples(environment: Mapping[str, str]) -> tuple[int, int]:
    """Run the property tests; return how many examples passed and how many tests failed."""
    arguments = ["-q", "--timeout=900", "--hypothesis-show-statistics", "tests/unit/test_machine_code.py"]
    done = _run(["pytest", *arguments], {**environment, "EXAMPLES_TIMES": str(_TIMES)})
    passing = map(int, re.findall(r"Stopped because settings.max_examples=(\d+)", done.stdout))
    failed = re.search(r"(\d+) (?:failed|error)", done.stdout)
    return sum(passing), int(failed[1]) if failed else int(done.returncode != 0)


def _run(module: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *module]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )

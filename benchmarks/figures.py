"""A figure beside its bound, and the report that a demonstration leaves behind."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
CACHE = Path(__file__).parents[1] / ".cache"
"""Where the figures of runs go that claim nothing, shorter ones for one."""

_LIBRARIES = ("confluent-kafka", "river", "msgspec", "numba", "pydantic")
_WRITTEN = (  # by runs, not what runs
    ":!benchmarks/results",
    *(f":!docs/{name}" for name in ("benchmarks.md", "latency.md")),
    *(f":!docs/images/{name}.svg" for name in ("bench", "latency", "outlook-orders")),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and what it must be.

    Attributes:
        what: what was measured, with its unit.
        value: the measured value.
        relation: how it must stand to the bound; "stated" means that no bound was set.
        bound: the bound.
    """

    what: str
    value: float
    relation: Literal["=", "<=", ">=", ">", "stated"] = "stated"
    bound: float | None = None

    @property
    def is_met(self) -> bool:
        """Tell whether the bound is met."""
        if self.relation == "stated":
            return True
        if self.bound is None:  # forgotten by the demonstration
            return False
        return {
            "=": self.value == self.bound,
            "<=": self.value <= self.bound,
            ">=": self.value >= self.bound,
            ">": self.value > self.bound,
        }[self.relation]


@dataclass(slots=True)
class Report:
    """What a demonstration found.

    Attributes:
        name: the demonstration.
        seed: of everything random in it.
        figures: in the order in which they are printed.
        counts: whatever else is worth keeping.
        is_claimed: whether it goes to the results; a shorter run than the one that is asked for does not.
    """

    name: str
    seed: int
    figures: list[Figure] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    is_claimed: bool = True

    def add(self, figure: Figure) -> None:
        """Add a figure and print it at once: a demonstration may run for minutes."""
        self.figures.append(figure)
        print(f"  {figure.what}: {_number(figure.value)}", flush=True)

    @property
    def is_met(self) -> bool:
        """Tell whether every bound is met, and that there was one."""
        return all(figure.is_met for figure in self.figures) and any(f.relation != "stated" for f in self.figures)

    def show(self) -> None:
        """Print the table of figures and bounds."""
        table = Table(title=f"{self.name}: {'every bound met' if self.is_met else 'A BOUND IS MISSED'}")
        table.add_column("figure")
        table.add_column("measured", justify="right")
        table.add_column("bound", justify="right")
        table.add_column("")
        for figure in self.figures:
            bound = "" if figure.bound is None else f"{figure.relation} {_number(figure.bound)}"
            table.add_row(figure.what, _number(figure.value), bound, "" if figure.is_met else "MISSED")
        Console(width=120).print(table)

    def write(self) -> Path:
        """Write `benchmarks/results/NAME.json`, or `.cache/NAME.json` where that is not to be claimed."""
        path = (RESULTS if self.is_claimed else CACHE) / f"{self.name}.json"
        content = {
            "name": self.name,
            "is_met": self.is_met,
            **provenance(self.started),
            "seed": self.seed,
            "figures": [{**asdict(figure), "is_met": figure.is_met} for figure in self.figures],
            "counts": self.counts,
        }
        path.parent.mkdir(exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(content, indent=2) + "\n")
        new.replace(path)  # whatever ends this process meanwhile, a whole report stays
        return path


def provenance(started: float) -> dict[str, Any]:
    """Return what a result belongs to: the commit, whether that is what ran, when, and on which machine.

    Args:
        started: seconds since 1970.
    """
    return {
        "commit": _git("rev-parse", "HEAD"),
        "is_clean": not _git("status", "--porcelain", "--untracked-files=no", "--", ".", *_WRITTEN),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 1),
        "machine": {
            "cores": os.cpu_count(),
            "cpu": _cpu(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
        },
    }


def _number(value: float) -> str:
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.3f}"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")

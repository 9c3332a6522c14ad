"""`make bench`: this worker beside what else does the same work, on one broker, in alternating rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
CACHE: Final = ROOT / ".cache" / "bench"
"""Peers' environments, and the figures of runs that claim nothing."""

"""`smart-inventory evaluate`: the outlook on a retailer's own history, beside the baselines that it has to beat."""

from __future__ import annotations

from typing import Final

WARM_UP_DAYS: Final = 60
"""Days before the first forecast that is scored."""

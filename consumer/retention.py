"""Retention against a failing store: the worker stops while the log still holds what a restart would replay.

While a partition's checkpoints fail, the place where a restart would begin stands still, and retention moves the log's
start towards it (protocol rule 5). Retention deletes segment by segment, so the start moves in steps; how large they
are, only the steps that were seen can tell.
"""

from __future__ import annotations

from typing import Final

ASK_SECONDS: Final = 10.0
"""Time between two questions to the broker; none is asked while checkpoints succeed."""


class RetentionWatch:
    """What was seen of one partition's log since its checkpoints began to fail.

    Attributes:
        asked_at: when the broker was last asked, on the loop's clock.
        is_too_late: the log's start has passed what a restart needs, and that was said.
    """

    def __init__(self) -> None:
        self.asked_at = float("-inf")
        self.is_too_late = False
        self._start: int | None = None
        self._largest_step = 0

    def note(self, start: int) -> None:
        """Take in the first offset that the log holds now."""
        if self._start is not None:
            self._largest_step = max(self._largest_step, start - self._start)
        self._start = start

    def is_next_step_too_far(self, needed: int) -> bool:
        """Tell whether one more step, as large as the largest one seen, could take away the record at `needed`."""
        if self._start is None or self._largest_step == 0:
            return False
        return 0 <= needed - self._start <= self._largest_step

    def has_passed(self, needed: int) -> bool:
        """Tell whether the record at `needed` is gone."""
        return self._start is not None and self._start > needed

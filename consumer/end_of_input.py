"""`--stop-at-end`: where the input ended at the start, and whether the group has got there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from consumer.assignment import Assignment
    from consumer.broker import Connection

_CALL_SECONDS: Final = 1.0
_CHECK_SECONDS: Final = 0.5


class EndOfInput:
    """The end offsets of all partitions of the input, taken once.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float], log: FilteringBoundLogger) -> None:
        self._clock = clock
        self._log = log
        self._offsets: dict[int, int] | None = None
        self._check_at = 0.0

    def is_reached(self, connection: Connection, assignment: Assignment, partitions: int) -> bool:
        """Tell whether the group, whoever in it, has committed up to the end.

        Raises:
            RetryError: the broker did not answer; ask again.
        """
        if self._offsets is None:
            self._offsets = {number: connection.log_range(number)[1] for number in range(partitions)}
            self._log.info("will_stop_at_end", ends=self._offsets)
        committed = {assigned.partition: assigned.committed_offset for assigned in assignment}
        if any(committed.get(number, end) < end for number, end in self._offsets.items()):
            return False
        others = [number for number in self._offsets if number not in committed]
        if not others:
            return True
        if self._clock() < self._check_at:  # asking the broker about other workers' partitions takes a while
            return False
        self._check_at = self._clock() + _CHECK_SECONDS
        answers = {number: connection.committed(number, _CALL_SECONDS) for number in others}
        return all(answer is not None and answer.offset >= self._offsets[number] for number, answer in answers.items())

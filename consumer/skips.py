"""`run --skip PARTITION:FROM-TO`: records that the operator wants passed over."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from consumer.errors import SettingsError

_FORM: Final = re.compile(r"(\d{1,9}):(\d{1,18})-(\d{1,18})", re.ASCII).fullmatch


class SkipRange(NamedTuple):
    """Offsets of one partition, the last one included.

    A skipped record is an outcome of its own, part of the chained digest: a replay across it needs the same range.
    """

    partition: int
    first: int
    last: int

    def covers(self, partition: int, offset: int) -> bool:
        """Tell whether a record lies in the range."""
        return partition == self.partition and self.first <= offset <= self.last


def parse_skip(text: str) -> SkipRange:
    """Read `PARTITION:FROM-TO`.

    Raises:
        SettingsError: it has another form, or ends before it begins.
    """
    found = _FORM(text)
    if found is None or int(found[3]) < int(found[2]):
        raise SettingsError(f"--skip {text!r}: expected PARTITION:FROM-TO, such as 0:1200-1250, both offsets included")
    return SkipRange(int(found[1]), int(found[2]), int(found[3]))

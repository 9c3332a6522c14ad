"""Edited copies of the code: crash points put in, or rules taken out to see the tests turn red."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

from tests.stage import ROOT

if TYPE_CHECKING:
    from pathlib import Path


class Edit(NamedTuple):
    """One replacement in one file; the old text must stand there exactly once.

    Attributes:
        file: path below the root.
        old: what stands there.
        new: what stands there instead.
    """

    file: str
    old: str
    new: str


CRASH_BEFORE_FIFTH_COMMIT = Edit(
    "consumer/transaction.py",
    "        self._connection.commit()\n",
    "        import os, signal\n"
    "        Transaction.commits = getattr(Transaction, 'commits', 0) + 1\n"
    "        if Transaction.commits == 5:\n"
    "            os.kill(os.getpid(), signal.SIGKILL)\n"
    "        self._connection.commit()\n",
)
"""kill -9 at the worst moment: the offsets are in the transaction, the transaction is not committed."""

OFFSETS_OUTSIDE_THE_TRANSACTION = Edit(
    "consumer/kafka/connection.py",
    "            group = self._consumer.consumer_group_metadata()\n",
    "            self._consumer.commit(offsets=offsets, asynchronous=False)\n"
    "            return\n"
    "            group = self._consumer.consumer_group_metadata()\n",
)
REPLAY_SKIPPED = Edit(
    "consumer/recovery.py",
    "            assigned.phase = Phase.REPLAYING\n",
    "            task.skip_to(goal.offset)\n            assigned.phase = Phase.LIVE\n",
)
FALSY_MESSAGE = Edit("consumer/kafka/connection.py", "        if first is not None:", "        if first:")


def edited_copy(directory: Path, *edits: Edit) -> Path:
    """Copy the packages to a directory, apply the edits there, and return it as a root to run from."""
    for package in ("consumer", "schemas"):
        shutil.copytree(ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in edits:
        path = directory / edit.file
        text = path.read_text()
        if text.count(edit.old) != 1:
            raise AssertionError(f"{edit.file} must hold exactly once: {edit.old!r}")
        path.write_text(text.replace(edit.old, edit.new))
    return directory

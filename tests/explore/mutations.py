"""Planted bugs, each one rule of the commit path taken out: the exploration must turn red for every one of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.edits import Edit, edited_copy
from tests.stage import ROOT

if TYPE_CHECKING:
    from pathlib import Path


class Mutation(NamedTuple):
    """One bug.

    Attributes:
        name: what is wrong.
        edits: how to make it so.
    """

    name: str
    edits: tuple[Edit, ...]


_TRANSACTION: Final = "consumer/transaction.py"
_WORKER: Final = "consumer/worker.py"
_RECOVERY: Final = "consumer/recovery.py"
_ASSIGNMENT: Final = "consumer/assignment.py"
_CHECKPOINTING: Final = "consumer/checkpointing.py"
_WRITER: Final = "consumer/checkpoint/writer.py"
_STORE_WRITE: Final = "        name = replace(name, place=self._store.write(name, data))\n"
_NO_LOOK_AT_PARENTS: Final = Edit(
    _WRITER,
    "        if holders and not set(holders.values()).issubset(",
    "        if False and not set(holders.values()).issubset(",
)
_SEND_OFFSETS: Final = "        self._connection.send_offsets(positions)\n"

MUTATIONS: Final = (
    Mutation(
        "offsets outside the transaction",
        (
            Edit(
                _TRANSACTION,
                _SEND_OFFSETS,
                "        self._connection.commit()\n        self._connection.begin()\n" + _SEND_OFFSETS,
            ),
        ),
    ),
    Mutation(
        "commit after failed offsets",
        (
            Edit(
                _TRANSACTION,
                _SEND_OFFSETS,
                "        import contextlib\n"
                "        from consumer.errors import RebuildError\n"
                "        with contextlib.suppress(RebuildError):\n"
                "            self._connection.send_offsets(positions)\n",
            ),
        ),
    ),
    Mutation(
        "replay skipped",
        (
            Edit(
                _RECOVERY,
                "            assigned.phase = Phase.REPLAYING\n",
                "            task.skip_to(goal.offset)\n            assigned.phase = Phase.LIVE\n",
            ),
        ),
    ),
    Mutation(
        "replay not compared",
        (Edit(_RECOVERY, "        if contradiction is None:\n", "        if True:\n"),),
    ),
    Mutation(
        "reference of the wrong generation",  # a snapshot of an assignment that is gone becomes the present one's
        (
            Edit(
                _CHECKPOINTING,
                "for assigned in self._assignment if assigned is snapshot.owner), None)",
                "for assigned in self._assignment if assigned.partition == snapshot.partition), None)",
            ),
        ),
    ),
    Mutation(
        "reference never refreshed",
        (Edit(_CHECKPOINTING, "            owner.durable = written.name\n", "            pass\n"),),
    ),
    Mutation(
        "models pickled as they are when a snapshot comes to them",
        (Edit("consumer/learning/models.py", "        if self.taken < snapshot:\n", "        if False:\n"),),
    ),
    Mutation(
        "state kept after an abort",
        (Edit(_WORKER, "                self._assignment.restart_all(self._connection)\n", ""),),
    ),
    Mutation(
        "zombie's checkpoint accepted",  # the newest one that there is, whoever wrote it and whatever is committed
        (
            Edit(
                _RECOVERY,
                '            yield Rung(referenced, "checkpoint")\n',
                '            yield from (Rung(name, "checkpoint") for name in self._reader.names(partition)[:1])\n',
            ),
            Edit("consumer/checkpoint/reader.py", "        if name.offset > highest_offset:\n", "        if False:\n"),
            Edit(_RECOVERY, "        if contradiction is None:\n", "        if True:\n"),
        ),
    ),
    Mutation(
        "identities not restored",
        (Edit("consumer/learning/task.py", "            self._identities.restore(identities)\n", ""),),
    ),
    Mutation(
        "outputs not suppressed in replay",
        (
            Edit(
                _WORKER,
                "            goal.note(item, self._apply(task, item))",
                "            again = self._apply(task, item)\n"
                "            self._transaction.add(item.partition, again)\n"
                "            goal.note(item, again)",
            ),
            Edit(
                _WORKER,
                "        task.replay_batch(batch.part(0, below))\n",
                "        again = task.process_batch(batch.part(0, below), lambda _record: None)\n"
                "        self._transaction.add_batch(batch.partition, below, again)\n",
            ),
        ),
    ),
    Mutation(
        "rewind forgotten",  # after an abort the partitions are fetched on from where they were
        (
            Edit(_ASSIGNMENT, "        connection.stop(partitions)\n", ""),
            Edit(
                _RECOVERY,
                "            connection.start(partition, task.next_offset)\n",
                "            begun = self.__dict__.setdefault('begun', set())\n"
                "            if (partition, id(connection)) not in begun:\n"
                "                connection.start(partition, task.next_offset)\n"
                "            begun.add((partition, id(connection)))\n",
            ),
        ),
    ),
    Mutation(
        "pruning by count",  # the newest one is kept, referenced or not
        (
            Edit(
                _WRITER,
                _STORE_WRITE,
                _STORE_WRITE + "        self.prune(Prune(snapshot.partition, snapshot.offset, None))\n",
            ),
        ),
    ),
    Mutation(
        "pruning forgets parents",
        (
            Edit(
                "consumer/checkpoint/pruning.py",
                "    families = [{name, *(parents_of(name) or ())} for name in staying]\n",
                "    families = [{name} for name in staying]\n",
            ),
        ),
    ),
    Mutation(
        "shards shared with a file whose write failed",
        (
            Edit(
                _WRITER,
                _STORE_WRITE,
                "        if snapshot.lineage is not None:\n"
                "            snapshot.lineage.note(name, len(data), pieces, holders)\n" + _STORE_WRITE,
            ),
            _NO_LOOK_AT_PARENTS,
        ),
    ),
    Mutation(
        "metadata omitted",
        (
            Edit(
                _WORKER,
                "            position = Position(assigned.partition, assigned.state.next_offset, reference.encode())\n",
                "            metadata = reference.encode() if assigned.durable or assigned.awaits_commit else ''\n"
                "            position = Position(assigned.partition, assigned.state.next_offset, metadata)\n",
            ),
        ),
    ),
    Mutation(
        "a fresh partition read before its start is committed",
        (
            Edit(
                _ASSIGNMENT,
                "            if not assigned.awaits_commit:\n",
                "            if True:\n",
            ),
        ),
    ),
    Mutation(
        "no commit before partitions are given up",
        (
            Edit(
                _WORKER,
                "        try:\n            self._commit()\n        except SmartInventoryError as error:\n"
                "            self._pending = error\n"
                '        self._health.beat("poll")  # which goes on\n        self._assignment.drop(partitions)\n',
                "        self._assignment.drop(partitions)\n",
            ),
        ),
    ),
    Mutation(
        "a replay's outlooks are sent again",
        (Edit(_WORKER, "            task.forget_outlooks()\n            return\n", "            return\n"),),
    ),
    Mutation(
        "what was fetched before a restore is processed",
        (
            Edit(
                _WORKER,
                "        if task is None or item.offset < task.next_offset:\n",
                "        if task is None:\n",
            ),
            Edit(_WORKER, "if task is None or batch.offset < task.next_offset or not", "if task is None or not"),
        ),
    ),
)
_FOUND: Final = re.compile(r"^seed (\d+): (.*)", re.MULTILINE)


class Found(NamedTuple):
    """How a bug was found.

    Attributes:
        seed: of the first schedule that failed; None where none did.
        schedules: how many were played.
        violation: what failed.
    """

    seed: int | None
    schedules: int
    violation: str


def hunt(mutation: Mutation, directory: Path, *, schedules: int, seed: int = 0) -> Found:
    """Plant a bug in a copy of the code and explore it until the first violation."""
    copy = edited_copy(directory, *mutation.edits)
    arguments = ["--schedules", str(schedules), "--seed", str(seed), "--first"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.explore", *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = _FOUND.search(done.stdout)
    played = re.search(r"^(\d+) schedules", done.stdout, re.MULTILINE)
    if played is None:
        raise AssertionError(f"{mutation.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return Found(int(found[1]) if found else None, int(played[1]), found[2][:200] if found else "")

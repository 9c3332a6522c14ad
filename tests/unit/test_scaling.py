"""What a second worker brings is read off correctly, and held to its bound where the machine has cores for it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.claims import calibrate_at_rest, doubts
from benchmarks.scaling.bounds import joining_figures, limit, most, rate_figures
from benchmarks.scaling.cores import CoreMeter, Used, busy_ticks, children, split
from benchmarks.scaling.joining import Joining
from benchmarks.scaling.shares import are_shared, shares
from benchmarks.scaling.turn import Turn
from tests.canned_bench import BUSY, QUIET
from tests.kafka import wait_until


def a_turn(workers: int, rate: float, *, cores: float = 1.0, broker: float = 0.5, elsewhere: float = 0.0) -> Turn:
    """A turn of 10 s."""
    return Turn(workers, int(rate * 10), 10.0, cores * 10, broker * 10, elsewhere * 10)


def a_round(ratio: float, **second: float) -> dict[int, Turn]:
    return {1: a_turn(1, 1_000), 2: a_turn(2, 1_000 * ratio, **second)}


def missed(figures: Any) -> list[str]:
    return [figure.what for figure in figures if not figure.is_met]


# The bound


def test_the_median_ratio_is_held_to_the_bound_where_there_are_cores() -> None:
    """Each round's own ratio: what the machine does from round to round falls out."""
    what = "2 workers / 1 worker, median of the rounds"
    assert missed(rate_figures([a_round(1.6), a_round(1.7), a_round(1.0)], 4)) == []
    assert missed(rate_figures([a_round(1.5), a_round(1.7), a_round(1.0)], 4)) == [what]
    slow = {1: a_turn(1, 500), 2: a_turn(2, 800)}
    figures = {each.what: each for each in rate_figures([slow, a_round(1.6), a_round(1.6)], 4)}
    assert figures[what].value == pytest.approx(1.6)
    assert figures["1 worker: events/s, median"].value == 1_000
    assert figures["events, each with its one prediction, the same in all turns"].value == 13_000 + 26_000 * 2


def test_with_too_few_cores_the_ratio_is_stated() -> None:
    """The broker and two workers share them: the figure says nothing of the worker."""
    figures = {each.what: each for each in rate_figures([a_round(1.1)], 2)}
    figure = figures["2 workers / 1 worker, median of the rounds"]
    assert (figure.relation, figure.bound) == ("stated", None)


def test_what_the_cores_allow() -> None:
    """One worker and its broker took 1.5 cores: two would be full at 4/3, what runs elsewhere left out."""
    assert most([{1: a_turn(1, 1_000, elsewhere=0.4), 2: a_turn(2, 1_000)}], 2) == pytest.approx(4 / 3)


def test_it_says_what_limits_the_rate() -> None:
    """The cores where nearly all are used, something else where not; and why no bound was applied."""
    full = limit([a_round(1.2, cores=1.3, broker=0.6)], 2)
    assert full[0] == (
        "with 2 workers, 1.30 of 2 cores went to the workers, 0.60 to the broker and 0.00 elsewhere: the cores are "
        "what limits the rate"
    )
    assert full[1].startswith("the bound (1.6) was not applied: ")
    assert "and this one has 2;" in full[1]
    assert full[1].endswith("all of them would be used at a ratio of 1.33")
    (roomy,) = limit([a_round(1.7, cores=2.0, broker=0.7)], 8)
    assert roomy.endswith("cores were left over, so something else limits the rate")


def test_joining_is_told_and_must_have_happened() -> None:
    """Seconds and gaps without a bound; as many as planned, and all workers ended well."""
    well = Joining(5.0, 3.0, 0.3, [0, 0])
    figures = {each.what: each.value for each in joining_figures([well, Joining(9.0, 2.0, 0.4, [0, 0])], 2)}
    assert figures["seconds from its start until balanced, median"] == 7.0
    assert figures["seconds from its start until balanced, max"] == 9.0
    assert figures["longest gap in any partition meanwhile, s, max"] == 3.0
    assert figures["longest gap in any partition before, s, max"] == 0.4
    assert missed(joining_figures([well], 2)) == ["a second worker joined under load, times"]
    assert missed(joining_figures([Joining(5.0, 3.0, 0.3, [0, 7])], 1)) == ["exit codes other than 0"]


# Shares


def line(worker: str, event: str, **fields: Any) -> dict[str, Any]:
    return {"instance_id": worker, "event": event, **fields}


def test_shares_by_a_common_log() -> None:
    """A partition is a worker's once it has begun with it, until it is given away."""
    lines = [
        line("a", "partitions_gained", partitions=[0, 1, 2, 3]),
        *(line("a", "partition_fresh", partition=number) for number in range(4)),
        line("a", "partitions_revoked", partitions=[2, 3]),
        line("b", "partitions_gained", partitions=[2, 3]),
        line("b", "partition_live", partition=2),
        {"event": "kafka_error"},
    ]
    assert shares(lines) == {"a": {0, 1}, "b": {2}}
    assert not are_shared(lines, 2, 4)
    lines.append(line("b", "partition_live", partition=3))
    assert are_shared(lines, 2, 4)
    assert not are_shared(lines, 1, 4)
    assert are_shared(lines[:5], 1, 4)
    assert not are_shared([], 1, 4)


# Cores


def test_who_used_what() -> None:
    """A broker that cannot be told apart is everything but the workers; nobody uses less than nothing."""
    assert split(2.0, 1.0, 3.5) == Used(2.0, 1.0, 0.5)
    assert split(2.0, None, 3.5) == Used(2.0, 1.5, 0.0)
    assert split(2.0, 1.0, 2.9) == Used(2.0, 1.0, 0.0)


def test_work_is_what_is_neither_idle_nor_waiting() -> None:
    """As the kernel documents `/proc/stat`; a virtual machine's time is in the user's already."""
    assert busy_ticks("cpu  100 20 30 4000 50 6 7 8 9 10") == 163


def test_a_process_is_measured() -> None:
    """One that spins uses time, and it is among the children of who has started it."""
    spin = "import sys, time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint(flush=True)"
    command = [sys.executable, "-c", f"input()\n{spin}\ninput()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as spinning:
        assert spinning.stdin is not None
        assert spinning.stdout is not None
        assert spinning.pid in children(os.getpid())
        meter = CoreMeter([spinning.pid], spinning.pid)
        spinning.stdin.write("\n")
        spinning.stdin.flush()
        spinning.stdout.readline()
        wait_until(lambda: meter.used().workers >= 0.25, 5, "its time to be counted")
        assert meter.used().workers < 5
        spinning.stdin.write("\n")
        spinning.stdin.close()
        spinning.wait(10)
    assert spinning.pid not in children(os.getpid())


# What may be claimed


def test_a_broker_that_has_just_started_may_come_to_rest() -> None:
    """The first quiet moment counts; where there is none, what was found last is told."""
    pauses: list[float] = []
    found = iter([BUSY, BUSY, QUIET, BUSY])
    assert calibrate_at_rest(lambda: next(found), pauses.append) == QUIET
    assert len(pauses) == 2
    assert calibrate_at_rest(lambda: BUSY, pauses.append) == BUSY
    assert len(pauses) == 2 + 9


def test_a_whole_undisturbed_run_may_be_claimed() -> None:
    """And no other: each reason is said."""
    assert doubts([QUIET] * 4, shortened_by=[], is_clean=True) == []
    found = doubts([BUSY, QUIET, QUIET], shortened_by=["ROUNDS"], is_clean=False)
    assert [each.split(":", 1)[0] for each in found] == [
        "the machine was not quiet",
        "round 1 lies far off, see the calibrations",
        "2 rounds, expected at least 3",
        "ROUNDS is set",
        "what ran is not what the commit holds",
    ]
    slow = [BUSY, QUIET, QUIET, QUIET]
    assert [each[:7] for each in doubts(slow[1:] + slow[:1], shortened_by=[], is_clean=True)] == ["round 3"]
    assert doubts(slow[1:] + slow[:1], shortened_by=[], is_clean=True, slow_is_harder=True) == []

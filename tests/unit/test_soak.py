"""The soak's verdicts: a lag of 0 is one, growth is seen, and the comparison beside the run says what it found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.soak.flatness import flatness
from benchmarks.soak.lag import CatchUp
from benchmarks.soak.minutes import MIB, Minute, Stretch, Verdict, append, figures

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Figure

GOOD = Verdict(records=1_000, repeats=5, predictions=990, dead_letters=5)


def minute(number: int, **changes: Any) -> Minute:
    usual: dict[str, Any] = {
        "resident_bytes": 300 * MIB,
        "open_files": 20,
        "threads": 13,
        "input_records": number * 300_000,
        "seconds": number * 60.0,
        "seconds_to_lag_0": 2.5,
        "verdict": GOOD,
    }
    return Minute(number=number, **{**usual, **changes})


def by_name(minutes: list[Minute], verdict: Verdict = GOOD, **options: Any) -> dict[str, Figure]:
    found = figures(minutes, verdict, **{"planned": len(minutes), **options})
    return {figure.what: figure for figure in found}


def missed(minutes: list[Minute], verdict: Verdict = GOOD, **options: Any) -> list[str]:
    return [name for name, figure in by_name(minutes, verdict, **options).items() if not figure.is_met]


# When the lag is 0


def test_the_lag_is_0_once_the_input_of_a_moment_ago_is_committed() -> None:
    """The input goes on growing: what counts is where it ended at most so many seconds before."""
    catch_up = CatchUp(within=0.2)
    catch_up.note_ends(10.0, {0: 100, 1: 50})
    assert not catch_up.is_reached(10.05, {0: 99, 1: 50})
    catch_up.note_ends(10.1, {0: 110, 1: 55})
    assert catch_up.is_reached(10.15, {0: 100, 1: 50})


def test_one_partition_behind_is_a_lag() -> None:
    """Three of four partitions are not all of them."""
    catch_up = CatchUp(within=0.2)
    catch_up.note_ends(10.0, dict.fromkeys(range(4), 100))
    assert not catch_up.is_reached(10.1, {0: 500, 1: 500, 2: 500, 3: 99})


def test_the_end_of_long_ago_does_not_count() -> None:
    """Whoever is always half a second behind never has a lag of 0, though it passes every end in time."""
    catch_up = CatchUp(within=0.2)
    for tick in range(100):
        now = tick / 10
        catch_up.note_ends(now, {0: 1_000 * tick})
        assert not catch_up.is_reached(now + 0.01, {0: 1_000 * tick - 5_000})
    assert catch_up.is_reached(now + 0.01, {0: 1_000 * tick - 1_000})


def test_without_an_end_that_is_fresh_there_is_no_saying() -> None:
    """A broker that takes long to answer does not make the lag 0."""
    catch_up = CatchUp(within=0.2)
    catch_up.note_ends(10.0, {0: 100})
    assert not catch_up.is_reached(10.3, {0: 10_000})


# Growth


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7], (7, 7)),
        ([1, 2, 3], (1, 3)),
        ([1, 1, 9, 9, 9, 9, 5, 5], (1, 5)),
        ([1, 2, 100, *[50] * 6, 3, 4, 200], (2, 4)),  # an outlier in either quarter moves no median
    ],
)
def test_the_quarters_medians(values: list[float], expected: tuple[float, float]) -> None:
    """First and last quarter, rounded down and one value at least."""
    assert flatness(values) == expected


@given(start=st.integers(100, 1_000), growth=st.integers(1, 50), number=st.integers(8, 100))
def test_a_series_that_grows_is_seen_to_grow(start: int, growth: int, number: int) -> None:
    """The last quarter of a rising series is above its first by what it rose in between, at least half of it all."""
    found = flatness([start + growth * step for step in range(number)])
    assert found.last - found.first >= growth * number / 2


def test_memory_that_leaks_misses_its_bound() -> None:
    """One MiB a minute is seen within the hour, before the kills as within the last life."""
    leaking = [minute(number, resident_bytes=(300 + number) * MIB) for number in range(1, 61)]
    assert missed(leaking) == ["memory before the kill, last quarter's median, MiB"]
    steady = [minute(number) for number in range(1, 61)]
    stretch = Stretch([(300 + 2 * tens) * MIB for tens in range(30)], [20] * 30)
    assert missed(steady, stretch=stretch) == ["memory within the last life, last quarter's median, MiB"]


def test_a_life_may_grow_until_its_windows_have_been_replaced() -> None:
    """Its first two minutes are not what its last one is held to, and a shorter one is held to nothing."""
    hour = [minute(number) for number in range(1, 61)]
    settled = Stretch([(200 + 10 * tens) * MIB for tens in range(12)] + [320 * MIB] * 18, [20] * 30)
    assert missed(hour, stretch=settled) == []
    assert by_name(hour, stretch=settled)["memory within the last life, first quarter's median, MiB"].value == 320
    short = Stretch(settled.resident_bytes[:12], settled.open_files[:12])
    assert not [name for name in by_name(hour, stretch=short) if "last life" in name]


def test_files_that_are_never_closed_miss_their_bound() -> None:
    """One file in ten minutes is seen within the hour."""
    leaking = [minute(number, open_files=20 + number // 10) for number in range(1, 61)]
    assert missed(leaking) == ["open files before the kill, last quarter's median"]


def test_memory_may_grow_while_the_windows_of_identities_fill() -> None:
    """That much is meant: the first two minutes are not what later ones are held to."""
    filling = [minute(1, resident_bytes=100 * MIB), minute(2, resident_bytes=200 * MIB)]
    rest = [minute(number) for number in range(3, 7)]
    assert missed([*filling, *rest]) == []
    assert by_name([*filling, *rest])["memory before the kill, first quarter's median, MiB"].value == 300


# The other bounds


def test_an_hour_as_it_should_be_misses_nothing() -> None:
    """Whatever is missed below is missed because of what is changed there."""
    assert missed([minute(number) for number in range(1, 61)], stretch=Stretch([300 * MIB] * 30, [20] * 30)) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seconds_to_lag_0": None}, "kills after which the lag was 0 again within the minute"),
        ({"seconds": 184.0}, "mean rate, records/s"),
    ],
)
def test_what_goes_wrong_in_a_minute(change: dict[str, Any], name: str) -> None:
    """A lag that does not return, and a shop that sends too slowly, are bounds missed."""
    assert missed([minute(1), minute(2), minute(3, **change)]) == [name]


@pytest.mark.parametrize(("field", "name"), [("lost", "lost"), ("doubled", "twice"), ("differing", "differing")])
def test_one_wrong_answer_is_a_bound_missed(field: str, name: str) -> None:
    """Whichever way it is wrong."""
    assert missed([minute(1)], msgspec.structs.replace(GOOD, **{field: 1})) == [name]


def test_nothing_compared_is_a_bound_missed() -> None:
    """No difference among nothing shows nothing."""
    names = missed([minute(1)], Verdict())
    assert names[0] == "records compared with the independent loop, to the byte"
    assert set(names[1:]) == {"predictions equal", "dead letters equal", "repeats"}


def test_what_was_not_compared_is_a_bound_missed() -> None:
    """A comparison that stopped before the input's end has found no difference in what it has not seen."""
    assert missed([minute(1)], total=GOOD.records) == []
    assert missed([minute(1)], total=GOOD.records + 1) == ["records that were not compared"]


def test_a_run_that_was_cut_short_reports_its_minutes_and_says_so() -> None:
    """Fifty minutes of sixty have all their figures; only their number misses its bound."""
    assert missed([minute(number) for number in range(1, 51)], planned=60) == ["minutes, each ended by a kill -9"]


def test_times_to_a_lag_of_0_are_of_those_that_came_back() -> None:
    """p50, p99 and maximum of the measured seconds."""
    times = [1.0, 2.0, 3.0, None, 9.0]
    found = by_name([minute(number, seconds_to_lag_0=time) for number, time in enumerate(times, 1)])
    assert [found[f"seconds from the kill to a lag of 0, {name}"].value for name in ("p50", "p99", "max")] == [2, 9, 9]


def test_minutes_are_appended_as_they_come(tmp_path: Path) -> None:
    """What was finished before an interruption is in the file, line by line."""
    path = tmp_path / "new" / "soak.jsonl"
    append(path, minute(1))
    append(path, minute(2, seconds_to_lag_0=None))
    first, second = map(json.loads, path.read_text().splitlines())
    assert (first["number"], first["seconds_to_lag_0"], first["verdict"]["predictions"]) == (1, 2.5, 990)
    assert (second["number"], second["seconds_to_lag_0"]) == (2, None)

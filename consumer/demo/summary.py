"""The summary in words: what was seen, the verdict, and what to try next; 80 columns wide, but for long names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.demo.shop import LATE_SHARE, MISSED_SHARE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from consumer.demo.board import Accuracy
    from consumer.demo.place import Place
    from consumer.demo.verdict import Summary

WIDTH: Final = 80
_TRIES: Final = 3


class Line(NamedTuple):
    """A line of text and how to show it: "", "heading", "good" or "bad"."""

    text: str
    style: str = ""


def summary_lines(
    summary: Summary, place: Place, *, source: str, environment: Mapping[str, str], log: Path | None
) -> Iterator[Line]:
    """Yield the summary's lines; `log` is where the worker's was kept, because something is wrong."""
    sent = summary.sent
    closed = ", closed by hand" if summary.interrupted else ""
    yield Line(f"Sent in {summary.seconds:.0f} s{closed}: {sent.total:,} events", "heading")
    yield Line(f"  {sent.good:,} good, {sent.late:,} good but late, {sent.repeated:,} repeated, {sent.bad:,} bad")
    yield Line("Was it answered as it should be?", "heading")
    for check in summary.checks:
        verdict = "ok" if check.holds else "FAILED"
        expected = "" if check.holds else f", expected {check.expected:,}"
        yield Line(f"  {verdict:<7}{check.claim:<38}{check.found:>10,}{expected}", "good" if check.holds else "bad")
    yield from wrapped("  dead letters: ", reasons(summary.dead_letters))
    if log is not None:
        yield Line(f"  The worker's log was kept: {log}", "bad")
    yield from _accuracy(summary.accuracy)
    yield from _drift(summary, source)
    yield Line("Guarantee in force", "heading")
    yield Line(f"  {place.describe()}")
    yield Line("Try next", "heading")
    for command in next_commands(place, source, environment):
        yield Line(f"  {command}")


def reasons(dead_letters: Mapping[str, int]) -> list[str]:
    """Return dead letters by reason as words, the most frequent first."""
    return [f"{reason} {number:,}" for reason, number in sorted(dead_letters.items(), key=lambda each: -each[1])]


def wrapped(start: str, words: list[str], width: int = WIDTH) -> Iterator[Line]:
    """Yield words behind a start, separated by commas, in as many lines as it takes."""
    line = start
    for number, word in enumerate(words):
        text = word + ("," if number < len(words) - 1 else "")
        if len(line) + len(text) > width and line.strip():
            yield Line(line.rstrip())
            line = "    "
        line += text + " "
    yield Line(line.rstrip(" :"))


def next_commands(place: Place, source: str, environment: Mapping[str, str]) -> list[str]:
    """Return what to try next, as make's targets where make called, and what is left to tidy up."""
    has_make = "MAKELEVEL" in environment
    tool = ".venv/bin/smart-inventory" if has_make else "smart-inventory"
    demo = "make demo" if has_make else f"{tool} demo"
    data = "make demo DEMO_DATA=" if has_make else f"{tool} demo --source "
    other = ("completejourney", "a real year") if source == "synthetic" else ("synthetic", "a made-up shop")
    tries = [(data + other[0], other[1])]
    if has_make:
        tries.append(("make demo-recovery", "kill -9, and nothing lost"))
    if place.is_embedded:
        tries.append((f"KAFKA_BOOTSTRAP_SERVERS=localhost:9092 {demo}", "your own broker"))
    tries.append((f"{tool} --help", "everything else"))
    tries = tries[:_TRIES]
    longest = max(len(command) for command, _ in tries)
    commands = [f"{command:<{longest}}  {purpose}" for command, purpose in tries]
    if not place.is_embedded:
        pattern = place.group.replace(".", "\\.") + "\\..*"
        commands.append("and to delete what this demo left on your broker:")
        commands.append(f"kafka-topics.sh --bootstrap-server {place.address} --delete --topic '{pattern}'")
    return commands


def _accuracy(accuracy: Accuracy) -> Iterator[Line]:
    if not accuracy.compared:
        return
    share = accuracy.exact / accuracy.compared
    others = f"; the others off by {accuracy.median_error:.3g} in the median" if accuracy.median_error else ""
    yield Line("How close were the predictions to the level that the till told afterwards?", "heading")
    yield Line(f"  {share:.1%} of {accuracy.compared:,} right to the unit{others}")


def _drift(summary: Summary, source: str) -> Iterator[Line]:
    missed = f"{MISSED_SHARE:.0%} never scanned, " if source == "synthetic" else ""
    yield Line(f"Where do the books drift? Of the sales {missed}{LATE_SHARE:.1%} late, on purpose", "heading")
    if not summary.drifting:
        yield Line("  nowhere: every level that was told adds up")
    for line in summary.drifting:
        times = "once" if line.gaps == 1 else f"{line.gaps} times"
        yield Line(f"  {line.store_id} {line.sku:<12}{line.drift:>+8g} units, {times} in {line.events:,} events")

"""`smart-inventory transactions settle`: ends what a worker that will not come back left open."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from consumer.commands.layout import Command, Group
from consumer.commands.terminal import AsJson, client_properties, output, print_json, settings_with_broker, waiting
from consumer.errors import ExitCode, StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.settings import Settings
    from consumer.settlement import Held, Pending, Settled

transactions_app: Final = typer.Typer(
    cls=Group,
    help="Open transactions of workers that will not come back.",
    epilog="INSTANCE_ID=till-3 smart-inventory transactions settle",
)


@transactions_app.command(
    "settle",
    cls=Command,
    epilog="INSTANCE_ID=till-3 smart-inventory transactions settle --dry-run\n"
    "smart-inventory transactions settle --instance-id till-3 --yes",
)
def settle(
    *,
    instance_id: Annotated[
        list[str] | None,
        typer.Option("--instance-id", metavar="ID", help="The lost worker's, by default INSTANCE_ID; may be repeated."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is held back.")] = False,
    even_if_alive: Annotated[
        bool,
        typer.Option(
            "--even-if-alive", help="Though a member with that id lives in the group: it is fenced and recovers."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before acting.")] = False,
    as_json: AsJson = False,
) -> None:
    """Abort what a lost worker left open, so that readers of its output need not wait for the transaction's time-out.

    A worker that comes back under its INSTANCE_ID does this by itself. Run it with that worker's settings.
    """
    loaded = settings_with_broker()
    ids = list(dict.fromkeys(instance_id or [loaded.instance_id]))
    pending = _pending(loaded)
    from consumer import settlement  # noqa: PLC0415 -- the commands load what they need

    with waiting("looking twice"):
        held = settlement.look(pending)
    if not as_json:
        _show_held(held)
    settled = None
    if held and not dry_run:
        _refuse_living(loaded, pending, ids, even_if_alive=even_if_alive)
        if yes or _is_wanted(loaded, ids):
            with waiting("settling"):
                settled = settlement.settle(pending, ids, held)
    if as_json:
        print_json(_as_json(loaded, ids, held, settled, dry_run=dry_run))
    elif settled is not None:
        _show_settled(settled)
    else:
        output.print("Nothing was done" + (": a dry run." if held and dry_run else "."), highlight=False)
    if settled is not None and not settled.is_whole:
        raise typer.Exit(ExitCode.STATE)


def _pending(loaded: Settings) -> Pending:
    from consumer.kafka.pending import KafkaPending  # noqa: PLC0415 -- help loads no Kafka client
    from consumer.run import topic_names  # noqa: PLC0415

    return KafkaPending(client_properties(loaded), topic_names(loaded), loaded.consumer_group)


def _refuse_living(loaded: Settings, pending: Pending, ids: Sequence[str], *, even_if_alive: bool) -> None:
    """Leave a worker alone that is at work: what it holds back, it will commit.

    Raises:
        StateError: one lives.
    """
    living = pending.members(ids)
    if living and not even_if_alive:
        named = ", ".join(f"{member.instance_id} at {member.host}" for member in living)
        raise StateError(
            f"{named}: lives in group {loaded.consumer_group}. A worker that is at work commits or aborts by itself; "
            "one that was killed stays in the group for its session time-out (10 s by default): wait for that and say "
            "it again. With --even-if-alive it is fenced: it builds its clients anew and goes on from what is committed"
        )


def _is_wanted(loaded: Settings, ids: Sequence[str]) -> bool:
    """Ask where there is somebody to answer."""
    from consumer.kafka.broker import transactional_id  # noqa: PLC0415 -- help loads no Kafka client

    names = ", ".join(transactional_id(loaded.consumer_group, each) for each in ids)
    return not sys.stdin.isatty() or typer.confirm(f"Abort what {names} left open?", err=True)


def _show_held(held: Held) -> None:
    if not held:
        output.print("No transaction holds anything back.", highlight=False)
        return
    if held.reaches:
        table = _table("Held back by an open transaction", "readable up to", "end", "held back")
        for each in held.reaches:
            table.add_row(Text(each.topic), *map(str, (each.partition, each.stable, each.end, each.held_back)))
        output.print(table)
    if held.offsets:
        numbers = ", ".join(map(str, held.offsets))
        output.print(f"Committed offsets held back of input partitions: {numbers}", highlight=False)


def _show_settled(settled: Settled) -> None:
    if settled.partitions:
        table = _table("Settled", "was readable up to", "is", "free")
        for each in settled.partitions:
            shown = (each.before.partition, each.before.stable, each.after.stable, "yes" if each.is_free else "no")
            table.add_row(Text(each.before.topic), *map(str, shown))
        output.print(table)
    if settled.is_whole:
        output.print("Nothing is held back any more; what was open is aborted.", highlight=False)
        return
    output.print(
        "Something is held back still, by a transaction of another id: settle that worker's as well (--instance-id), "
        "or wait for its time-out.",
        highlight=False,
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE, pad_edge=False)
    table.add_column("topic", overflow="fold")
    for name in ("partition", *columns):
        table.add_column(name, justify="right")
    return table


def _as_json(
    loaded: Settings, ids: Sequence[str], held: Held, settled: Settled | None, *, dry_run: bool
) -> dict[str, Any]:
    """Return what `--json` gives; the names are public."""
    after = {} if settled is None else {each.before: each for each in settled.partitions}
    return {
        "consumer_group": loaded.consumer_group,
        "instance_ids": list(ids),
        "dry_run": dry_run,
        "settled": settled is not None,
        "free": not held or (settled is not None and settled.is_whole),
        "partitions": [
            {
                "topic": each.topic,
                "partition": each.partition,
                "last_stable_offset": each.stable,
                "end_offset": each.end,
                "last_stable_offset_after": after[each].after.stable if each in after else None,
            }
            for each in held.reaches
        ],
        "offsets_held_back": held.offsets if settled is None else settled.offsets,
    }

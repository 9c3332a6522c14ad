"""`smart-inventory dead-letters list | redrive`: what was refused, and sending it again."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from consumer.commands.layout import Command, Group
from consumer.commands.letter_view import as_json_line, letters_table, plan_as_json, row, show_plan, summarise
from consumer.commands.terminal import AsJson, client_properties, output, print_json, say, settings_with_broker
from consumer.errors import BrokerError, ExitCode, SettingsError
from schemas.dead_letter import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.letter_fate import Observations, Rules
    from consumer.redrive import Plan
    from consumer.settings import Settings

dead_letters_app: Final = typer.Typer(
    cls=Group,
    help="Refused events: look at them, send them again.",
    epilog="smart-inventory dead-letters list --since 2h\nsmart-inventory dead-letters redrive --since 7d --dry-run",
)

_SHOWN: Final = 1_000

Reasons = Annotated[
    list[Reason] | None,
    typer.Option("--reason", metavar="REASON", help="Only letters of this reason (docs/contract.md); may be repeated."),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Only letters refused since then: a duration such as 2h, or an RFC 3339 date-time."
    ),
]


@dead_letters_app.command(
    "list",
    cls=Command,
    epilog="smart-inventory dead-letters list --since 2h\n"
    "smart-inventory dead-letters list --reason not_json --json\n"
    "smart-inventory dead-letters list --max 5 --show-value",
)
def list_letters(  # noqa: PLR0913 -- one option each
    *,
    reason: Reasons = None,
    since: Since = None,
    max_letters: Annotated[
        int | None, typer.Option("--max", metavar="N", min=1, help="Stop after so many letters.")
    ] = None,
    partition: Annotated[
        list[int] | None, typer.Option(metavar="N", min=0, help="Only letters of this partition; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")] = False,
    show_value: Annotated[
        bool, typer.Option("--show-value", help="Show key, value and headers too: a shop's own data.")
    ] = False,
) -> None:
    """List dead letters up to where the topic ends now, with a summary by reason. Values stay hidden."""
    loaded = settings_with_broker()
    from consumer.dead_letters import selection  # noqa: PLC0415 -- the commands load what they need
    from consumer.redrive import letters  # noqa: PLC0415
    from consumer.simulate.progress import progress_bar  # noqa: PLC0415

    asked = selection([each.value for each in reason or []], since, _now_ms())
    topic = loaded.dead_letter_topic
    table = letters_table(topic, show_value=show_value)
    by_reason: Counter[str] = Counter()
    shown = 0
    with _log(loaded) as log, progress_bar() as bar:
        task = bar.add_task("reading", total=None)
        for letter in letters(
            log,
            topic,
            asked,
            None if partition is None else frozenset(partition),
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        ):
            by_reason[letter.reason] += 1
            if as_json:
                sys.stdout.write(json.dumps(as_json_line(letter, show_value=show_value)) + "\n")
            elif shown < (max_letters or _SHOWN):
                table.add_row(*row(letter, show_value=show_value))
                shown += 1
            if by_reason.total() == max_letters:
                break
    if not as_json:
        output.print(table)
    summarise(by_reason, hidden=0 if as_json else by_reason.total() - shown, to_errors=as_json)


@dead_letters_app.command(
    "redrive",
    cls=Command,
    epilog="smart-inventory dead-letters redrive --since 7d --dry-run\n"
    "smart-inventory dead-letters redrive --reason broke_model --since 7d",
)
def redrive(  # noqa: PLR0913 -- one option each
    *,
    reason: Reasons = None,
    since: Since = None,
    max_letters: Annotated[
        int | None, typer.Option("--max", metavar="N", min=1, help="Send no more letters than this.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TOPIC", help="Where they go; by default back to the input topic.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    max_attempts: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Leave a letter that has been refused so often: it goes round in a circle."
        ),
    ] = 5,
    include_late: Annotated[
        bool, typer.Option("--include-late", help="Send events too that are older than the ledger's entry.")
    ] = False,
    include_invalid: Annotated[
        bool,
        typer.Option("--include-invalid", help="Send events too that would be refused again under these settings."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before sending.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send refused events again, as they were, to their partition: after a setting or a model was mended.

    A record is sent to a topic once, however often this is interrupted or run again; not by two runs at a time.
    """
    loaded = settings_with_broker()
    from consumer import redrive as redriving  # noqa: PLC0415 -- the commands load what they need
    from consumer.dead_letters import selection  # noqa: PLC0415
    from consumer.simulate.progress import progress_bar  # noqa: PLC0415

    asked = selection([each.value for each in reason or []], since, _now_ms())
    rules = _rules(loaded, to, max_attempts, max_letters, late=include_late, invalid=include_invalid)
    with _log(loaded) as log, _log(loaded, "read_uncommitted") as uncommitted:
        with progress_bar() as bar:
            reading, looking = (bar.add_task(text, total=None) for text in ("reading", "looking for earlier redrives"))
            made = redriving.plan(
                log,
                asked,
                rules,
                uncommitted=uncommitted,
                on_letters=lambda done, total: bar.update(reading, completed=done, total=total),
                on_progress=lambda done, total: bar.update(looking, completed=done, total=total),
            )
        if not as_json:
            show_plan(made, rules)
        sent = 0
        if made.letters and not dry_run and (yes or _is_wanted(made, rules)):
            sent = _send(loaded, made, log, rules)
    if as_json:
        print_json(plan_as_json(made, rules) | {"sent": sent, "dry_run": dry_run})
    elif sent:
        output.print(f"Sent {sent:,} to {rules.target}, all confirmed.", highlight=False)
    else:
        output.print("Nothing was sent" + (": a dry run." if dry_run else "."), highlight=False)


def _is_wanted(made: Plan, rules: Rules) -> bool:
    """Ask where there is somebody to answer."""
    return not sys.stdin.isatty() or typer.confirm(f"Send {made.letters:,} to {rules.target}?", err=True)


def _send(loaded: Settings, made: Plan, log: Any, rules: Rules) -> int:  # noqa: ANN401 -- the log's type is heavy
    """Send what the plan says and return how many records that were."""
    from consumer.kafka.confirmed import ConfirmedProducer  # noqa: PLC0415
    from consumer.redrive import carry_out  # noqa: PLC0415
    from consumer.simulate.progress import progress_bar  # noqa: PLC0415

    sender = ConfirmedProducer(client_properties(loaded))
    try:
        with progress_bar() as bar:
            task = bar.add_task("sending", total=made.letters)
            carry_out(made, log, rules, sender, lambda sent: bar.update(task, completed=sent))
    except KeyboardInterrupt:
        sender.confirm(rules.target)
        say(
            f"interrupted; {sender.confirmed:,} of {made.letters:,} were sent, all confirmed: the same command sends "
            "the rest"
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokerError as error:
        raise BrokerError(f"{error}; the same command sends the rest") from error
    return sender.confirmed


def _rules(  # noqa: PLR0913 -- one option each
    loaded: Settings, to: str | None, max_attempts: int, max_letters: int | None, *, late: bool, invalid: bool
) -> Rules:
    from consumer.letter_fate import Rules  # noqa: PLC0415
    from schemas.transaction import Limits  # noqa: PLC0415

    target = to or loaded.input_topic
    is_input = target == loaded.input_topic
    if target == loaded.dead_letter_topic:
        raise SettingsError(f"--to {target}: expected another topic than the dead letters' own")
    return Rules(
        source=loaded.dead_letter_topic,
        target=target,
        takes_all_topics=to is not None,
        max_attempts=max_attempts,
        max_letters=max_letters,
        limits=Limits(loaded.max_quantity, loaded.max_clock_ahead_seconds) if is_input else None,
        takes_invalid=invalid,
        observations=_observations(loaded) if is_input and not late else None,
    )


def _observations(loaded: Settings) -> Callable[[int], Observations]:
    """Return what finds the newest checkpoint's ledger; only asked where a letter has to be judged by it."""

    def of_partition(partition: int) -> Observations:
        from consumer.checkpoint.observations import newest_observations  # noqa: PLC0415
        from consumer.stores import open_store  # noqa: PLC0415

        store = open_store(loaded, lambda: client_properties(loaded))
        return newest_observations(store, loaded.consumer_group, loaded.input_topic, partition, loaded.signing_key())

    return of_partition


def _log(loaded: Settings, isolation: str = "read_committed") -> Any:  # noqa: ANN401 -- the log's type is heavy
    from consumer.kafka.log import KafkaLog  # noqa: PLC0415

    return KafkaLog(client_properties(loaded), loaded.consumer_group, isolation)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

"""The command line of `smart-inventory`: running, settings, models, topics, checkpoints, dead letters, stock."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from consumer import __version__, settings
from consumer.commands import checkpoints
from consumer.commands.check_model import check_model
from consumer.commands.dead_letters import dead_letters_app
from consumer.commands.demo import EXAMPLE as DEMO_EXAMPLE
from consumer.commands.demo import demo
from consumer.commands.import_stock import EXAMPLE, import_stock
from consumer.commands.terminal import one_sentence, output, settings_with_broker
from consumer.errors import SettingsError, StopError
from consumer.permissions import Permissions
from consumer.settings import Settings
from consumer.skips import parse_skip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumer.simulate.events import ShopEvent

app: Final = typer.Typer(
    name="smart-inventory",
    help="A Kafka stream processor whose online model is a pure function of the log.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.command("check-model", epilog="Example: smart-inventory check-model my_models:forest")(check_model)
topics_app: Final = typer.Typer(help="The worker's topics.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")
app.add_typer(dead_letters_app, name="dead-letters")
app.command("demo", epilog=DEMO_EXAMPLE)(demo)
app.command("import-stock", epilog=EXAMPLE)(import_stock)
app.add_typer(checkpoints.app, name="checkpoints")


def _print_version(wanted: bool) -> None:
    if wanted:
        output.print(f"smart-inventory {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Say what belongs to all commands."""


@app.command(epilog="Example: KAFKA_BOOTSTRAP_SERVERS=localhost:9092 smart-inventory run --stop-at-end")
def run(  # noqa: PLR0913 -- one option each
    *,
    stop_at_end: Annotated[
        bool, typer.Option("--stop-at-end", help="Leave once the group has committed up to where the input ends now.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes on this machine; worker i is INSTANCE_ID-i on METRICS_PORT+i.")
    ] = 1,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARTITION:FROM-TO", help="Pass over these records, both offsets included; may be repeated."
        ),
    ] = None,
    adopt_state: Annotated[
        bool,
        typer.Option(
            "--adopt-state",
            help="After a clean stop, take over the state of a changed setting, model, River, Python or signing key.",
        ),
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Where a referenced checkpoint is missing, use an older one or the whole log."),
    ] = False,
    resume_after_output: Annotated[
        bool,
        typer.Option(
            "--resume-after-output", help="Where committed offsets are lost, go on after the last published record."
        ),
    ] = False,
    publish_anew: Annotated[
        bool,
        typer.Option(
            "--publish-anew", help="Where committed offsets are lost, publish everything again from the log's start."
        ),
    ] = False,
    require_warm_start: Annotated[
        bool, typer.Option("--require-warm-start", help="Do not start without the model of ML_MODEL_PATH.")
    ] = False,
) -> None:
    """Read stock transactions, publish predictions, until SIGTERM or SIGINT. Settings come from the environment.

    The options of recovery act on each partition that is in their situation, and on no other.
    """
    with one_sentence():
        loaded = settings.load()
        skips = [parse_skip(text) for text in skip or ()]
        permissions = Permissions(adopt_state, rebuild, resume_after_output, publish_anew, require_warm_start)
        if resume_after_output and publish_anew:
            raise SettingsError("--resume-after-output and --publish-anew exclude each other; expected one of them")
        if workers > 1:
            from consumer.supervisor import run_workers  # noqa: PLC0415 -- only where it is needed

            arguments = [*(["--stop-at-end"] if stop_at_end else []), *permissions.arguments()]
            arguments += [word for text in skip or () for word in ("--skip", text)]
            code = run_workers(
                workers,
                arguments,
                os.environ,
                instance_id=loaded.instance_id,
                metrics_port=loaded.metrics_port,
            )
            raise typer.Exit(code)
        from consumer import logs  # noqa: PLC0415
        from consumer.run import run_worker  # noqa: PLC0415

        log = logs.configure()
        try:
            run_worker(loaded, os.environ, log, stop_at_end=stop_at_end, skips=skips, permissions=permissions)
        except StopError as error:
            log.error("stopped_by_error", kind=type(error).__name__, reason=str(error), exit_code=error.exit_code)  # noqa: TRY400 -- one sentence, no traceback
            raise


@app.command(name="config", epilog="Example: KAFKA_BOOTSTRAP_SERVERS=localhost:9092 smart-inventory config")
def config() -> None:
    """Show every setting in force, secrets hidden, and the KAFKA_* properties that are passed to the client."""
    with one_sentence():
        loaded = settings.load()
        table = Table(title="Settings")
        for column in ("variable", "value", "meaning"):
            table.add_column(column)
        for name, field in Settings.model_fields.items():
            value = settings.redacted(name, getattr(loaded, name))
            table.add_row(name.upper(), Text(value), field.description or "")
        output.print(table)
        properties = settings.kafka_properties(os.environ)
        if properties:
            passed = Table(title="Passed to the Kafka client")
            for column in ("property", "value"):
                passed.add_column(column)
            for name, value in properties.items():
                passed.add_row(Text(name), Text(settings.redacted(name, value)))
            output.print(passed)
        from consumer.run import refuse_owned  # noqa: PLC0415

        refuse_owned(properties)


@topics_app.command("create", epilog="Example: smart-inventory topics create --partitions 12 --replication-factor 3")
def topics_create(
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic.")] = 4,
    replication_factor: Annotated[int, typer.Option(min=1, help="Copies of each partition.")] = 1,
    retention_ms: Annotated[
        int, typer.Option(min=-1, help="How long input and dead letters are kept; -1 for ever.")
    ] = -1,
) -> None:
    """Create the input, output and dead-letter topics where they do not exist."""
    with one_sentence():
        loaded = settings_with_broker()
        from consumer import logs  # noqa: PLC0415
        from consumer.kafka.topics import create_topics  # noqa: PLC0415
        from consumer.run import client_properties, topic_names  # noqa: PLC0415

        created = create_topics(
            client_properties(loaded, os.environ, logs.quiet()),
            topic_names(loaded),
            partitions=partitions,
            replication_factor=replication_factor,
            retention_ms=retention_ms,
        )
        for name, is_new in created.items():
            output.print(f"{name}: {'created' if is_new else 'exists already, left as it is'}", highlight=False)


@app.command(epilog="Example: smart-inventory simulate --source completejourney --limit 100000 --rate 5000")
def simulate(  # noqa: PLR0913 -- one option each
    *,
    source: Annotated[str, typer.Option(help="synthetic (a seeded shop) or completejourney (a real retail year).")] = (
        "synthetic"
    ),
    limit: Annotated[int | None, typer.Option(min=1, help="Good events to send; by default all there are.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Events per second; by default flat out.")] = None,
    invalid_share: Annotated[float, typer.Option(min=0, max=1, help="Invalid events added, per good one.")] = 0.0,
    repeat_share: Annotated[float, typer.Option(min=0, max=1, help="Repeated events added, per good one.")] = 0.0,
    key_by: Annotated[str, typer.Option(help="Record key: store (store_id) or item (store_id:sku).")] = "store",
    seed: Annotated[int, typer.Option(help="Seed of the synthetic shop and of the faults.")] = 0,
) -> None:
    """Send a shop's stock transactions to the input topic."""
    with one_sentence():
        loaded = settings_with_broker()
        from consumer import logs  # noqa: PLC0415
        from consumer.run import client_properties  # noqa: PLC0415
        from consumer.simulate.faults import with_faults  # noqa: PLC0415
        from consumer.simulate.progress import send_with_progress  # noqa: PLC0415

        events = _shop(source, limit, key_by, seed)
        if invalid_share or repeat_share:
            events = with_faults(events, invalid_share=invalid_share, repeat_share=repeat_share, seed=seed)
        report = send_with_progress(
            events,
            topic=loaded.input_topic,
            config=client_properties(loaded, os.environ, logs.quiet()),
            rate=rate,
            expected=None if limit is None else round(limit * (1 + invalid_share + repeat_share)),
        )
        ended = ", interrupted" if report.interrupted else ""
        table = Table(title=f"Sent to {loaded.input_topic} in {report.seconds:.1f} s{ended}")
        table.add_column("kind")
        table.add_column("records", justify="right")
        for kind, number in sorted(report.by_kind.items()):
            table.add_row(kind, f"{number:,}")
        output.print(table)


def _shop(source: str, limit: int | None, key_by: str, seed: int) -> Iterator[ShopEvent]:
    if key_by not in {"store", "item"}:
        raise SettingsError(f"--key-by {key_by!r}: expected store or item")
    if source == "synthetic":
        from consumer.simulate.synthetic import synthetic_events  # noqa: PLC0415

        return synthetic_events(seed=seed, limit=limit, key_by=key_by)  # type: ignore[arg-type]  # checked above
    if source == "completejourney":
        from consumer.simulate.completejourney import completejourney_events  # noqa: PLC0415

        return completejourney_events(key_by=key_by, limit=limit)  # type: ignore[arg-type]  # checked above
    raise SettingsError(f"--source {source!r}: expected synthetic or completejourney")

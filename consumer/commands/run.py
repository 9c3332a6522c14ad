"""`smart-inventory run`: the worker."""

from __future__ import annotations

import gc
import os
import traceback
from typing import TYPE_CHECKING, Annotated, Final

import typer

from consumer import logs, settings
from consumer.commands.terminal import is_said_once, sentence_of
from consumer.errors import ExitCode, SettingsError, SmartInventoryError, StopError
from consumer.permissions import Permissions
from consumer.skips import parse_skip
from consumer.supervised import end_with_supervisor

if TYPE_CHECKING:
    from consumer.settings import Settings

EXAMPLES: Final = """\
KAFKA_BOOTSTRAP_SERVERS=localhost:9092 smart-inventory run
smart-inventory run --stop-at-end
smart-inventory run --workers 2
LOG_FORMAT=json smart-inventory run
smart-inventory run --skip 0:1200-1250"""
_RECOVERY: Final = "Recovery: ways on after a stop (docs/operations.md)"


def run(  # noqa: PLR0913 -- one option each
    *,
    stop_at_end: Annotated[
        bool, typer.Option("--stop-at-end", help="Leave once the group has committed up to where the input ends now.")
    ] = False,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Processes on this machine; worker i is INSTANCE_ID-i on METRICS_PORT+i."
        ),
    ] = 1,
    require_warm_start: Annotated[
        bool, typer.Option("--require-warm-start", help="Do not start without the model of ML_MODEL_PATH.")
    ] = False,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARTITION:FROM-TO",
            help="Pass over these records, both offsets included; may be repeated.",
            rich_help_panel=_RECOVERY,
        ),
    ] = None,
    adopt_state: Annotated[
        bool,
        typer.Option(
            "--adopt-state",
            help="After a clean stop, take over the state of a changed setting, model, River, Python or signing key.",
            rich_help_panel=_RECOVERY,
        ),
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild",
            help="Where a referenced checkpoint is missing, use an older one or the whole log.",
            rich_help_panel=_RECOVERY,
        ),
    ] = False,
    resume_after_output: Annotated[
        bool,
        typer.Option(
            "--resume-after-output",
            help="Where committed offsets are lost, go on after the last published record.",
            rich_help_panel=_RECOVERY,
        ),
    ] = False,
    publish_anew: Annotated[
        bool,
        typer.Option(
            "--publish-anew",
            help="Where committed offsets are lost, publish everything again from the log's start.",
            rich_help_panel=_RECOVERY,
        ),
    ] = False,
) -> None:
    """Read stock transactions, publish predictions, until SIGTERM or SIGINT. Settings come from the environment.

    The options of recovery act on each partition that is in their situation, and on no other.
    """
    loaded = settings.load()
    permissions = Permissions(adopt_state, rebuild, resume_after_output, publish_anew, require_warm_start)
    if resume_after_output and publish_anew:
        raise SettingsError("--resume-after-output and --publish-anew exclude each other; expected one of them")
    skips = skip or []
    for text in skips:
        parse_skip(text)  # judged here, before any worker is started
    if workers > 1:
        raise typer.Exit(_run_many(workers, loaded, stop_at_end, skips, permissions))
    _run_one(loaded, stop_at_end, skips, permissions)


def _run_many(number: int, loaded: Settings, stop_at_end: bool, skips: list[str], permissions: Permissions) -> int:
    """Run so many workers as processes of their own and return the exit code."""
    from consumer.supervisor import run_workers  # noqa: PLC0415 -- only where it is needed

    settings.check_for_run(loaded)
    arguments = [*(["--stop-at-end"] if stop_at_end else []), *permissions.arguments()]
    arguments += [word for text in skips for word in ("--skip", text)]
    return run_workers(number, arguments, os.environ, instance_id=loaded.instance_id, metrics_port=loaded.metrics_port)


def _run_one(loaded: Settings, stop_at_end: bool, skips: list[str], permissions: Permissions) -> None:
    """Run the worker in this process."""
    end_with_supervisor(os.environ)
    gc.disable()  # until it has started: what a start makes stays, and looking for garbage in it takes a tenth longer
    log = logs.configure(loaded.log_format, instance_id=loaded.instance_id)
    ranges = [parse_skip(text) for text in skips]
    try:
        from consumer.run import run_worker  # noqa: PLC0415

        run_worker(loaded, os.environ, log, stop_at_end=stop_at_end, skips=ranges, permissions=permissions)
    except Exception as error:
        if is_said_once(loaded.log_format):
            raise  # on a terminal the sentence stands alone, as the last line
        if isinstance(error, SmartInventoryError):
            code = error.exit_code if isinstance(error, StopError) else ExitCode.BROKER
            log.error("stopped_by_error", kind=type(error).__name__, reason=str(error), exit_code=int(code))  # noqa: TRY400 -- one sentence, no traceback
        else:  # what a bug leaves behind is kept in the log, whence nobody can ask for it again
            log.error(  # noqa: TRY400 -- likewise, as a field
                "stopped_by_error",
                kind=type(error).__name__,
                reason=sentence_of(error),
                exit_code=int(ExitCode.UNEXPECTED),
                exception="".join(traceback.format_exception(error)),
            )
        raise

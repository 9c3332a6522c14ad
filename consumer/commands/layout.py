"""How commands show their help, and how the root ends: examples as they are typed, options in panels, one sentence."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

from typer import Abort, TyperException
from typer.core import TyperCommand, TyperGroup

from consumer.commands.terminal import one_sentence, say
from consumer.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

OPTIONS: Final = "Options"
COMMANDS: Final = "Commands"


class Command(TyperCommand):
    """A command: its options in the panels that they name, its epilog as examples."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 -- the parser's own types are private
        """Write arguments, then each panel of options."""
        _write_parameters(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, _ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the examples."""
        _write_examples(self.epilog, formatter)


class Group(TyperGroup):
    """A group of commands, laid out likewise."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Without a command there is help."""
        if not args and not ctx.resilient_parsing:
            sys.stdout.write(ctx.get_help() + "\n")
            ctx.exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the panels of commands first: they are what a reader looks for."""
        self.format_commands(ctx, formatter)
        _write_parameters(self.get_params(ctx), ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write each panel of commands with their short helps, whole: they are short."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.commands[name]
            panel = getattr(command, "rich_help_panel", None) or COMMANDS
            if not command.hidden:
                panels.setdefault(panel, []).append((name, command.short_help or command.get_short_help_str(200)))
        width = max((len(name) for rows in panels.values() for name, _ in rows), default=0)
        _write_panels(panels, width, formatter)

    def format_epilog(self, _ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the examples."""
        _write_examples(self.epilog, formatter)


class Root(Group):
    """The command line: whatever happens, it ends in at most one sentence and a documented exit code."""

    def make_context(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401
        """Parse what belongs to all commands; help and version are printed here."""
        with one_sentence():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run the command."""
        with one_sentence():
            return super().invoke(ctx)

    def main(self, *args: Any, **extra: Any) -> NoReturn:  # noqa: ANN401
        """Parse, run, exit."""
        extra["standalone_mode"] = False
        try:
            code = super().main(*args, **extra)
        except Abort:  # Ctrl-C at a question
            sys.stderr.write("\n")
            sys.exit(ExitCode.INTERRUPTED)
        except TyperException as error:
            say(_usage(error))
            sys.exit(ExitCode.USAGE)
        sys.exit(code)


def _usage(error: TyperException) -> str:
    """Return what the parser has to say, with the place to read on."""
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".").replace("Value error, ", "").replace("Input should be ", "expected ")
    message = message[:1].lower() + message[1:]
    return message if context is None else f"{message}; see `{context.command_path} --help`"


def _write_parameters(parameters: Iterable[Any], ctx: Any, formatter: Any) -> None:  # noqa: ANN401
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in parameters:
        record = parameter.get_help_record(ctx)
        if record is not None:
            is_argument = parameter.param_type_name == "argument"
            panel = "Arguments" if is_argument else getattr(parameter, "rich_help_panel", None) or OPTIONS
            panels.setdefault(panel, []).append(record)
    _write_panels(panels, 0, formatter)


def _write_panels(panels: dict[str, list[tuple[str, str]]], width: int, formatter: Any) -> None:  # noqa: ANN401
    for title, rows in panels.items():
        with formatter.section(title):
            formatter.write_dl([(name.ljust(width), text) for name, text in rows])


def _write_examples(epilog: str | None, formatter: Any) -> None:  # noqa: ANN401
    """Write them unwrapped: they are to be copied."""
    if epilog:
        formatter.write_paragraph()
        formatter.write("Examples:\n" if "\n" in epilog else "Example:\n")
        for line in epilog.splitlines():
            formatter.write(f"  {line}\n")

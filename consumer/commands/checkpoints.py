"""`smart-inventory checkpoints`: what is in the store, whether it may be used, and a model out of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 -- typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
import typer
from rich import box
from rich.table import Table
from rich.text import Text

from consumer import settings
from consumer.commands.layout import Command, Group
from consumer.commands.terminal import AsJson, client_properties, output, print_json, settings_with_broker, waiting
from consumer.errors import ExitCode, SettingsError, StateError

if TYPE_CHECKING:
    from consumer.checkpoint.catalogue import Catalogue, Described, LooseFile
    from consumer.checkpoint.envelope import Header
    from consumer.checkpoint.store import Kept
    from consumer.settings import Settings

PREVIOUS_KEY: Final = "CHECKPOINT_PREVIOUS_KEY"
_DIGEST_SHOWN: Final = 12

app: Final = typer.Typer(
    help="The checkpoints in the store of CHECKPOINT_URL; a broker is needed only where they are in Kafka.",
    cls=Group,
    epilog="smart-inventory checkpoints list\nsmart-inventory checkpoints verify --all",
)

Which = Annotated[str, typer.Argument(help="A file; or PARTITION, its newest checkpoint; or PARTITION:OFFSET.")]
OfAllGroups = Annotated[
    bool, typer.Option("--all", help="Of all groups and topics, not only CONSUMER_GROUP and INPUT_TOPIC.")
]


@app.command(
    "list",
    cls=Command,
    epilog="smart-inventory checkpoints list\n"
    "CHECKPOINT_URL=file:/var/lib/shop smart-inventory checkpoints list --json",
)
def list_checkpoints(*, of_all_groups: OfAllGroups = False, as_json: AsJson = False) -> None:
    """List the checkpoints with offset, size, age and model; nothing is verified or unpickled."""
    catalogue, _ = _catalogue()
    rows = [_row(catalogue.describe(each)) for each in catalogue.kept(of_all_groups=of_all_groups)]
    if as_json:
        print_json(rows)
        return
    whose = ("group", "topic") if of_all_groups else ()
    _print_table([*whose, "partition", "offset", "bytes", "parents", "written", "model_id", "signed", "digest"], rows)


@app.command(
    "show", cls=Command, epilog="smart-inventory checkpoints show 3\nsmart-inventory checkpoints show 3:120500"
)
def show(which: Which, *, as_json: AsJson = False) -> None:
    """Show what one checkpoint says of itself; nothing is verified (see `verify`) or unpickled."""
    catalogue, _ = _catalogue()
    found = catalogue.describe(catalogue.find(which))
    if found.header is None:
        raise StateError(f"{found.label}: {found.problem}")
    header: dict[str, Any] = msgspec.to_builtins(found.header)
    for section in header["sections"]:  # a large state has thousands, of which nobody reads the digests
        section["shards"] = len(section["shards"])
    shown = {"file": found.label, "signed": found.is_signed, **header}
    if as_json:
        print_json(shown)
        return
    meaning = {f"meaning: {name}": value for name, value in shown.pop("meaning").items()}
    sections = {f"section: {each['name']}": f"{each['length']:,} bytes" for each in shown.pop("sections")}
    parents = {f"parent: {each['offset']}": each["digest"] for each in shown.pop("parents")}
    table = Table(show_header=False, box=box.SIMPLE)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in {**shown, **parents, **meaning, **sections}.items():
        table.add_row(Text(name), Text(str(value)))
    output.print(table)


@app.command(
    "verify",
    cls=Command,
    epilog="smart-inventory checkpoints verify\nCHECKPOINT_SIGNING_KEY=... smart-inventory checkpoints verify --all",
)
def verify(
    which: Annotated[
        str | None, typer.Argument(help="A file, PARTITION or PARTITION:OFFSET; by default every file of the group.")
    ] = None,
    *,
    of_all_groups: OfAllGroups = False,
    as_json: AsJson = False,
) -> None:
    """Check digest, signature, names, parents and contents as a restore does; ends with 4 if one may not be used."""
    from consumer.simulate.progress import progress_bar  # noqa: PLC0415

    catalogue, loaded = _catalogue()
    chosen = catalogue.kept(of_all_groups=of_all_groups) if which is None else [catalogue.find(which)]
    with progress_bar() as bar:
        rows = [
            {"file": each.label, **_judged(catalogue, each, loaded)}
            for each in bar.track(chosen, description="checking")
        ]
    if as_json:
        print_json(rows)
    else:
        whose = ["group", "topic"] if of_all_groups else []
        _print_table([*whose, "partition", "offset", "usable", "reason"], rows)
        for row in rows:
            if not row["usable"]:
                output.print(Text(f"not usable: {row['file']}"), soft_wrap=True)
    if not all(row["usable"] for row in rows):
        raise typer.Exit(ExitCode.STATE)


@app.command(
    "export",
    cls=Command,
    epilog="smart-inventory checkpoints export 0 --to model.pkl\n"
    "smart-inventory checkpoints export 0 --to model.pkl --weights weights.json",
)
def export(
    which: Which,
    *,
    to: Annotated[
        Path, typer.Option(metavar="FILE", help="Where the model goes, as a plain pickle for ML_MODEL_PATH.")
    ],
    scope_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Which model where there are several: a store's id, or STORE:SKU.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where a linear pipeline's weights and moments go, as JSON.")
    ] = None,
) -> None:
    """Take one model out of a checkpoint that may be used; files that are there already are replaced."""
    from consumer.checkpoint.envelope import EnvelopeError  # noqa: PLC0415
    from consumer.checkpoint.export import choose  # noqa: PLC0415
    from consumer.checkpoint.export import weights as weights_of  # noqa: PLC0415
    from consumer.checkpoint.model_file import save_model  # noqa: PLC0415
    from consumer.checkpoint.store import StoreError  # noqa: PLC0415
    from consumer.checkpoint.unpickling import UnsafePickleError  # noqa: PLC0415
    from consumer.model_choice import admitted_classes  # noqa: PLC0415

    catalogue, loaded = _catalogue()
    found = catalogue.find(which)
    try:
        with waiting("reading the checkpoint"):
            header, state = catalogue.verify(found, admitted_classes(loaded.model), loaded.signing_key())
    except (EnvelopeError, UnsafePickleError, StoreError) as error:
        raise StateError(f"{found.label}: {error}") from error
    model = choose(state.get("models"), scope_key)
    numbers = None if weights is None else weights_of(model)
    try:
        save_model(model.pipeline, to)
        if weights is not None:
            weights.write_bytes(msgspec.json.format(msgspec.json.encode(numbers)) + b"\n")
    except OSError as error:
        raise SettingsError(
            f"cannot write {error.filename or to}: {error.strerror or error}; name a directory that can be written"
        ) from error
    output.print(
        f"{to}: the model of partition {header.partition} at offset {header.offset}, "
        f"which has learned from {model.events_learned:,} events",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@app.command(
    "sign",
    cls=Command,
    epilog=f"{PREVIOUS_KEY}=... smart-inventory checkpoints sign --all",
)
def sign(*, of_all_groups: OfAllGroups = False) -> None:
    """Sign checkpoints anew after a change of key: those of CHECKPOINT_PREVIOUS_KEY, or unsigned ones without it.

    Stop the workers first, and start them with --adopt-state: the key changes the hash seed.
    """
    from consumer.checkpoint.envelope import EnvelopeError  # noqa: PLC0415
    from consumer.checkpoint.store import StoreError  # noqa: PLC0415
    from consumer.checkpoint.unpickling import UnsafePickleError  # noqa: PLC0415
    from consumer.model_choice import admitted_classes  # noqa: PLC0415

    catalogue, loaded = _catalogue()
    key, previous = loaded.signing_key(), os.environ.get(PREVIOUS_KEY) or None
    if key is None:
        raise SettingsError("CHECKPOINT_SIGNING_KEY is not set; expected the key to sign checkpoints with")
    kept = catalogue.kept(of_all_groups=of_all_groups)
    admitted, previous_key = admitted_classes(loaded.model), None if previous is None else os.fsencode(previous)
    count = 0
    for each in kept:
        try:
            count += catalogue.sign(each, admitted, previous=previous_key, key=key)
        except (EnvelopeError, UnsafePickleError, StoreError) as error:
            raise StateError(
                f"{each.label}: {error} (the key to verify with is {PREVIOUS_KEY} here); {count} checkpoints before it "
                "are signed anew: mend that one or remove it, and say it again"
            ) from error
    output.print(f"{count} checkpoints signed anew, {len(kept) - count} were signed already", highlight=False)


def _catalogue() -> tuple[Catalogue, Settings]:
    from consumer.checkpoint.catalogue import Catalogue  # noqa: PLC0415
    from consumer.stores import open_store  # noqa: PLC0415

    loaded = settings.load()
    store = open_store(loaded, lambda: client_properties(settings_with_broker()))
    return Catalogue(store, loaded.consumer_group, loaded.input_topic), loaded


def _row(found: Described) -> dict[str, Any]:
    """Return one line of the list."""
    written = None if found.written is None else f"{datetime.fromtimestamp(found.written, UTC):%Y-%m-%dT%H:%M:%SZ}"
    row: dict[str, Any] = {"file": found.label, "bytes": found.size, "written": written}
    if found.header is None:
        return row | {"problem": found.problem}
    header = found.header
    return {
        **_place(header),
        **row,
        "parents": len(header.parents),
        "model_id": header.model_id,
        "signed": found.is_signed,
        "digest": header.digest[:_DIGEST_SHOWN],
    }


def _judged(catalogue: Catalogue, found: Kept | LooseFile, loaded: Settings) -> dict[str, Any]:
    """Return one line of the verification."""
    from consumer.checkpoint.envelope import EnvelopeError  # noqa: PLC0415
    from consumer.checkpoint.store import StoreError  # noqa: PLC0415
    from consumer.checkpoint.unpickling import UnsafePickleError  # noqa: PLC0415
    from consumer.model_choice import admitted_classes  # noqa: PLC0415

    try:
        header, _ = catalogue.verify(found, admitted_classes(loaded.model), loaded.signing_key())
    except (EnvelopeError, UnsafePickleError, StoreError) as error:
        return _place(catalogue.describe(found).header) | {"usable": False, "reason": str(error)}
    return _place(header) | {"usable": True, "reason": ""}


def _place(header: Header | None) -> dict[str, Any]:
    """Return whose state a header says it is; None for each where it cannot be read."""
    return {name: getattr(header, name, None) for name in ("group", "topic", "partition", "offset")}


def _print_table(columns: list[str], rows: list[dict[str, Any]]) -> None:
    table = Table(box=box.SIMPLE, collapse_padding=True, pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in {"offset", "bytes", "parents"} else "left"
        table.add_column(column.replace("_", " "), justify=justify, overflow="fold")
    for row in rows:
        if "problem" not in row:
            table.add_row(*[Text(_shown(row[column])) for column in columns])
    output.print(table)
    for row in rows:
        if "problem" in row:
            output.print(Text(f"cannot be read: {row['file']}: {row['problem']}"), soft_wrap=True)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "?" if value is None else f"{value:,}" if isinstance(value, int) else str(value)

"""The documents as a whole: no block, link, command or setting in them that is not there."""

from __future__ import annotations

import re
import shlex
from enum import Enum
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from consumer.assembly import learning_settings
from consumer.broker import InputTopic
from consumer.cli import app
from consumer.learning.fingerprint import fingerprint
from consumer.settings import Settings
from consumer.settings_reference import page
from tests.documents.blocks import DOCUMENTS, ROOT, all_blocks
from tests.documents.treatment import NOT_RUN, TREATMENTS, Treatment, treatment_of

_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCED: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_COMMAND: Final = re.compile(r"(?:^|[`\s])smart-inventory ((?:[a-z]+(?:-[a-z]+)*)(?: [^`\n#|]*)?)")
PAGES: Final = [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in DOCUMENTS]


def test_each_block_says_how_it_is_held_to_the_code() -> None:
    """A new block fails here until someone has written down what runs it, or why nothing can."""
    blocks = all_blocks()
    unclassified = [
        f"{block.place} ({block.id})" for block in blocks if not (treatment_of(block) or block.id in NOT_RUN)
    ]
    assert not unclassified, "name the block after its language and say in tests/documents/treatment.py what is done"
    ids = [block.id for block in blocks if block.language != "text"]
    assert sorted(ids) == sorted({*TREATMENTS, *NOT_RUN}), "a block is twice there, or gone"


def test_each_output_is_of_a_block_that_is_walked() -> None:
    """What a page says that comes out is compared with what comes out."""
    named = [block.id for block in all_blocks() if treatment_of(block) is Treatment.OUTPUT]
    assert named == ["README.md#watch-python"], "compare it in tests/broker/test_readme.py, and add it here"


def test_each_example_reads_and_writes_as_the_contract_says() -> None:
    """Nobody copies a reader that sees what was aborted, or a producer that puts an item's events apart."""
    for block in all_blocks():
        if re.search(r"Consumer[(<]|kcat -C", block.text):
            assert re.search(r"isolation\.level\W+read_committed", block.text), block.place
        if re.search(r"\bProducer\(|kcat -P", block.text):  # librdkafka's; Java's does so by itself
            assert re.search(r"partitioner\W+murmur2_random", block.text), block.place


@pytest.mark.parametrize("path", PAGES)
def test_links_lead_somewhere(path: Path) -> None:
    """Each relative link names a file of the repository, and a heading of it where it names one."""
    text = _FENCED.sub("", path.read_text())
    for link in _LINK.findall(text):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{path.name}: {link}"
        if anchor:
            assert anchor in {_anchor(heading) for heading in _HEADING.findall(target.read_text())}, link


def _anchor(heading: str) -> str:
    """Return the fragment that code hosts give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES)
def test_commands_are_there(path: Path) -> None:
    """Each `smart-inventory ...` in a document is a command, with options that it takes."""
    root = typer.main.get_command(app)
    for words in _COMMAND.findall(path.read_text()):
        command: Any = root
        for word in shlex.split(words.replace("|", " ")):
            if word.startswith("--"):
                options = {name for option in command.params for name in option.opts}
                assert word.split("=")[0] in options, f"{path.name}: smart-inventory {words}"
            elif hasattr(command, "commands"):
                assert word in command.commands, f"{path.name}: smart-inventory {words}"
                command = command.commands[word]


def test_every_command_is_in_the_readme() -> None:
    """Whoever looks for what there is finds it: each command and each of its own commands is in the table."""
    text = (ROOT / "README.md").read_text()
    table = text[text.index("## Commands") : text.index("## Read on")]
    listed = {word for cell in re.findall(r"^\| (`.*?`) \|", table, flags=re.MULTILINE) for word in cell.split()}
    words = {word.strip("`,") for word in listed}
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        assert {name, *getattr(command, "commands", {})} <= words, name


@pytest.mark.parametrize("path", PAGES)
def test_make_targets_are_there(path: Path) -> None:
    """Each `make x` in a document is a target."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", path.read_text(), flags=re.MULTILINE)) <= targets


@pytest.mark.parametrize("path", PAGES)
def test_nothing_of_one_machine_is_in_them(path: Path) -> None:
    """A path of the machine that a page was written on helps nobody."""
    assert not re.search(r"(?<![\w.])/(work|tmp|home|root)\b", path.read_text())


# Configuration


def test_the_configuration_page_is_current() -> None:
    """What stands there is what the settings are: `python -m consumer.settings_reference docs` writes it."""
    assert (ROOT / "docs/configuration.md").read_text() == page()


def test_every_setting_is_on_the_configuration_page_once() -> None:
    """A setting that is added to the code must be given a place."""
    rows = re.findall(r"^\| `([A-Z_]+)` \|", page(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(name.upper() for name in Settings.model_fields)


@pytest.mark.parametrize("name", sorted({*Settings.model_fields} - {"ml_model_path"}))  # a file that must be there
def test_fixed_settings_are_those_of_the_fingerprint(name: str) -> None:
    """The last column says yes where another value gives predictions another meaning, and only there."""
    usual = {} if name == "outlook_topic" else {"outlook_topic": "outlooks"}  # else what is the outlook's means nothing
    changed = Settings.model_validate({**usual, name: _other_value(name)})
    (row,) = re.findall(rf"^\| `{name.upper()}` \|.*\|$", page(), flags=re.MULTILINE)
    assert (_meaning(changed) != _meaning(Settings.model_validate(usual))) == row.endswith("| yes |")


POLICIES: Final = Path(__file__).with_name("policies.json")


def _other_value(name: str) -> object:
    """Return a value that a setting takes and that is not its default."""
    field = Settings.model_fields[name]
    if isinstance(field.default, Enum):
        return next(word for word in type(field.default) if word is not field.default)
    if isinstance(field.default, int | float):
        lowest = next((bound.ge for bound in field.metadata if hasattr(bound, "ge")), 1)
        return lowest if field.default != lowest else lowest + 1
    others = {"model": "linear", "store_timezone": "Europe/Berlin", "policies_file": str(POLICIES)}
    return others.get(name, "other")


def _meaning(settings: Settings) -> str:
    topic = InputTopic(partitions=1, topic_id="id", max_message_bytes=1_048_588)
    return fingerprint(learning_settings(settings, topic, None), {}).digest

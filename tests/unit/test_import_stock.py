"""Opening stock from a file: each good line becomes one valid count event, each bad one is named by its number."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from consumer import cli
from consumer.commands import import_stock as command
from consumer.commands import terminal
from consumer.errors import ExitCode, SettingsError
from consumer.import_stock import BadLine, Document, check_document, read_events, read_header
from consumer.kafka import reach
from consumer.learning.identities import Identities
from consumer.simulate import progress
from consumer.simulate.events import ShopEvent
from consumer.simulate.sender import SendReport
from schemas.dead_letter import InvalidEvent
from schemas.transaction import Limits, decode
from tests.core import is_repeat
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from typer.testing import Result

NOW_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z
AS_OF: Final = "2026-01-01T01:00:00+01:00"  # the same instant
HEAD: Final = b"store_id,sku,level\n"


def document(**changed: Any) -> Document:
    """What the lines of a file have in common."""
    common: dict[str, Any] = {
        "name": None,
        "as_of": AS_OF,
        "timestamp_ms": NOW_MS,
        "key_by": "store",
        "limits": Limits(),
    }
    return Document(**common | changed)


def read(content: bytes, **changed: Any) -> list[ShopEvent | BadLine]:
    """All lines of a file of this content."""
    file = io.BytesIO(content)
    return list(read_events(file, read_header(file), document(**changed)))


def events(content: bytes, **changed: Any) -> list[ShopEvent]:
    """All lines of a file that holds only good ones."""
    lines = read(content, **changed)
    good = [line for line in lines if isinstance(line, ShopEvent)]
    assert good == lines
    return good


def fields(event: ShopEvent) -> dict[str, Any]:
    """An event's fields."""
    decoded: dict[str, Any] = json.loads(event.value or b"")
    return decoded


def only_bad(content: bytes) -> BadLine:
    """The only line of a file, which is bad."""
    (line,) = read(content)
    assert isinstance(line, BadLine)
    return line


# Good lines


def test_a_line_becomes_a_count_that_sets_the_level() -> None:
    """The ledger's opening level is an observed one: quantity null, at the file's instant, keyed by the store."""
    (event,) = events(HEAD + b"330,milk-1l,12.5\n")
    assert event.key == b"330"
    assert event.timestamp_ms == NOW_MS
    assert fields(event) | {"transaction_id": ""} == {
        "transaction_id": "",
        "store_id": "330",
        "sku": "milk-1l",
        "line_id": None,
        "quantity": None,
        "transaction_type": "count",
        "unit_cost": None,
        "occurred_at": AS_OF,
        "new_stock_level": 12.5,
    }
    decoded = decode(event.value, event.timestamp_ms, Limits())
    assert (decoded.level_millionths, decoded.quantity_millionths) == (12_500_000, 0)
    assert decoded.occurred_us == NOW_MS * 1_000


def test_the_sample_file() -> None:
    """The file that is there to try it on is a good one."""
    sample = ROOT / "tests" / "samples" / "opening.csv"
    assert [fields(event)["new_stock_level"] for event in events(sample.read_bytes())] == [40, 12.5, 0]


def test_optional_columns_and_any_order() -> None:
    """Cost and time of a line are its own where given; the level may have the contract's name."""
    first, second = events(
        b"unit_cost,new_stock_level,occurred_at,sku,store_id\n1.19,3,2025-12-31T20:00:00Z,milk,330\n,-4,,bread,330\n"
    )
    assert fields(first)["unit_cost"] == 1.19
    assert fields(first)["occurred_at"] == "2025-12-31T20:00:00Z"
    assert fields(first)["new_stock_level"] == 3
    assert fields(second)["unit_cost"] is None
    assert fields(second)["occurred_at"] == AS_OF
    assert fields(second)["new_stock_level"] == -4


@pytest.mark.parametrize(
    "content",
    [
        b"store_id,sku,level\n330,milk,12\n331,bread,1",
        b"store_id;sku;level\n330;milk;12\n331;bread;1\n",
        b"\xef\xbb\xbfstore_id;sku;level\r\n330;milk;12\r\n331;bread;1\r\n",
        b'"store_id","sku","level"\n"330","milk","12"\n"331","bread","1"\n',
        b" Store_ID , SKU , Level \n 330 ,\tmilk, 12 \n\n331,bread,1\n \r\n",
    ],
    ids=["comma", "semicolon", "excel", "quoted", "spaces and blank lines"],
)
def test_dialects(content: bytes) -> None:
    """What spreadsheets write is read: comma or semicolon, with a byte order mark, quoted, with CR LF."""
    read_back = [(fields(event)["store_id"], fields(event)["sku"]) for event in events(content)]
    assert read_back == [("330", "milk"), ("331", "bread")]


def test_quoted_fields_may_hold_delimiters_and_quotes() -> None:
    """Quoting is that of RFC 4180."""
    (event,) = events(HEAD + b'330,"milk, 1 l ""fresh""",12\n')
    assert fields(event)["sku"] == 'milk, 1 l "fresh"'


def test_further_columns_are_named_and_not_used() -> None:
    """A shop's export may hold more; the operator hears of it, in case it is a name misspelt."""
    file = io.BytesIO(b"store_id,shelf,sku,level,unit_costs\n330,7,milk,1,2\n")
    header = read_header(file)
    assert header.unused == ("shelf", "unit_costs")
    (event,) = read_events(file, header, document())
    assert isinstance(event, ShopEvent)
    assert fields(event)["unit_cost"] is None


@pytest.mark.parametrize(("key_by", "key"), [("store", b"330"), ("item", b"330:milk")])
def test_keys(key_by: str, key: bytes) -> None:
    """The key is of the form that the topic has, from the ids as the worker will read them."""
    (event,) = events(HEAD + "\u3000330 , milk,1\n".encode(), key_by=key_by)
    assert event.key == key


csv_text = st.text(
    st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9
).filter(lambda text: text.strip())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(csv_text, csv_text, st.decimals(-1000, 1000, places=6).map(lambda n: format(n, "f"))),
        max_size=5,
        unique_by=lambda row: (row[0].strip(), row[1].strip()),
    ),
    st.sampled_from(",;"),
)
def test_every_event_is_what_the_file_says(rows: list[tuple[str, str, str]], delimiter: str) -> None:
    """Whatever ids and levels a csv writer writes, the worker decodes exactly them."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["store_id", "sku", "level"])
    writer.writerows(rows)
    decoded = [decode(event.value, NOW_MS, Limits()) for event in events(text.getvalue().encode())]
    assert [(event.store_id, event.sku, event.level_millionths) for event in decoded] == [
        (store.strip(), sku.strip(), round(float(level) * 1e6)) for store, sku, level in rows
    ]


# Identity


def is_repeat_of(first: list[ShopEvent], second: list[ShopEvent]) -> bool:
    """Tell whether a worker that saw the first import takes the whole second one for repeats."""
    identities = Identities(1_000)
    for event in first:
        assert not is_repeat(identities, decode(event.value, event.timestamp_ms, Limits()))
    verdicts = {is_repeat(identities, decode(event.value, event.timestamp_ms, Limits())) for event in second}
    assert len(verdicts) == 1
    return verdicts.pop()


FILE: Final = HEAD + b"330,milk,12\n330,bread,3\n331,milk,0\n"


@pytest.mark.parametrize("name", [None, "stocktake-7"])
def test_the_same_file_at_the_same_time_is_a_repeat(name: str | None) -> None:
    """An import that broke off is simply run again, another day, the time written in another offset."""
    again = events(FILE, name=name, as_of="2026-01-01T00:00:00Z", timestamp_ms=NOW_MS + 86_400_000)
    assert is_repeat_of(events(FILE, name=name), again)


def test_the_same_file_at_another_time_is_a_new_count() -> None:
    """Levels counted again are new observations, even if none has changed."""
    assert not is_repeat_of(events(FILE), events(FILE, as_of="2026-01-01T00:00:01Z"))


@pytest.mark.parametrize("name", [None, "stocktake-7"])
def test_another_level_at_the_same_time_conflicts(name: str | None) -> None:
    """A count is never changed under its id: the worker refuses it, and the operator takes a new time or document."""
    with pytest.raises(InvalidEvent, match="conflicting_repeat"):
        is_repeat_of(events(FILE, name=name), events(FILE.replace(b"12", b"13"), name=name))


def test_derived_ids() -> None:
    """Each item and instant has an id of its own; a line's own time counts, not the file's."""
    ids = {fields(event)["transaction_id"] for event in events(FILE) + events(FILE, as_of="2026-01-01T00:00:01Z")}
    assert len(ids) == 6
    assert all(name.startswith("opening-") and len(name) == 32 for name in ids)
    timed = b"store_id,sku,level,occurred_at\n330,milk,12,2025-12-31T20:00:00Z\n"
    (first,), (second,) = events(timed), events(timed, as_of="2026-01-01T00:00:01Z")
    assert fields(first)["transaction_id"] == fields(second)["transaction_id"]


# Bad lines


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"330,milk", "expected 3 columns with ',' between; found 2"),
        (b"330,milk,1,2", "expected 3 columns with ',' between; found 4"),
        (b"330,milk,1,5", "expected 3 columns with ',' between; found 4"),  # a decimal comma
        (b",milk,1", "store_id: expected 1 to 64 characters"),
        (b"330, ,1", "sku: expected 1 to 64 characters"),
        (b"330,mi\x00lk,1", "sku: expected 1 to 64 characters without control characters"),
        (b"3" * 65 + b",milk,1", "store_id: expected 1 to 64 characters"),
        (b"330,milk,", "level: expected a number such as 12"),
        (b"330,milk,many", "level: expected a number such as 12"),
        (b"330,milk,1e3", "level: expected a number such as 12"),
        (b"330,milk,nan", "level: expected a number such as 12"),
        (b'330,milk,"1,5"', "level: expected a number such as 12 or 12.5"),
        (b"330,milk,0.1234567", "at most 6 decimals"),
        (b"330,milk,1000000000.1", "at most 1000000000 in size"),
        (b'330,"milk,1', "expected quotes in pairs"),
        (b'330,"mi"lk,1', "expected quotes in pairs"),
        (b"330,m\xe4lk,1", "expected UTF-8"),
        (b"330,milk," + b"9" * 70_000, "expected at most 65536 bytes"),
    ],
)
def test_a_bad_line(line: bytes, problem: str) -> None:
    """Its number and what was expected are said, and nothing of what it holds; the lines around it are read."""
    before, bad, after = read(HEAD + b"1,a,1\n" + line + b"\r\n2,b,2\n")
    assert isinstance(before, ShopEvent)
    assert isinstance(bad, BadLine)
    assert bad.number == 3
    assert problem in bad.problem
    assert isinstance(after, ShopEvent)
    assert fields(after)["store_id"] == "2"


@pytest.mark.parametrize(
    ("cost", "when", "problem"),
    [
        ("-1", "", "unit_cost: expected a number"),
        ("1000001", "", "unit_cost: expected a number"),
        ("", "yesterday", "occurred_at: expected an RFC 3339 date-time"),
        ("", "2026-01-01", "occurred_at: expected an RFC 3339 date-time"),
        ("", "1999-12-31T23:59:59Z", "occurred_at: expected a time from the year 2000 on"),
        ("", "2026-01-02T00:00:01Z", "at most 86400 s (MAX_CLOCK_AHEAD_SECONDS) ahead of now"),
    ],
)
def test_a_bad_optional_column(cost: str, when: str, problem: str) -> None:
    """What is optional may be empty, but not wrong."""
    line = only_bad(f"store_id,sku,level,unit_cost,occurred_at\n330,milk,1,{cost},{when}\n".encode())
    assert problem in line.problem


def test_an_item_twice() -> None:
    """Which of two levels holds is for the shop to say: the second line is bad, and names the first."""
    lines = read(HEAD + b"330,milk,1\n331,milk,1\n\n330 , milk,2\n330,milk,x\n")
    assert [line.number for line in lines if isinstance(line, BadLine)] == [5, 6]
    assert isinstance(lines[2], BadLine)
    assert "line 2 has this store_id and sku already" in lines[2].problem


def test_a_bad_line_holds_no_item() -> None:
    """A line that is not sent does not make a later good one of its item a second one."""
    bad, good = read(HEAD + b"330,milk,x\n330,milk,2\n")
    assert isinstance(bad, BadLine)
    assert isinstance(good, ShopEvent)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "found neither store_id nor sku"),
        (b"330,milk,12\n", "found neither store_id nor sku"),
        (b"store_id\tsku\tlevel\n", "found neither store_id nor sku"),
        (b"store_id,sku\n", "it lacks level"),
        (b"store_id;level\n", "it lacks sku"),
        (b"sku,quantity\n", "it lacks store_id, level"),
        (b"store_id,sku,level,new_stock_level\n", "is there twice"),
        (b"store_id,sku,level,sku\n", "is there twice"),
        ("store_id,sku,level\n".encode("utf-16"), "it is no UTF-8"),
    ],
)
def test_a_bad_header(content: bytes, said: str) -> None:
    """Without a header line nothing of the file can be told; the sentence says what it must be."""
    with pytest.raises(SettingsError) as caught:
        read_header(io.BytesIO(content))
    assert said in str(caught.value)
    assert "expected a header line with the columns store_id, sku and level" in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"as_of": "today"}, "--as-of 'today': expected an RFC 3339 date-time"),
        ({"as_of": "2026-01-01T06:00:00"}, "expected an RFC 3339 date-time with an offset"),
        ({"as_of": "1999-01-01T06:00:00Z"}, "expected a time from the year 2000 on"),
        ({"as_of": "2026-02-01T06:00:00Z"}, "ahead of now"),
        ({"name": ""}, "--document: expected 1 to 128 characters"),
        ({"name": "x" * 129}, "--document: expected 1 to 128 characters"),
    ],
)
def test_what_all_lines_share_is_checked_once(changed: dict[str, Any], said: str) -> None:
    """A wrong time or document would make every line bad; it is said once, before the file is read."""
    with pytest.raises(SettingsError) as caught:
        check_document(document(**changed))
    assert said in str(caught.value)


def test_memory_does_not_grow_with_the_lines() -> None:
    """A large file is read as a stream: only the digests of its items are kept."""

    class Endless(io.RawIOBase):
        def __init__(self, lines: int) -> None:
            self.lines = lines
            self.number = 0

        def readline(self, _size: int | None = -1, /) -> bytes:
            self.number += 1
            return (
                HEAD if self.number == 1 else b"%d,sku,1,%s\n" % (self.number, b"x" * 500) * (self.number <= self.lines)
            )

    def peak(lines: int) -> int:
        file: Any = Endless(lines)
        header = read_header(file)
        tracemalloc.start()
        seen = sum(1 for _ in read_events(file, header, document()))
        assert seen == lines - 1
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    assert peak(4_000) < 100_000  # every line is bad (4 columns) and 500 bytes long: 2 MB in all


# The command


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[ShopEvent]:
    """Events that the command hands over; no broker."""
    taken: list[ShopEvent] = []

    def send(
        handed: Iterable[ShopEvent], *, topic: str, config: Mapping[str, str], rate: float | None, expected: int | None
    ) -> SendReport:
        assert (topic, config["bootstrap.servers"], rate) == ("inventory.transactions", "nowhere:1", None)
        taken.extend(handed)
        assert len(taken) == expected
        return SendReport({"event": len(taken)}, 0.1, interrupted=False)

    monkeypatch.setattr(progress, "send_with_progress", send)
    monkeypatch.setattr(reach, "await_broker", lambda _: None)
    monkeypatch.setattr(terminal.output, "_width", 250)  # the property would stay set
    return taken


def invoke(path: Path, *arguments: str) -> Result:
    """Run the command."""
    return CliRunner(env={"KAFKA_BOOTSTRAP_SERVERS": "nowhere:1"}).invoke(
        cli.app, ["import-stock", str(path), *arguments]
    )


def test_a_good_file_is_sent(sent: list[ShopEvent], tmp_path: Path) -> None:
    """Everything is sent, and the summary says what was, as of when."""
    path = tmp_path / "opening.csv"
    path.write_bytes(b"store_id,sku,level,shelf\n330,milk,12,a\n330,bread,3,b\n")
    result = invoke(path, "--as-of", AS_OF)
    assert result.exit_code == 0, result.output
    assert [fields(event)["sku"] for event in sent] == ["milk", "bread"]
    assert {fields(event)["occurred_at"] for event in sent} == {AS_OF}
    for shown in ("levels sent", "2", AS_OF, "columns not used", "shelf"):
        assert shown in result.stdout


def test_without_as_of_all_lines_have_one_instant(sent: list[ShopEvent], tmp_path: Path) -> None:
    """Now is taken once, and shown, so that an import that broke off can be run again as the same."""
    path = tmp_path / "opening.csv"
    path.write_bytes(FILE)
    result = invoke(path)
    (instant,) = {fields(event)["occurred_at"] for event in sent}
    assert instant in result.stdout


def test_nothing_is_sent_if_a_line_is_bad(sent: list[ShopEvent], tmp_path: Path) -> None:
    """All or nothing, unless told otherwise; each bad line is named, and the code says that the file wants mending."""
    path = tmp_path / "opening.csv"
    path.write_bytes(HEAD + b"330,milk,12\n330,bread,three\n330,beer\n")
    result = invoke(path)
    assert result.exit_code == ExitCode.BAD_LINES
    assert sent == []
    lines = result.stderr.splitlines()
    assert lines[0].startswith("line 3: level: expected")
    assert lines[1].startswith("line 4: expected 3 columns")
    assert lines[2] == (
        "smart-inventory: 2 of 3 lines of opening.csv are bad, nothing was sent; mend them, or send the others with "
        "--skip-bad"
    )
    assert "three" not in result.output


def test_skip_bad_sends_the_others_and_still_says_so(sent: list[ShopEvent], tmp_path: Path) -> None:
    """The code is the same, since what is to be done is: mend the lines, import again at the same time."""
    path = tmp_path / "opening.csv"
    path.write_bytes(HEAD + b"330,milk,12\n330,bread,three\n331,milk,1\n")
    result = invoke(path, "--skip-bad", "--as-of", AS_OF)
    assert result.exit_code == ExitCode.BAD_LINES
    assert [fields(event)["store_id"] for event in sent] == ["330", "331"]
    assert f"import the file again with --as-of {AS_OF}" in result.stderr


def test_many_bad_lines_are_cut_short(sent: list[ShopEvent], tmp_path: Path) -> None:
    """A file of another kind does not fill the screen."""
    path = tmp_path / "opening.csv"
    path.write_bytes(HEAD + b"x\n" * 1_000)
    result = invoke(path)
    assert result.stderr.count("\nline ") == 49
    assert "and 950 more bad lines" in result.stderr
    assert sent == []


def test_a_file_that_changes_while_it_is_read(
    sent: list[ShopEvent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read twice; what is bad only the second time stops the import."""
    path = tmp_path / "opening.csv"
    path.write_bytes(FILE)
    check = command._check

    def check_then_spoil(*arguments: Any) -> tuple[int, int]:
        counted = check(*arguments)
        path.write_bytes(FILE.replace(b"330,bread,3", b"330,bread,x"))
        return counted

    monkeypatch.setattr(command, "_check", check_then_spoil)
    result = invoke(path)
    assert result.exit_code == ExitCode.USAGE
    assert "line 3 was good when the file was checked" in result.stderr
    assert [fields(event)["sku"] for event in sent] == ["milk"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--key-by", "till"], "'--key-by': 'till' is not one of 'store', 'item'"),
        (["--document", "stocktake-7"], "--document needs --as-of"),
        (["--as-of", "noon"], "--as-of 'noon': expected an RFC 3339 date-time"),
    ],
)
def test_bad_options(sent: list[ShopEvent], tmp_path: Path, arguments: list[str], said: str) -> None:
    """A wrong option is one sentence, before the file is read."""
    path = tmp_path / "opening.csv"
    path.write_bytes(b"")
    result = invoke(path, *arguments)
    assert result.exit_code == ExitCode.USAGE
    assert said in result.stderr
    assert sent == []


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The parser itself refuses it, by name."""
    result = invoke(tmp_path / "nowhere.csv")
    assert result.exit_code == ExitCode.USAGE
    assert "Traceback" not in result.output

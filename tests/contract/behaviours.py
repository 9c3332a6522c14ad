"""What the worker relies on, each as something that a cluster does, whichever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from consumer.broker import EndOfPartition, OutOfRange, Position
from consumer.errors import AbortError, FencedError, RebuildError, RecoverableError, RetryError
from tests.contract.arena import values_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.arena import Arena, Client


class Behaviour(NamedTuple):
    """One of them.

    Attributes:
        name: in words.
        show: raises AssertionError where a cluster does not behave so.
    """

    name: str
    show: Callable[[Arena], None]


BEHAVIOURS: Final[list[Behaviour]] = []


def _behaviour(name: str) -> Callable[[Callable[[Arena], None]], Callable[[Arena], None]]:
    def add(show: Callable[[Arena], None]) -> Callable[[Arena], None]:
        BEHAVIOURS.append(Behaviour(name, show))
        return show

    return add


def _joined(arena: Arena, instance: str = "a", *, partitions: int = 2, is_transactional: bool = True) -> Client:
    """Return a settled client with so many partitions."""
    client = arena.client(instance, is_transactional=is_transactional)
    client.connection.settle()
    arena.poll_until(lambda: len(client.listener.owned) == partitions, client)
    return client


def _committed(arena: Arena, client: Client, partition: int = 0) -> tuple[int, str | None] | None:
    """Return a committed offset and its metadata, once nothing is pending on it."""
    answers: list[tuple[int, str | None] | None] = []

    def ask() -> bool:
        try:
            answer = client.connection.committed(partition, 1.0)
        except RetryError:
            arena.wait(0.2)
            return False
        answers.append(None if answer is None else (answer.offset, answer.metadata))
        return True

    arena.poll_until(ask)
    return answers[0]


def _transact(client: Client, offset: int, value: bytes, arena: Arena, partition: int = 0) -> None:
    """Publish one record and commit one offset, in one transaction."""
    client.connection.begin()
    client.connection.produce(arena.output, partition, None, value, None)
    client.connection.send_offsets([Position(partition, offset, f"at {offset}")])
    client.connection.commit()


@_behaviour("a group that never committed has no committed offset")
def no_offset(arena: Arena) -> None:
    """Nothing is made up."""
    assert _committed(arena, _joined(arena)) is None


@_behaviour("partitions are given inside poll alone, and nothing is fetched before start")
def given_in_poll(arena: Arena) -> None:
    """The worker decides where to begin."""
    arena.send(0, b"one")
    client = arena.client()
    arena.wait(2.0)
    assert client.listener.heard == []
    arena.poll_until(lambda: client.listener.owned == {0, 1}, client)
    for _ in range(10):
        assert client.poll() == []


@_behaviour("records come in order from the offset given at start, then the end of the partition")
def in_order(arena: Arena) -> None:
    """An offset is given with the assignment, never by a seek."""
    arena.send(0, *(b"%d" % number for number in range(20)))
    client = _joined(arena)
    client.connection.start(0, 5)
    arena.poll_until(lambda: client.polled and isinstance(client.polled[-1], EndOfPartition), client)
    assert values_of(client.polled) == [b"%d" % number for number in range(5, 20)]
    assert [item.offset for item in client.polled] == [*range(5, 20), 20]


@_behaviour("markers and aborted records take offsets, and the end of the partition lies above them")
def offset_gaps(arena: Arena) -> None:
    """The last record's offset + 1 never reaches the end of an input that is transactional itself."""
    arena.send_in_transaction(0, b"a", b"b", is_committed=True)
    arena.send_in_transaction(0, b"c", is_committed=False)
    client = _joined(arena)
    client.connection.start(0, 0)
    arena.poll_until(lambda: client.polled and isinstance(client.polled[-1], EndOfPartition), client)
    assert values_of(client.polled) == [b"a", b"b"]
    assert client.polled[-1].offset == 5
    assert client.connection.log_range(0) == (0, 5)


@_behaviour("outputs, offset and metadata become visible together, with the commit")
def atomic(arena: Arena) -> None:
    """Nothing before, all after."""
    client = _joined(arena)
    client.connection.begin()
    client.connection.produce(arena.output, 0, b"key", b"value", [("name", b"header")])
    client.connection.send_offsets([Position(0, 7, "reference")])
    assert arena.visible(0) == []
    client.connection.commit()
    assert _committed(arena, client) == (7, "reference")
    assert arena.visible(0) == [b"value"]


@_behaviour("an aborted transaction leaves neither outputs nor offsets")
def aborted(arena: Arena) -> None:
    """As if it had never been; the next one goes through."""
    client = _joined(arena)
    _transact(client, 3, b"first", arena)
    client.connection.begin()
    client.connection.produce(arena.output, 0, None, b"second", None)
    client.connection.send_offsets([Position(0, 9, "second")])
    client.connection.abort()
    assert _committed(arena, client) == (3, "at 3")
    _transact(client, 4, b"third", arena)
    assert _committed(arena, client) == (4, "at 4")
    assert arena.visible(0) == [b"first", b"third"]


@_behaviour("while a transaction is pending on an offset, nobody is told the former one")
def unstable(arena: Arena) -> None:
    """The answer is a request to wait, not the old offset."""
    client = _joined(arena)
    _transact(client, 3, b"first", arena)
    assert _committed(arena, client) == (3, "at 3")
    client.connection.begin()
    client.connection.send_offsets([Position(0, 9, "pending")])
    with pytest.raises(RetryError):
        client.connection.committed(0, 1.0)
    client.connection.commit()
    assert _committed(arena, client) == (9, "pending")


@_behaviour("a restarted instance fences its former self, which can commit nothing any more")
def zombie(arena: Arena) -> None:
    """The zombie had everything ready when its successor came."""
    zombie = _joined(arena)
    zombie.connection.begin()
    zombie.connection.produce(arena.output, 0, None, b"zombie", None)
    zombie.connection.send_offsets([Position(0, 5, "zombie")])
    successor = _joined(arena)
    with pytest.raises(RecoverableError):
        zombie.connection.commit()
    assert _committed(arena, successor) is None
    _transact(successor, 6, b"successor", arena)
    assert _committed(arena, successor) == (6, "at 6")
    assert arena.visible(0) == [b"successor"]


@_behaviour("a fenced instance learns of it in its polls")
def fenced_consumer(arena: Arena) -> None:
    """Two processes of one INSTANCE_ID cannot both go on."""
    first = _joined(arena)
    second = _joined(arena)
    with pytest.raises(FencedError):
        arena.poll_until(lambda: False, first, seconds=30)
    assert second.listener.owned == {0, 1}


@_behaviour("a restarted instance has its partitions back without a rebalance of the others")
def static_restart(arena: Arena) -> None:
    """Static membership: the restart is nobody else's business."""
    first, other = arena.client("a"), arena.client("b")
    arena.poll_until(lambda: [len(each.listener.owned) for each in (first, other)] == [1, 1], first, other)
    owned, heard = set(first.listener.owned), list(other.listener.heard)
    first.connection.leave()
    again = arena.client("a")
    arena.poll_until(lambda: again.listener.owned, again, other)
    assert again.listener.owned == owned
    assert other.listener.heard == heard


@_behaviour("a member that joins gets a partition only after its owner has given it up in a poll")
def cooperative(arena: Arena) -> None:
    """Until then the owner may commit for it; what it keeps is not interrupted."""
    arena.send(0, b"x")
    arena.send(1, b"y")
    first = _joined(arena, "a")
    for partition in (0, 1):
        first.connection.start(partition, 0)
    owners: list[set[int]] = []
    first.listener.before_revoke = lambda: owners.append(set(second.listener.owned))
    second = arena.client("b")
    second.connection.settle()
    arena.poll_until(lambda: len(second.listener.owned) == 1, first, second)
    assert owners == [set()]
    assert first.listener.owned | second.listener.owned == {0, 1}
    assert ("lost", [0]) not in first.listener.heard
    assert ("lost", [1]) not in first.listener.heard


@_behaviour("offsets may still be committed inside the callback that takes a partition away")
def commit_on_revoke(arena: Arena) -> None:
    """The last moment to commit what was done for it."""
    first = _joined(arena, "a")
    first.listener.before_revoke = lambda: _transact(first, 11, b"last words", arena)
    second = arena.client("b")
    arena.poll_until(lambda: second.listener.owned, first, second)
    assert _committed(arena, second) == (11, "at 11")
    assert arena.visible(0) == [b"last words"]


@_behaviour("an offset is accepted for a partition that the member does not own")
def unowned(arena: Arena) -> None:
    """Membership is checked, ownership is not: nobody but the worker keeps it from doing so."""
    first, second = arena.client("a"), arena.client("b")
    arena.poll_until(lambda: [len(each.listener.owned) for each in (first, second)] == [1, 1], first, second)
    (foreign,) = second.listener.owned
    first.connection.settle()
    _transact(first, 8, b"foreign", arena, foreign)
    assert _committed(arena, second, foreign) == (8, "at 8")


@_behaviour("a commit without metadata erases the former metadata")
def metadata_erased(arena: Arena) -> None:
    """The reference would be gone."""
    client = _joined(arena)
    _transact(client, 3, b"first", arena)
    client.connection.begin()
    client.connection.send_offsets([Position(0, 4, "")])
    client.connection.commit()
    answer = _committed(arena, client)
    assert answer is not None
    assert (answer[0], answer[1] or "") == (4, "")


@_behaviour("an offsets-only transaction changes metadata at an unchanged offset")
def metadata_alone(arena: Arena) -> None:
    """A reference is refreshed without a record."""
    client = _joined(arena)
    _transact(client, 3, b"first", arena)
    client.connection.begin()
    client.connection.send_offsets([Position(0, 3, "newer")])
    client.connection.commit()
    assert _committed(arena, client) == (3, "newer")


@_behaviour("what a lost worker left open is aborted by the time-out of its transaction")
def timed_out(arena: Arena) -> None:
    """Another instance must wait for it: nobody else ends it."""
    lost = _joined(arena, "a")
    lost.connection.begin()
    lost.connection.produce(arena.output, 0, None, b"lost", None)
    lost.connection.send_offsets([Position(0, 5, "lost")])
    other = arena.client("b")
    other.connection.settle()
    with pytest.raises(RetryError):
        other.connection.committed(0, 1.0)
    assert _committed(arena, other) is None
    with pytest.raises(RecoverableError):
        lost.connection.commit()
    assert arena.visible(0) == []


@_behaviour("what a lost worker left open is aborted at once by its successor of the same name")
def settled(arena: Arena) -> None:
    """`settle` waits for nobody's time-out."""
    lost = _joined(arena, "a")
    lost.connection.begin()
    lost.connection.produce(arena.output, 0, None, b"lost", None)
    lost.connection.send_offsets([Position(0, 5, "lost")])
    lost.connection.leave()
    successor = arena.client("a")
    successor.connection.settle()
    assert _committed(arena, successor) is None
    assert arena.visible(0) == []


@_behaviour("a record below the log's start is reported, and nothing more is fetched of its partition")
def out_of_range(arena: Arena) -> None:
    """No silent jump to where the log begins now."""
    arena.send(0, *(b"%d" % number for number in range(10)))
    arena.delete_below(arena.input, 0, 6)
    client = _joined(arena)
    assert client.connection.log_range(0) == (6, 10)
    client.connection.start(0, 2)
    arena.poll_until(lambda: client.polled, client)
    assert [type(item) for item in client.polled] == [OutOfRange]
    for _ in range(5):
        assert values_of(client.poll()) == []


@_behaviour("the tail of an output is its last committed record, whatever was aborted above it")
def tail(arena: Arena) -> None:
    """Where nothing else is known, it says how far the outputs go."""
    client = _joined(arena)
    assert client.connection.tail(arena.output, 0) == (None, False)
    _transact(client, 1, b"committed", arena)
    client.connection.begin()
    client.connection.produce(arena.output, 0, None, b"aborted", None)
    client.connection.send_offsets([Position(0, 2, "")])
    # An abort takes back what the client has not sent yet: then there would be nothing above the committed record.
    arena.poll_until(lambda: arena.end(arena.output, 0) == 3, client)
    client.connection.abort()
    arena.wait(3.0)
    found = client.connection.tail(arena.output, 0).record
    assert found is not None
    assert found.value == b"committed"
    arena.delete_below(arena.output, 0, 4)
    assert client.connection.tail(arena.output, 0) == (None, True)


@_behaviour("an empty group's offsets can expire, and are none then")
def expired(arena: Arena) -> None:
    """As after 7 days without a member."""
    client = _joined(arena)
    _transact(client, 3, b"first", arena)
    assert _committed(arena, client) == (3, "at 3")
    client.connection.discard()
    arena.expire_offsets()
    assert _committed(arena, _joined(arena)) is None


@_behaviour("a topic that was created anew has another id, and its group no offsets")
def recreated(arena: Arena) -> None:
    """The same name, another log."""
    arena.send(0, b"one")
    client = _joined(arena)
    _transact(client, 1, b"first", arena)
    assert _committed(arena, client) == (1, "at 1")
    client.connection.discard()
    before = arena.topic_id()
    arena.recreate_input()
    assert arena.topic_id() != before
    again = arena.client()
    assert again.connection.log_range(0) == (0, 0)


@_behaviour("without transactions, outputs are visible at once and offsets are committed after them")
def at_least_once(arena: Arena) -> None:
    """The order that makes it at least once."""
    client = _joined(arena, is_transactional=False)
    client.connection.begin()
    client.connection.produce(arena.output, 0, None, b"value", None)
    client.connection.send_offsets([Position(0, 2, "reference")])
    assert arena.visible(0) == [b"value"]
    assert _committed(arena, client) is None
    client.connection.commit()
    assert _committed(arena, client) == (2, "reference")


@_behaviour("without transactions, a fenced instance can commit no offsets any more")
def at_least_once_fenced(arena: Arena) -> None:
    """What it has published comes again, its offsets do not."""
    zombie = _joined(arena, is_transactional=False)
    successor = _joined(arena, is_transactional=False)
    zombie.connection.begin()
    zombie.connection.send_offsets([Position(0, 5, "zombie")])
    with pytest.raises((RebuildError, AbortError)):
        zombie.connection.commit()
    assert _committed(arena, successor) is None

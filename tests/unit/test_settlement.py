"""Settling: what counts as held back, what is done about it, and what the command says; the broker is a stand-in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest
from typer.testing import CliRunner

from consumer import cli, settlement
from consumer.commands import transactions
from consumer.errors import ExitCode
from consumer.kafka.broker import transactional_id
from consumer.settlement import Held, Member, Reach, look, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

OUT: Final = "inventory.stock-predictions"


class Partition:
    """One output partition: where it ends, and where each identity's open transaction begins."""

    def __init__(self, end: int, **opened: int) -> None:
        self.end = end
        self.opened = opened

    def reach(self, number: int) -> Reach:
        return Reach(OUT, number, min(self.opened.values(), default=self.end), self.end)


class Cluster:
    """A stand-in for the broker; settling an identity ends its transactions."""

    def __init__(
        self, *partitions: Partition, offsets: dict[int, str] | None = None, living: Sequence[str] = ()
    ) -> None:
        self.partitions = partitions
        self.offsets = offsets or {}
        self.living = living
        self.settled: list[str] = []
        self.now = 0.0

    def reaches(self) -> list[Reach]:
        return [partition.reach(number) for number, partition in enumerate(self.partitions)]

    def offsets_held_back(self) -> list[int]:
        return sorted(self.offsets)

    def members(self, instance_ids: Sequence[str]) -> list[Member]:
        return [Member(each, "/10.0.0.7") for each in instance_ids if each in self.living]

    def settle(self, instance_id: str) -> None:
        self.settled.append(instance_id)
        for partition in self.partitions:
            if partition.opened.pop(instance_id, None) is not None:
                partition.end += 1  # the marker
        self.offsets = {number: holder for number, holder in self.offsets.items() if holder != instance_id}

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_what_moves_on_is_not_held_back() -> None:
    """A living worker's open transaction is no lost one: at the second look it is another, further on."""
    cluster = Cluster(Partition(100, lost=40), Partition(100, busy=90), Partition(100))

    def work(seconds: float) -> None:
        cluster.sleep(seconds)
        cluster.partitions[1].opened["busy"], cluster.partitions[1].end = 120, 130

    assert look(cluster, work).reaches == [Reach(OUT, 0, 40, 100)]
    assert cluster.now == settlement.LOOK_AGAIN_SECONDS


def test_nothing_held_back_takes_one_look() -> None:
    """Nobody waits where there is nothing."""
    cluster = Cluster(Partition(100))
    assert not look(cluster, cluster.sleep)
    assert cluster.now == 0


def test_offsets_alone_are_held_back_too() -> None:
    """A transaction that has published nothing holds the committed offset back, and with it the next owner."""
    cluster = Cluster(Partition(5), offsets={3: "lost"})
    held = look(cluster, cluster.sleep)
    assert held == Held([], [3])
    result = settle(cluster, ["lost"], held, clock=lambda: cluster.now, sleep=cluster.sleep)
    assert result.is_whole


def test_settling_frees_what_the_identity_held() -> None:
    """Each identity is taken; what was held back is readable past the marker."""
    cluster = Cluster(Partition(100, a=40), Partition(50, b=10))
    held = look(cluster, cluster.sleep)
    result = settle(cluster, ["a", "b"], held, clock=lambda: cluster.now, sleep=cluster.sleep)
    assert cluster.settled == ["a", "b"]
    assert [(each.before.stable, each.after.stable) for each in result.partitions] == [(40, 101), (10, 51)]
    assert result.is_whole


def test_another_identitys_transaction_stays() -> None:
    """It is waited for, not for ever, and then said to be there still."""
    cluster = Cluster(Partition(100, a=40, b=40))
    held = look(cluster, cluster.sleep)
    result = settle(cluster, ["a"], held, clock=lambda: cluster.now, sleep=cluster.sleep)
    assert not result.is_whole
    assert settlement.SETTLED_SECONDS <= cluster.now < 2 * settlement.SETTLED_SECONDS


def test_the_identity_is_the_workers() -> None:
    """The command takes the place of exactly the producer that a worker builds."""
    assert transactional_id("smart-inventory", "till-3") == "smart-inventory-till-3"


# The command


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """One partition held back by `till-3`, another one by nobody."""
    made = Cluster(Partition(100, **{"till-3": 40}), Partition(7))
    monkeypatch.setattr(transactions, "_pending", lambda _loaded: made)
    monkeypatch.setattr(settlement, "LOOK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(settlement, "SETTLED_SECONDS", 0.0)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("INSTANCE_ID", "till-3")
    return made


def said(*arguments: str, code: ExitCode = ExitCode.OK) -> str:
    result = CliRunner().invoke(cli.app, ["transactions", "settle", *arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_it_settles_this_environments_worker(cluster: Cluster) -> None:
    """What was held back is shown, and that it is free."""
    text = said()
    assert cluster.settled == ["till-3"]
    assert f"{OUT} 0 40 100 60" in text
    assert f"{OUT} 0 40 101 yes" in text
    assert "Nothing is held back any more" in text


def test_a_dry_run_settles_nothing(cluster: Cluster) -> None:
    """It only shows."""
    assert "Nothing was done: a dry run." in said("--dry-run")
    assert cluster.settled == []


def test_nothing_held_back_settles_nothing(cluster: Cluster) -> None:
    """Nobody is fenced for nothing."""
    cluster.partitions[0].opened.clear()
    assert "No transaction holds anything back." in said("--yes")
    assert cluster.settled == []


def test_a_living_member_is_left_alone(cluster: Cluster) -> None:
    """The sentence says who, where, and what --even-if-alive does; with it, it is settled."""
    cluster.living = ["till-3"]
    text = said(code=ExitCode.STATE)
    assert "till-3 at /10.0.0.7: lives in group smart-inventory" in text
    assert "--even-if-alive" in text
    assert cluster.settled == []
    said("--even-if-alive")
    assert cluster.settled == ["till-3"]


def test_several_ids(cluster: Cluster) -> None:
    """Named ones are taken in the environment's stead, each once; the wrong one frees nothing and says so."""
    text = said("--instance-id", "till-8", "--instance-id", "till-9", "--instance-id", "till-8", code=ExitCode.STATE)
    assert cluster.settled == ["till-8", "till-9"]
    assert "by a transaction of another id" in text


def test_json(cluster: Cluster) -> None:
    """One document, the same facts."""
    assert json.loads(CliRunner().invoke(cli.app, ["transactions", "settle", "--json"]).stdout) == {
        "consumer_group": "smart-inventory",
        "instance_ids": ["till-3"],
        "dry_run": False,
        "settled": True,
        "free": True,
        "partitions": [
            {
                "topic": OUT,
                "partition": 0,
                "last_stable_offset": 40,
                "end_offset": 100,
                "last_stable_offset_after": 101,
            }
        ],
        "offsets_held_back": [],
    }
    assert cluster.settled == ["till-3"]
    nothing = json.loads(CliRunner().invoke(cli.app, ["transactions", "settle", "--json"]).stdout)
    assert (nothing["free"], nothing["settled"], nothing["partitions"]) == (True, False, [])

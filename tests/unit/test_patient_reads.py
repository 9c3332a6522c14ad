"""Reads of a store that cannot be asked: nothing is concluded from silence, and the wait for an answer ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog
from structlog.testing import capture_logs

from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.patient_reads import PATIENCE_SECONDS, PatientReads
from consumer.checkpoint.store import CheckpointName, StoreError, UnreadableError
from consumer.errors import CheckpointsError, RetryError, SmartInventoryError, StateError
from consumer.metrics import PREFIX, Metrics
from tests.scripted import Shop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from consumer.worker import Worker

NAME: Final = CheckpointName("group", "topic", 0, 7, "d" * 64)
AWAY: Final = StoreError("503 Slow Down")


class Far:
    """A store that answers as told, the last answer for ever."""

    def __init__(self, *answers: bytes | Exception | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    def read(self, _name: CheckpointName) -> bytes | None:
        """Give the next answer."""
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """Likewise."""
        return [CheckpointName(group, topic, partition, 7, "d" * 64)] if self.read(NAME) else []

    def where(self) -> str:
        """Name it."""
        return "bucket far://away"


class Waiting:
    """Reads of a far store by a clock of its own."""

    def __init__(self, *answers: bytes | Exception | None) -> None:
        self.store = Far(*answers)
        self.now = 1000.0
        self.metrics = Metrics()
        self.reads = PatientReads(self.store, clock=lambda: self.now, metrics=self.metrics, log=structlog.get_logger())

    def gauge(self) -> float | None:
        """What a monitor sees."""
        return self.metrics.registry.get_sample_value(f"{PREFIX}checkpoint_store_unreachable")

    def until_answer(self, ask: Callable[[], Any]) -> Any:
        """Ask ten times a second for as long as the answer is to ask again."""
        while True:
            try:
                return ask()
            except RetryError:
                self.now += 0.1


@pytest.mark.parametrize("answer", [b"state", None])
def test_an_answer_after_a_while(answer: bytes | None) -> None:
    """The store is asked again each second, says what it has, and the log has one line for each change."""
    waiting = Waiting(AWAY, AWAY, AWAY, answer)
    with capture_logs() as lines:
        assert waiting.until_answer(lambda: waiting.reads.read(NAME)) == answer
    assert waiting.store.asked == 4
    assert [line["event"] for line in lines] == ["store_unreachable", "store_reachable"]
    assert lines[0]["reason"] == "503 Slow Down"
    assert lines[1]["seconds"] == pytest.approx(3, abs=0.5)
    assert waiting.gauge() == 0


def test_a_monitor_sees_that_a_restore_waits() -> None:
    """As long as it waits, and not after."""
    waiting = Waiting(AWAY, b"state")
    with pytest.raises(RetryError, match="the bucket far://away cannot be asked"):
        waiting.reads.names("g", "t", 0)
    assert waiting.gauge() == 1
    assert len(waiting.until_answer(lambda: waiting.reads.names("g", "t", 0))) == 1
    assert waiting.gauge() == 0


def test_the_wait_ends() -> None:
    """A store that is gone for good ends the worker with a sentence that says what to do; each wait begins anew."""
    waiting = Waiting(*[AWAY] * 31, b"state", AWAY)
    waiting.until_answer(lambda: waiting.reads.read(NAME))
    began = waiting.now
    with pytest.raises(CheckpointsError, match=r"bucket far://away could not be asked for 60 s: 503 Slow Down.*mend"):
        waiting.until_answer(lambda: waiting.reads.read(NAME))
    assert waiting.now - began == pytest.approx(PATIENCE_SECONDS, abs=1.2)


def test_that_it_is_unreadable_is_an_answer() -> None:
    """Then nobody waits: the operator must choose."""
    waiting = Waiting(UnreadableError("Permission denied"))
    with pytest.raises(UnreadableError):
        waiting.reads.read(NAME)
    assert waiting.gauge() == 0


def test_under_way_is_no_failure() -> None:
    """An answer that takes its time is waited for by the one who reads beside the loop."""
    waiting = Waiting(RetryError("being read"))
    with pytest.raises(RetryError, match="being read"):
        waiting.reads.read(NAME)
    assert waiting.gauge() == 0


# What the worker makes of it


@pytest.fixture
def shop(new_worker: Callable[..., Worker], tmp_path: Path) -> Shop:
    """A partition with two checkpoints, committed up to the newer one."""
    return Shop(new_worker, tmp_path / "checkpoints", stops=(40, 60))


def away(monkeypatch: pytest.MonkeyPatch, *methods: str, times: int) -> None:
    """Let the store not answer so many times."""
    left = dict.fromkeys(methods, times)
    for method in methods:
        answer = getattr(DirectoryStore, method)

        def ask(store: DirectoryStore, *what: Any, method: str = method, answer: Any = answer) -> Any:
            left[method] -= 1
            if left[method] >= 0:
                raise AWAY
            return answer(store, *what)

        monkeypatch.setattr(DirectoryStore, method, ask)


ALL: Final = "rebuild resume_after_output publish_anew adopt_state"


@pytest.mark.parametrize("allow", ["", ALL])
def test_a_store_that_was_away_costs_no_rung(shop: Shop, monkeypatch: pytest.MonkeyPatch, allow: str) -> None:
    """Whatever the operator allows, the referenced checkpoint is waited for, and it is said once."""
    shop.grow(80)
    away(monkeypatch, "read", times=5)
    shop.run(allow=allow)
    assert shop.restores() == {"checkpoint": 1}
    assert shop.events().count("restore_waits") == 1
    assert shop.events().count("store_unreachable") == 1


@pytest.mark.parametrize("allow", ["", ALL])
@pytest.mark.parametrize("what", ["referenced", "lost offsets", "another meaning"])
def test_a_store_that_stays_away_stops_the_worker(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, allow: str, what: str
) -> None:
    """No older rung, no rebuild, no fresh beginning, no adoption: exit code 8, and nothing was committed."""
    changed: dict[str, Any] = {}
    if what == "lost offsets":
        shop.log.committed = None
    elif what == "another meaning":
        changed = {"seen_ids": 7}
    away(monkeypatch, "read", "names", times=10**9)
    error: type[SmartInventoryError] = CheckpointsError
    assert "could not be asked" in shop.refusal(error, allow=allow, **changed)
    assert shop.restores() == {}


def test_an_unreadable_list_stops_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk refuses it refuses again."""

    def refuse(*_: object) -> None:
        raise UnreadableError("Permission denied")

    shop.log.committed = None
    monkeypatch.setattr(DirectoryStore, "names", refuse)
    assert "Permission denied" in shop.refusal(StateError)


def test_readiness_says_what_is_waited_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """`/readyz` names the store."""
    away(monkeypatch, "read", times=10**9)
    worker = shop.new_worker(shop.log, end=1_000, checkpoint_url=f"file:{shop.directory}")
    worker.begin()
    for _ in range(10):
        worker.step()
    ready, reason = worker._health.readiness()
    assert not ready
    assert f"waiting: the directory {shop.directory} cannot be asked" in reason

"""Killed in between: a state that nothing committed leads to holds only once its own checkpoint is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from consumer.errors import RebuildError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scripted import Shop


class Killed(BaseException):
    """The process ends here."""


SITUATIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "adopt": ({"seen_ids": 7, "allow": "adopt_state"}, {"seen_ids": 7}),
    "resume": ({"allow": "resume_after_output"}, {}),
    "gap": ({"on_gap": "accept"}, {"on_gap": "accept"}),
}


def in_situation(shop: Shop, situation: str) -> None:
    if situation == "resume":
        shop.lose_offsets()
    if situation == "gap":
        shop.spoil(40, 60)
        shop.log.first = 35
    shop.grow(80)


@pytest.mark.parametrize("situation", list(SITUATIONS))
@pytest.mark.parametrize("death", [Killed(), RebuildError("a time-out")], ids=["killed", "in doubt"])
@pytest.mark.parametrize("call", ["committed", "begin", "send_offsets", "commit", "start", "produce"])
def test_a_death_on_the_way_leaves_the_old_state_or_the_new(
    shop: Shop, tmp_path: Path, situation: str, death: BaseException, call: str
) -> None:
    """Wherever it dies, the same command leads to what it would have led to, and no output mixes the two."""
    first, later = SITUATIONS[situation]
    undisturbed = shop.twin(tmp_path / "twin")
    in_situation(undisturbed, situation)
    undisturbed.run(**first)
    in_situation(shop, situation)
    shop.log.fails[call] = [death]
    try:
        shop.run(**first)
    except Killed:
        shop.log.fails.clear()
        held = shop.log.committed is not None and bool(shop.log.committed.metadata)
        is_new = held and shop.reference().fingerprint == shop.worker._identity.fingerprint
        assert is_new or len(shop.log.outputs) == 60
        shop.run(**(later if is_new and situation == "adopt" else first))
    assert shop.log.outputs == undisturbed.log.outputs
    shop.grow(90)
    shop.run(**later)
    assert shop.restores() == {"checkpoint": 1}

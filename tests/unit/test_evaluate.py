"""`smart-inventory evaluate`: files read as the contract has them, baselines and scores as the documentation says."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from consumer.cli import app
from consumer.evaluate.baselines import BASELINES, Baselines
from consumer.evaluate.errors import HistoryError
from consumer.evaluate.history import History
from consumer.evaluate.run import evaluate
from consumer.evaluate.scoring import Scores
from consumer.outlook.horizons import HORIZONS, LEVELS
from schemas.transaction import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from schemas.transaction import Event

BERLIN = ZoneInfo("Europe/Berlin")
HEADER = "transaction_id,store_id,sku,quantity,occurred_at,transaction_type,new_stock_level"


def events_of(path: Path) -> tuple[list[Event], History]:
    with History(path, BERLIN, Limits()) as history:
        return [event for events in history for event in events], history


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_csv_and_a_parquet_file_hold_the_same_events(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
    rows = [
        ("1", "s", "a", -2.0, moment, "sale", 8.0),
        ("2", "7", "b", -0.25, moment, None, None),
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    parquet.write_table(pa.table(columns, names=HEADER.split(",")), tmp_path / "history.parquet")
    lines = [
        HEADER,
        "1,s,a,-2,2026-03-01T10:30:00+00:00,sale,8",
        "2,7,b,-0.25,2026-03-01T10:30:00+00:00,,",
    ]
    semicolons = [line.replace(",", ";") for line in lines]
    found = [
        events_of(path)[0]
        for path in (
            tmp_path / "history.parquet",
            write(tmp_path / "history.csv", *lines),
            write(tmp_path / "semicolons.csv", *semicolons),
        )
    ]
    assert found[0] == found[1] == found[2]
    assert [event.quantity_millionths for event in found[0]] == [-2_000_000, -250_000]
    assert [event.level_millionths for event in found[0]] == [8_000_000, None]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-07-01T10:00:00Z", "2026-07-01T10:00:00+00:00"),
        ("2026-07-01 10:00:00", "2026-07-01T10:00:00+02:00"),
        ("2026-01-01T10:00", "2026-01-01T10:00:00+01:00"),
        ("2026-07-01", "2026-07-01T12:00:00+02:00"),
        ("2026-07-01 10:00:00+05:00", "2026-07-01T10:00:00+05:00"),
    ],
)
def test_a_time_without_an_offset_is_the_shop_s(tmp_path: Path, text: str, meant: str) -> None:
    (event,), _ = events_of(write(tmp_path / "h.csv", HEADER, f"1,s,a,-1,{text},,"))
    assert datetime.fromisoformat(event.occurred_at) == datetime.fromisoformat(meant)


def test_lines_that_the_contract_does_not_take_are_counted_by_reason(tmp_path: Path) -> None:
    path = write(
        tmp_path / "h.csv",
        HEADER,
        "1,s,a,-1,2026-07-01,sale,",
        "2,s,a,1,2026-07-01,sale,",  # a sale that brings something
        "3,s,,-1,2026-07-01,sale,",
        "4,s,a,many,2026-07-01,sale,",
        "5,s,a,-1,yesterday,sale,",
        "6,s,a",
        "7,s,a,-1,2026-07-02,sale,",
    )
    events, history = events_of(path)
    assert [event.transaction_id for event in events] == ["1", "7"]
    assert history.rows == 7
    assert sum(history.refused.values()) == 5
    assert history.refused["columns"] == 1


def test_a_history_without_transaction_ids_has_no_repeats(tmp_path: Path) -> None:
    path = write(tmp_path / "h.csv", "store_id,sku,quantity,timestamp", *["s,a,-1,2026-07-01"] * 3)
    events, _ = events_of(path)
    assert len({event.transaction_id for event in events}) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"store,sku,quantity,occurred_at\n", "name store_id so"),
        (b"store_id,sku,quantity\n", "name occurred_at so"),
        (b"", "Empty CSV file"),
        (b"PAR1 and nothing more", "or Parquet"),
        (b"\xff\xfe\x00s", "UTF-8"),
    ],
)
def test_a_file_that_is_no_history_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "h.csv"
    path.write_bytes(content)
    with pytest.raises(HistoryError, match=said):
        events_of(path)


# Baselines, each as its formula says, in plain Python


def reference(name: str, days: Sequence[float], horizon: int) -> float:
    """A baseline's forecast for one item, alone in its shop, whose first day had demand."""
    if name == "naive":
        return sum(days[-horizon:])
    if name == "seasonal_naive":
        padded = [0.0] * 7 + list(days)
        return sum(padded[-7 + (ahead - 1) % 7] for ahead in range(1, horizon + 1))
    if name == "mean_28":
        recent = days[-28:]
        return horizon * sum(recent) / len(recent)
    if name.startswith("ses_") and not name.endswith("week"):
        rate = float(name[4:])
        weights = [(1 - rate) ** back for back in range(len(days))][::-1]
        return horizon * sum(map(float.__mul__, weights, days)) / sum(weights)
    if name == "tsb":
        p, z = 1.0, days[0]
        for y in days[1:]:
            p += 0.05 * ((y > 0) - p)
            z += 0.1 * (y - z) if y > 0 else 0.0
        return horizon * p * z
    if name == "sba":
        z, x, q = days[0], 1.0, 0
        for y in days[1:]:
            q += 1
            if y > 0:
                z, x, q = z + 0.1 * (y - z), x + 0.1 * (q - x), 0
        return horizon * 0.95 * z / x
    raise AssertionError(name)


def test_baselines_are_what_the_documentation_says() -> None:
    rng = np.random.default_rng(1)
    days = [3.0, *rng.poisson(0.8, 59).astype(float).tolist()]
    baselines = Baselines()
    baselines.grow(4)
    for day, demand in enumerate(days):
        found = baselines.close(np.array([2]), 900 + day, day % 7, np.array([demand]))
        for number, name in enumerate(BASELINES[:-1]):
            for at, horizon in enumerate(HORIZONS):
                wanted = reference(name, days[: day + 1], horizon)
                assert found[number, at, 0] == pytest.approx(wanted), (name, horizon, day)


def test_the_last_baseline_knows_the_week() -> None:
    baselines = Baselines()
    baselines.grow(50)
    for day in range(210):
        demand = np.full(50, 12.0 if day % 7 == 5 else 2.0)
        found = baselines.close(np.arange(50), day, day % 7, demand)
        if day > 180:
            assert found[-1, 0, 0] == pytest.approx(12.0 if (day + 1) % 7 == 5 else 2.0, rel=0.25)
    assert found[-1, 2, 0] == pytest.approx(24.0, rel=0.05)


# Scores, beside a plain computation


def test_scores_are_what_the_documentation_says() -> None:
    rng = np.random.default_rng(2)
    items, rounds = 12, 9
    scores = Scores(("ours", "theirs"))
    scores.grow(items)
    kept: list[tuple[NDArray[Any], ...]] = []
    for number in range(rounds):
        which = rng.permutation(items)[:8]
        outcomes = rng.poisson(3.0, 8).astype(float)
        naive = outcomes.copy() if number == 0 else rng.poisson(3.0, 8).astype(float)
        means = rng.gamma(3.0, 1.0, (2, 8))
        quantiles = np.sort(rng.gamma(3.0, 1.0, (len(LEVELS), 2, 8)), axis=0)
        pit = rng.random(8)
        scores.add(3, which, outcomes, means, quantiles, naive, pit, number // 4)
        kept.append((which, outcomes, means, quantiles, naive, pit))
    row = scores.table()[HORIZONS[3]]["theirs"]
    y = np.concatenate([each[1] for each in kept])
    f = np.concatenate([each[2][1] for each in kept])
    q = np.concatenate([each[3][:, 1] for each in kept], axis=1)
    which = np.concatenate([each[0] for each in kept])
    naive = np.concatenate([each[4] for each in kept])
    ratios = []
    for item in range(items):
        own = which == item
        scale = ((y - naive)[own] ** 2).sum()
        if scale > 0:
            ratios.append(math.sqrt(((y - f)[own] ** 2).sum() / scale))
    assert row["rmsse"] == pytest.approx(np.mean(ratios))
    assert row["items"] == len(ratios)
    assert row["bias"] == pytest.approx((f - y).sum() / y.sum())
    assert row["wape"] == pytest.approx(np.abs(y - q[2]).sum() / y.sum())
    assert row["forecasts"] == 72
    for number, level in enumerate(LEVELS):
        loss = np.where(y >= q[number], level * (y - q[number]), (1 - level) * (q[number] - y))
        assert row[f"pinball_{level}"] == pytest.approx(loss.mean())
    for percent, low, high, alpha in ((80, 1, 3, 0.2), (95, 0, 4, 0.05)):
        width = q[high] - q[low]
        outside = np.where(y < q[low], q[low] - y, 0) + np.where(y > q[high], y - q[high], 0)
        assert row[f"coverage_{percent}"] == pytest.approx(((y >= q[low]) & (y <= q[high])).mean())
        assert row[f"width_{percent}"] == pytest.approx(width.mean())
        assert row[f"interval_score_{percent}"] == pytest.approx((width + 2 / alpha * outside).mean())
    calibration = scores.calibration()[HORIZONS[3]]
    pit = np.concatenate([each[5] for each in kept])
    assert calibration["coverage_80"] == pytest.approx(((pit >= 0.1) & (pit <= 0.9)).mean())
    assert calibration["pit_deciles"] == pytest.approx(np.histogram(pit, 10, (0, 1))[0] / len(pit))
    assert set(scores.table()) == set(HORIZONS)
    assert scores.table()[1]["ours"]["rmsse"] is None
    over_time = scores.over_time([0, 1, 2])[HORIZONS[3]]["ours"]
    assert len(over_time) == 3
    assert all(value is not None and value > 0 for value in over_time)


# The command


def a_shop(days: int, *, seed: int = 3) -> Iterator[str]:
    rng = np.random.default_rng(seed)
    begin = datetime(2026, 1, 1, 9, tzinfo=BERLIN)
    means = rng.gamma(1.0, 3.0, (3, 8)) + 0.3
    yield "transaction_id,store_id,sku,quantity,occurred_at,transaction_type"
    for day in range(days):
        moment = (begin + timedelta(days=day)).isoformat()
        for store, sku in np.ndindex(means.shape):
            sold = rng.poisson(means[store, sku])
            if sold:
                yield f"{day}-{store}-{sku},{store},{sku},{-sold},{moment},sale"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("history") / "shop.csv", *a_shop(110))


def test_an_evaluation_is_whole_and_always_the_same(history: Path) -> None:
    one, two = (evaluate(history, BERLIN, Limits(), seen_ids=1000, warm_up_days=40) for _ in range(2))
    assert one.items == one.items_with_demand == 24
    assert one.origins == 71
    assert (one.first_day, one.last_day) == ("2026-01-01", "2026-04-20")
    assert one.scores[7]["outlook"]["forecasts"] == 24 * 64
    assert one.scores == two.scores
    assert one.calibration == two.calibration
    assert one.examples == two.examples
    assert one.methods[0] == "outlook"
    assert one.scores[7]["outlook"]["rmsse"] < 0.9  # type: ignore[operator]
    example = one.examples[0]
    assert len(example.days) == len(example.actual) == len(example.mean) == 71
    assert example.actual[-7:] == [None] * 7


def test_the_forecasts_of_a_file_give_the_same_scores(history: Path, tmp_path: Path) -> None:
    """Anyone may score them anew, from the file and the history alone."""
    forecasts, scores = tmp_path / "f.parquet", tmp_path / "s.json"
    ran = CliRunner().invoke(
        app,
        [
            "evaluate",
            str(history),
            "--warm-up",
            "40",
            "--timezone",
            "Europe/Berlin",
            "--forecasts",
            str(forecasts),
            "--json",
        ],
    )
    assert ran.exit_code == 0, ran.output
    scores = json.loads(ran.stdout)["scores"]
    table = parquet.read_table(forecasts).to_pandas()
    assert set(table["method"]) == {"outlook", *BASELINES}
    lines = [line.split(",") for line in history.read_text().splitlines()[1:]]
    sold: dict[tuple[str, str, Any], float] = {}
    for _, store, sku, quantity, moment, _ in lines:
        day = datetime.fromisoformat(moment).date()
        sold[store, sku, day] = sold.get((store, sku, day), 0.0) - float(quantity)
    last = max(day for _, _, day in sold)
    for method in ("outlook", "tsb"):
        errors: dict[tuple[str, str], list[float]] = {}
        chosen = table[(table["method"] == method) & (table["horizon"] == 7)]
        for row in chosen.itertuples():
            if row.origin + timedelta(days=7) > last:
                continue
            after = sum(sold.get((row.store_id, row.sku, row.origin + timedelta(days=d)), 0.0) for d in range(1, 8))
            before = sum(sold.get((row.store_id, row.sku, row.origin - timedelta(days=d)), 0.0) for d in range(7))
            sums = errors.setdefault((row.store_id, row.sku), [0.0, 0.0])
            sums[0] += (after - row.mean) ** 2
            sums[1] += (after - before) ** 2
        found = np.mean([math.sqrt(ours / naive) for ours, naive in errors.values() if naive > 0])
        assert found == pytest.approx(scores["7"][method]["rmsse"], rel=1e-4)


def test_the_command_says_what_it_found(history: Path) -> None:
    ran = CliRunner().invoke(app, ["evaluate", str(history), "--warm-up", "40", "--timezone", "Europe/Berlin"])
    assert ran.exit_code == 0, ran.output
    for word in ("outlook", "seasonal_naive", "RMSSE", "bias", "WAPE", "24 items with demand"):
        assert word in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--warm-up", "200"], 12, "expected more than the 200 days"),
        (["--timezone", "Mars/Olympus"], 2, "IANA time zone"),
    ],
)
def test_a_wrong_use_ends_in_a_sentence(history: Path, arguments: list[str], code: int, said: str) -> None:
    ran = CliRunner().invoke(app, ["evaluate", str(history), *arguments])
    assert ran.exit_code == code
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_file_of_nothing_but_refused_lines_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "h.csv", HEADER, "1,s,a,1,2026-07-01,sale,")
    ran = CliRunner().invoke(app, ["evaluate", str(path)])
    assert ran.exit_code == 12
    assert "none of its 1 rows" in ran.stderr

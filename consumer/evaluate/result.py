"""What an evaluation has found: the JSON that it writes, and what its report is drawn from."""

from __future__ import annotations

from typing import Any

import msgspec

Row = dict[str, float | int | None]


class Example(msgspec.Struct, frozen=True):
    """One item's forecasts over the history, for demand summed over the next `horizon` days.

    Attributes:
        volume: `low`, `middle`, `high` or `highest`, among the items at the end of the warm-up.
        days: the closed days, ISO dates.
        actual: demand over the days after each; None where the history ends before they do.
        mean: the outlook's forecast; likewise the bounds.
    """

    store_id: str
    sku: str
    volume: str
    horizon: int
    days: list[str]
    actual: list[float | None]
    mean: list[float]
    lower80: list[float]
    upper80: list[float]
    lower95: list[float]
    upper95: list[float]


class Evaluation(msgspec.Struct, frozen=True):
    """The whole.

    Attributes:
        file: its name.
        rows: lines that were read.
        refused: of them, by reason, those that the contract does not take.
        repeats: of them, those that were there already.
        items: pairs of store and sku.
        items_with_demand: of them, those that ever sold.
        items_without_level: of them, those whose stock is not known at the end.
        first_day: of the history, ISO date in the store's time zone; likewise the last.
        warm_up_days: days before the first forecast that is scored.
        origins: days from whose close forecasts are scored.
        seconds: that it took.
        versions: of what it depends on.
        methods: in the order of `scores`: ours is `outlook`, then the baselines.
        scores: `[horizon][method][metric]`, horizons in days.
        calibration: `[horizon]`: `coverage_80`, `by_volume` (five groups of items, lowest volume first),
            `pit_deciles` (ten shares that add to 1), `items_within_5_points`.
        periods: the first days of the periods of `over_time` and `weights`, ISO dates.
        over_time: `[horizon][method]`: RMSSE over all items together, a value each period, None where undefined.
        experts: whose weights follow.
        weights: `[horizon][expert]`: a value each period.
        examples: some items, from low to high volume.
    """

    file: str
    rows: int
    refused: dict[str, int]
    repeats: int
    items: int
    items_with_demand: int
    items_without_level: int
    first_day: str
    last_day: str
    warm_up_days: int
    origins: int
    seconds: float
    versions: dict[str, str]
    methods: list[str]
    scores: dict[int, dict[str, Row]]
    calibration: dict[int, dict[str, Any]]
    periods: list[str]
    over_time: dict[int, dict[str, list[float | None]]]
    experts: list[str]
    weights: dict[int, dict[str, list[float]]]
    examples: list[Example]

"""The shop of NAME=outlook-shock: what is true of it, and when an error counts as calm again."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.outlook.shock import (
    ARTICLES,
    CALM_DAYS,
    CHANGE,
    DAYS,
    FACTOR,
    LONG_RUN,
    NEW_ARTICLES,
    STORES,
    WITHIN,
    a_shop,
    days_until_calm,
)


def test_the_shop_changes_as_it_is_said() -> None:
    shop = a_shop(3)
    shocked, store, articles = shop.groups.values()
    assert (len(shocked), len(store), len(articles)) == (ARTICLES * STORES // 10, ARTICLES, NEW_ARTICLES * STORES)
    week = slice(CHANGE - 7, CHANGE), slice(CHANGE, CHANGE + 7)
    before, after = (shop.means[days].sum(axis=0) for days in week)
    assert after[shocked] == pytest.approx(FACTOR * before[shocked])
    for new in (store, articles):
        assert (before[new] == 0).all()
        assert (after[new] > 0).all()
    others = np.setdiff1d(np.arange(len(before)), np.concatenate([shocked, store, articles]))
    assert after[others] == pytest.approx(before[others])
    assert shop.demand.sum() == pytest.approx(shop.means.sum(), rel=0.01)
    assert shop.demand[:CHANGE][:, store].sum() == 0


@pytest.mark.parametrize("days", [0, 5, 40])
def test_an_error_is_calm_once_a_week_of_it_is_within_a_fifth_of_its_long_run_level(days: int) -> None:
    errors = np.full(DAYS, 1.0)
    errors[CHANGE : CHANGE + days] = 3.0
    found = days_until_calm(errors)
    # A week's mean is within reach from the day on which at most a tenth of the excess is left in it.
    assert days - 1 < found + (CALM_DAYS - 1) / CALM_DAYS <= days + 1 or found == days
    assert errors[found + CHANGE : found + CHANGE + CALM_DAYS].mean() <= WITHIN
    assert DAYS - CHANGE > LONG_RUN


def test_a_day_without_any_forecast_is_not_calm() -> None:
    errors = np.full(DAYS, 1.0)
    errors[CHANGE + 1] = np.nan
    assert days_until_calm(errors) == 2

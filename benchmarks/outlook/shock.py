"""A made-up shop that changes from one day on, and how long forecasts take until they are as good as they will be.

The shop's truth is known, so an error need not be drawn: of a day's demand with mean m and variance v, a forecast f has
the expected squared error v + (f - m)². Divided by v it is 1 where the mean is known, whatever the item sells. The shop
has no week: its rival knows none, so that its long-run level would be higher for that alone, and the sooner be reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from consumer.evaluate.baselines import BASELINES, Baselines
from consumer.outlook.outlook import Outlook
from schemas.transaction import MILLION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

STORES: Final = 4
ARTICLES: Final = 250
NEW_ARTICLES: Final = 50
CHANGE: Final = 180
"""The day from which on a tenth of the items sell three times as much, and a store and articles join."""
DAYS: Final = 480
LONG_RUN: Final = 120
"""The last days, over which an error's long-run level is taken."""
WITHIN: Final = 1.2
CALM_DAYS: Final = 7
"""An error is back once its mean over so many days from there on is within reach of its long-run level."""
SHAPE: Final = 3.0
"""Of the gamma variable by which a day's demand varies beyond Poisson's."""
FACTOR: Final = 3.0
RIVAL: Final = "ses_0.05"
_MONDAY: Final = 18_263 - 2  # 2019-12-30


class Shop(NamedTuple):
    """The truth, item by item.

    Attributes:
        means: of demand, 0 before an item is there; shape (days, items).
        demand: drawn from it.
        stores: of the items.
        articles: of the items.
        groups: of items that change or join, by what befalls them.
    """

    means: Floats
    demand: Floats
    stores: Numbers
    articles: Numbers
    groups: dict[str, Numbers]


def a_shop(seed: int) -> Shop:
    """Draw a shop: articles sell unlike one another, stores and their items about as their article."""
    rng = np.random.default_rng(seed)
    articles, stores = ARTICLES + NEW_ARTICLES, STORES + 1
    article, store = (grid.ravel() for grid in np.meshgrid(np.arange(articles), np.arange(stores), indexing="ij"))
    is_there = (article < ARTICLES) | (store < STORES)  # the new store begins with what the others have
    article, store = article[is_there], store[is_there]
    level = rng.gamma(0.8, 3.0, articles)[article] * rng.gamma(8.0, 1 / 8.0, stores)[store]
    level = np.maximum(level * rng.gamma(6.0, 1 / 6.0, len(level)), 0.1)
    is_new_store, is_new_article = store == STORES, article >= ARTICLES
    old = np.flatnonzero(~is_new_store & ~is_new_article)
    shocked = np.sort(rng.choice(old, len(old) // 10, replace=False))
    after = np.arange(DAYS)[:, None] >= CHANGE
    means = np.where(~after & (is_new_store | is_new_article), 0.0, level)
    means[CHANGE:, shocked] *= FACTOR
    demand = rng.poisson(means * rng.gamma(SHAPE, 1 / SHAPE, means.shape)).astype(float)
    groups = {
        f"demand x {FACTOR:g}": shocked,
        "a new store": np.flatnonzero(is_new_store),
        f"{NEW_ARTICLES * STORES} new items": np.flatnonzero(is_new_article),
    }
    return Shop(means, demand, store, article, groups)


def errors_of(shop: Shop) -> dict[str, dict[str, Floats]]:
    """Run the outlook and its rival over a shop; return by group and method the mean expected error of each day.

    Of items that were never sold there is no forecast; a day's mean is over the others, NaN without any.
    """
    outlook, baselines, rival = Outlook(), Baselines(), BASELINES.index(RIVAL)
    outlook.pools.grow(int(shop.stores.max()) + 1, int(shop.articles.max()) + 1)
    days, items = shop.demand.shape
    order = np.argsort(np.where((shop.demand > 0).any(axis=0), (shop.demand > 0).argmax(axis=0), days), kind="stable")
    known = np.cumsum(np.bincount((shop.demand > 0).argmax(axis=0), minlength=days))
    baselines.grow(items)
    found = {group: {method: np.full(days, np.nan) for method in ("outlook", RIVAL)} for group in shop.groups}
    for number in range(days - 1):
        which, day, today = order[: known[number]], _MONDAY + number, shop.demand[number]
        if len(which) > len(outlook.items):
            new = which[len(outlook.items) :]
            outlook.items.add(shop.stores[new], shop.articles[new], day - 1)
        none = np.zeros(len(which), np.int64)
        units = np.rint(today[which] * MILLION).astype(np.int64)
        outlook.take(np.arange(len(which)), none, units, none.astype(np.uint8))
        outlook.begin_close(day)
        closed = outlook.close(np.arange(len(which)), day)
        theirs = baselines.close(closed.items, day, number % 7, today[order[closed.items]])[rival, 0]
        mean = shop.means[number + 1]
        variance = mean + mean * mean / SHAPE
        for method, forecast in (("outlook", closed.means[0]), (RIVAL, theirs)):
            error = np.full(items, np.nan)
            there = order[closed.items]
            error[there] = 1.0 + (forecast - mean[there]) ** 2 / np.maximum(variance[there], 1e-9)
            for group, members in shop.groups.items():
                of_group = error[members]
                if not np.isnan(of_group).all() and (mean[members] > 0).all():
                    found[group][method][number + 1] = np.nanmean(of_group)
    return found


def days_until_calm(errors: Floats) -> int:
    """Return after how many days from the change an error is back within reach of its long-run level."""
    limit = WITHIN * np.nanmean(errors[-LONG_RUN:])
    for day in range(CHANGE, len(errors) - CALM_DAYS):
        ahead = errors[day : day + CALM_DAYS]
        if not np.isnan(ahead).any() and ahead.mean() <= limit:
            return day - CHANGE
    return len(errors) - CHANGE

"""What a demand forecast means for a shelf: how far it goes, when it is empty, what to order.

Formulas: docs/outlook.md. Pure, of all items at once, and to the byte on every processor: + - * / and comparisons,
element by element.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from consumer.outlook.calendar import weekday_of
from consumer.outlook.grid import bins_of
from consumer.outlook.horizons import HORIZONS, LONGEST, LOWER80, UPPER80
from consumer.outlook.intervals import FRACTIONAL
from consumer.outlook.outlook import COLD_DAYS
from consumer.outlook.pools import WEEK
from schemas.transaction import MILLION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumer.outlook.columns import Items
    from consumer.outlook.intervals import Tables
    from consumer.outlook.outlook import Closed, Outlook
    from consumer.outlook.policies import PolicyColumns

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

NEVER: Final = -1
"""In place of a number of days or of a day: not within the longest horizon, or not known."""
DEMAND_CLASSES: Final = ("smooth", "erratic", "intermittent", "lumpy")
_MOST_INTERVAL: Final = 1.32
_MOST_VARIATION: Final = 0.49
"""Where Syntetos, Boylan and Croston (2005) part the classes: mean days between demands, CV² of their sizes."""
_KNOTS: Final = (0, *HORIZONS)
_ROUNDING: Final = 1e-9
"""What sums over the week may be off by: a quantile half-way between 0 and 2 is 1, and not the least bit more."""


class Stock(NamedTuple):
    """What is said of the stock of some items at the end of a day, one column an item; NaN where a level is unknown.

    Attributes:
        items: their numbers.
        day: the closed day.
        on_hand: units, as given.
        projected: mean stock at the end of each horizon, below 0 by what is lacking; shape (horizons, items).
        projected_quantiles: of it, by LEVELS; shape (levels, horizons, items).
        stockout_probability: that the shelf is empty by the end of each horizon; shape (horizons, items).
        days_of_supply: the first day, counted from the closed one, by whose end mean demand exceeds what is on hand; 0
            where nothing is, NEVER if not within 28 days.
        stockout_day: the calendar's number of that day.
        stockout_earliest: likewise, if demand takes its upper bound at 80%.
        stockout_latest: likewise, the lower bound.
        safety_stock: the reorder point less mean demand over lead time and review period.
        reorder_point: the stock, on hand and on order, that lasts over lead time and review period as likely as the
            service level says; what it is ordered up to.
        order_quantity: what to order if nothing is on order, a multiple of the pack size.
        demand_class: index into DEMAND_CLASSES.
        observations: days since the first demand, that day included.
        is_cold_start: these are few.
        demand_censored: the shelf was empty on the closed day, so demand may have been hidden.
    """

    items: Numbers
    day: int
    on_hand: Floats
    projected: Floats
    projected_quantiles: Floats
    stockout_probability: Floats
    days_of_supply: Numbers
    stockout_day: Numbers
    stockout_earliest: Numbers
    stockout_latest: Numbers
    safety_stock: Floats
    reorder_point: Floats
    order_quantity: Floats
    demand_class: Numbers
    observations: Numbers
    is_cold_start: Flags
    demand_censored: Flags


def stock_of(outlook: Outlook, closed: Closed, on_hand: Floats, policies: PolicyColumns) -> Stock:
    """Return what a close means for the stock of its items.

    Args:
        outlook: that has just closed them; neither its pools nor its tables may have been folded since.
        closed: what it said.
        on_hand: their levels in units, NaN where one is unknown.
        policies: of these items.
    """
    items, tables, which, day = outlook.items, outlook.intervals.tables, closed.items, closed.day
    weeks = _weeks(outlook.pools.week[items.store[which]], weekday_of(day))
    means = np.concatenate([np.zeros((1, len(which))), np.maximum.accumulate(closed.means, axis=0)])
    is_known = ~np.isnan(on_hand)
    below = [
        tables.below(
            number, closed.classes, closed.means[number], closed.bins[number], np.where(is_known, on_hand, 0.0)
        )
        for number in range(len(HORIZONS))
    ]
    supply, latest, earliest = _days_of_supply(closed, means, weeks, on_hand)
    protection = policies.lead_time_days + policies.review_period_days
    reorder_point = _reorder_points(tables, closed, means, weeks, policies)
    observations = day - items.first[which].astype(np.int64) + 1
    return Stock(
        items=which,
        day=day,
        on_hand=on_hand,
        projected=on_hand - closed.means,
        projected_quantiles=on_hand - closed.quantiles[::-1],
        stockout_probability=np.where(is_known, 1.0 - np.stack(below), nan),
        days_of_supply=supply,
        stockout_day=np.where(supply == NEVER, NEVER, day + supply),
        stockout_earliest=np.where(earliest == NEVER, NEVER, day + earliest),
        stockout_latest=np.where(latest == NEVER, NEVER, day + latest),
        safety_stock=reorder_point - _mean_until(means, weeks, protection),
        reorder_point=reorder_point,
        order_quantity=order_quantities(reorder_point, on_hand, policies.pack_millionths),
        demand_class=_demand_classes(items, which),
        observations=observations,
        is_cold_start=observations <= COLD_DAYS,
        demand_censored=(items.censored[which] & np.uint32(1)).astype(np.bool_),
    )


def order_quantities(targets: Floats, positions: Floats, pack_millionths: Numbers) -> Floats:
    """Return the fewest packs that lift each position to its target, in units; 0 where it is there, NaN if unknown.

    Counted in whole millionths: a quotient of floats may lie just above a whole number, and be a pack too much.

    Args:
        targets: units.
        positions: units, on hand and on order; NaN where that is unknown.
        pack_millionths: the packs' sizes.
    """
    is_known = ~np.isnan(positions)
    gaps = _millionths(targets) - _millionths(np.where(is_known, positions, 0.0))
    packs = (np.maximum(gaps, 0) + pack_millionths - 1) // pack_millionths
    found: Floats = np.where(is_known, packs * pack_millionths / MILLION, nan)
    return found


def _millionths(units: Floats) -> Numbers:
    return np.rint(units * MILLION).astype(np.int64)


def _weeks(week: Floats, weekday: int) -> Floats:
    """Return the days after a day as multiples of the average one, added up; shape (LONGEST + 1, items), from 0.

    Args:
        week: each item's store's, shape (items, 7).
        weekday: of the closed day.
    """
    ahead = [(weekday + days) % WEEK for days in range(1, LONGEST + 1)]
    return np.concatenate([np.zeros((1, len(week))), np.cumsum(week[:, ahead].T, axis=0)])


def _days_of_supply(closed: Closed, means: Floats, weeks: Floats, on_hand: Floats) -> Numbers:
    """Return after how many days demand exceeds what is on hand: its mean, its lower and its upper bound at 80%.

    Within a horizon's days demand is spread as the store's week is. A bound on the mean's wrong side is held at it.
    """
    bounds = closed.quantiles[[LOWER80, UPPER80]]
    bounds = np.concatenate([np.zeros((2, 1, len(on_hand))), np.maximum.accumulate(bounds, axis=1)], axis=1)
    paths = np.stack([means, *bounds])
    lasts = np.zeros((3, len(on_hand)), np.int64)  # so many days
    reach = on_hand * (1.0 + _ROUNDING)
    for number in range(len(HORIZONS)):
        begin, end = _KNOTS[number], _KNOTS[number + 1]
        low, high = paths[:, number], paths[:, number + 1]
        for days in range(begin + 1, end):
            lasts += low + (high - low) * _share(weeks[days], weeks[begin], weeks[end]) <= reach
        lasts += high <= reach
    mean, lower, upper = lasts
    lasts = np.stack([mean, np.maximum(lower, mean), np.minimum(upper, mean)])
    found = np.where(lasts < LONGEST, lasts + 1, NEVER)
    found = np.where(on_hand <= 0.0, 0, found)
    return np.where(np.isnan(on_hand), NEVER, found)


def _share(at: Floats, begin: Floats, end: Floats) -> Floats:
    """Return how much of the way from one to the other is behind; where there is none, all of it."""
    found: Floats = np.where(end > begin, (at - begin) / np.where(end > begin, end - begin, 1.0), 1.0)
    return found


def _between(weeks: Floats, days: Numbers) -> tuple[Numbers, Floats]:
    """Return between which horizons a number of days lies, by the index of the later one, and how near to that one.

    Args:
        weeks: as of `_weeks`.
        days: of any shape whose last axis is that of the items.
    """
    later = np.searchsorted(np.array(HORIZONS), days)
    knots, columns = np.array(_KNOTS), np.arange(days.shape[-1])
    begin, end = knots[later], knots[later + 1]
    share = _share(weeks[days, columns], weeks[begin, columns], weeks[end, columns])
    return later, np.where(days == end, 1.0, share)


def _mean_until(means: Floats, weeks: Floats, days: Numbers) -> Floats:
    """Return mean demand over numbers of days, shaped as for `_between`."""
    later, share = _between(weeks, days)
    columns = np.arange(days.shape[-1])
    low, high = means[later, columns], means[later + 1, columns]
    found: Floats = np.where(share == 1.0, high, low + (high - low) * share)
    return found


def _reorder_points(tables: Tables, closed: Closed, means: Floats, weeks: Floats, policies: PolicyColumns) -> Floats:
    """Return the quantile of demand over lead time and review period at each item's service level.

    Of a number of days that is no horizon there is no table: it lies between what those of the horizons before and
    after say at the mean of these days. Since tables are of what happened, one of more days may say a little less; so
    each number of days takes at least what fewer days take.
    """
    days = policies.lead_time_days + policies.review_period_days
    whole = closed.classes != FRACTIONAL
    fewer = np.minimum(days, np.arange(1, int(days.max(initial=1)) + 1)[:, None])
    later, share = _between(weeks, fewer)
    mean = _mean_until(means, weeks, fewer)
    horizons = np.stack([np.maximum(later - 1, 0), later])
    low, high = tables.quantile_at(policies.service_level, horizons, closed.classes, mean, bins_of(mean))
    quantiles = np.where(share == 1.0, high, low + (high - low) * share).max(axis=0)
    # Up to the next whole unit, or millionth of one: less would serve less.
    found: Floats = np.where(whole, np.ceil(quantiles - _ROUNDING), np.ceil(quantiles * MILLION - _ROUNDING) / MILLION)
    return found


def _demand_classes(items: Items, which: Numbers) -> Numbers:
    """Return the class of each item, by how often it has demand and how much the sizes of that vary.

    The sizes' CV² follows from what is kept: demand with the chance p on a day, of sizes with the mean s, has the mean
    ps and the mean square ps²(CV² + 1), so that CV² = (its variance / its mean) / s + p - 1.
    """
    chance, size, errors = items.chance[which], items.size[which], items.errors[which]
    is_told = (errors[:, 1] > 0.0) & (size > 0.0)
    dispersion = errors[:, 0] / np.where(is_told, errors[:, 1], 1.0)
    variation = np.where(is_told, dispersion / np.where(is_told, size, 1.0) + chance - 1.0, 0.0)
    found: Numbers = 2 * (chance * _MOST_INTERVAL <= 1.0).astype(np.int64) + (variation >= _MOST_VARIATION)
    return found

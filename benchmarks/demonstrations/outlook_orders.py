"""Ordering by the outlook beside the textbook's reorder point, on a real year's demand: as much served, from less."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.progress import Progress

from benchmarks.figures import Figure
from benchmarks.outlook.orders import BEGIN, LEAD_TIME_DAYS, demand_of_sales, simulate, stock_at
from benchmarks.outlook.orders_plot import plot
from benchmarks.outlook.retail import retail_sales

if TYPE_CHECKING:
    from benchmarks.figures import Report
    from tests.kafka import Broker

NEEDS_BROKER: Final = False
SEED: Final = 0  # nothing is random
SERVICE_LEVEL: Final = 0.95
Z: Final = 1.645
"""What the textbook has for 95%: the normal distribution's quantile."""
SERVICE_LEVELS: Final = (0.8, 0.85, 0.9, 0.925, SERVICE_LEVEL, 0.97, 0.98, 0.99)
ZS: Final = (0.5, 1.0, 1.5, Z, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5)
PLOT: Final = Path("docs/images/outlook-orders.svg")


def demonstrate(report: Report, broker: Broker | None = None, directory: Path | None = None) -> None:  # noqa: ARG001 -- the pure core needs neither
    """Replenish all items of the year by both rules, over a sweep of each, and compare stocks at equal fill rate."""
    demand = demand_of_sales(retail_sales())
    days = len(demand.units)
    with Progress() as bars:
        bar = bars.add_task("the year's days", total=days)
        found = simulate(demand, SERVICE_LEVELS, ZS, lambda number: bars.update(bar, completed=number + 1))
    ours, means = found.ours, found.means
    fills, stocks = ours.fill_rates, ours.mean_stocks
    rivals = [stock_at(float(fill), means.fill_rates, means.mean_stocks) for fill in fills]
    at, textbook = SERVICE_LEVELS.index(SERVICE_LEVEL), ZS.index(Z)
    report.counts.update(
        items=demand.units.shape[1],
        days=days - BEGIN,
        lead_time_days=LEAD_TIME_DAYS,
        units_wanted=ours.wanted,
        outlook={
            level: {
                "fill_rate": fill,
                "mean_stock": stock,
                "service_level": service,
                "means_stock_at_equal_fill": rival,
            }
            for level, fill, stock, service, rival in zip(
                SERVICE_LEVELS, fills.tolist(), stocks.tolist(), ours.service_levels.tolist(), rivals, strict=True
            )
        },
        means_28={
            z: {"fill_rate": fill, "mean_stock": stock, "service_level": service}
            for z, fill, stock, service in zip(
                ZS, means.fill_rates.tolist(), means.mean_stocks.tolist(), means.service_levels.tolist(), strict=True
            )
        },
    )
    for what, shelves, number in (("outlook at 95%", ours, at), (f"28-day means, z = {Z}", means, textbook)):
        report.add(Figure(f"{what}: fill rate, %", 100 * float(shelves.fill_rates[number])))
        report.add(Figure(f"{what}: mean stock, units an item", float(shelves.mean_stocks[number])))
        report.add(Figure(f"{what}: periods that it lasted, %", 100 * float(shelves.service_levels[number])))
    title = f"{demand.units.shape[1]:,} items of a real year, lead time {LEAD_TIME_DAYS} days, ordered every evening"
    report.add(Figure("28-day means at the outlook's fill rate at 95%: mean stock", rivals[at]))
    saved = 1.0 - stocks / np.array(rivals)
    report.add(Figure("stock saved at equal fill rate, %", 100 * float(saved[at]), ">", 0))
    for level, share in zip(SERVICE_LEVELS, saved.tolist(), strict=True):
        if level != SERVICE_LEVEL:
            report.add(Figure(f"likewise with the outlook at {100 * level:g}%, %", 100 * share))
    if report.is_claimed:
        plot(
            PLOT,
            ours=(stocks, fills),
            means=(means.mean_stocks, means.fill_rates),
            levels=SERVICE_LEVELS,
            zs=ZS,
            point=(float(fills[at]), float(stocks[at]), rivals[at]),
            title=title,
        )

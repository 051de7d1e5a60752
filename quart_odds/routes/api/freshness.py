"""How old the prices in memory are: the report, and its metrics."""

import asyncio
from collections.abc import Mapping
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from quart import Blueprint, Response, request
from quart_schema import document_response

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.odds.delays import BOUNDS, ChangeDelays
from quart_odds.odds.freshness import Ages, BookmakerAges, no_ages
from quart_odds.odds.served import ServedOdds
from quart_odds.odds.views import JSON
from quart_odds.routes.api.cooperative_yield import CooperativeYield
from quart_odds.routes.api.encoded import Body
from quart_odds.routes.api.query import StartedQuery, upcoming
from quart_odds.routes.api.schemas.coverage import FreshnessReport
from quart_odds.services import services

AGE_BOUNDS = (5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Upper bounds of the ages in the metrics, in seconds."""

PlatformAges = Mapping[Platform, BookmakerAges]


def add_routes(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/api/freshness", view_func=freshness)


async def measured_ages(served: ServedOdds, *, kept_seconds: float = 0) -> PlatformAges:
    """Return the ages of all prices of upcoming events, measured now or at most `kept_seconds` ago.

    Measuring takes some 15 ms for 1,300 events; other tasks run in between.
    """
    now = utc_now()
    freshness = served.freshness
    if freshness.latest is not None and 0 <= (now - freshness.latest[0]).total_seconds() < kept_seconds:
        return freshness.latest[1]
    ages = no_ages()
    turn = CooperativeYield()
    freshness.forget_others()
    for event in upcoming(served.cache, StartedQuery(), now):
        freshness.add(ages, event, now)
        if turn.is_due:
            await asyncio.sleep(0)
    freshness.latest = now, ages
    return ages


@document_response(FreshnessReport)
async def freshness() -> Response:
    """Return how old the prices of upcoming events are, by bookmaker."""
    parts = services()
    ages = await measured_ages(parts.served)
    bookmakers = [
        {"bookmaker": each.value, "main": _figures(ages[each].main), "all": _figures(ages[each].all)}
        for each in parts.bookmakers()
    ]
    return Body.of({"bookmakers": bookmakers}).answer(request)


def _figures(ages: Ages) -> JSON:
    return {
        "p50_seconds": _rounded(ages.quantile(0.5)),
        "p95_seconds": _rounded(ages.quantile(0.95)),
        "oldest_seconds": _rounded(ages.oldest),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


class AgeMetrics(Collector):
    """The ages of prices at the moment of the scrape, and the delays of changes since the start."""

    def __init__(self, ages: PlatformAges, delays: ChangeDelays) -> None:
        self._ages = ages
        self._delays = delays

    def collect(self) -> list[Metric]:
        """Return both histograms."""
        age = HistogramMetricFamily(
            "quart_odds_main_price_age_seconds",
            "Age of the main markets' prices of upcoming events, now",
            labels=["bookmaker"],
        )
        for platform, each in self._ages.items():
            counts = each.main.at_most(AGE_BOUNDS)
            age.add_metric([platform.value], _buckets(AGE_BOUNDS, [*counts, each.main.total]), each.main.sum)
        told = HistogramMetricFamily(
            "quart_odds_change_told_seconds",
            "Time from a bookmaker's change of a price, by its own word, to the notice of it",
            labels=["bookmaker"],
        )
        for platform, delays in self._delays.by_platform.items():
            told.add_metric([platform.value], _buckets(BOUNDS, list(accumulate(delays.counts))), delays.sum_seconds)
        return [age, told]


def _buckets(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    """Return the buckets of a histogram. `counts` are cumulative, the last one is that of all."""
    return list(zip((*map(str, bounds), "+Inf"), map(float, counts), strict=True))

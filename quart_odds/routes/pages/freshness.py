"""How fresh the main prices are, for the head of the odds page."""

from collections.abc import Iterable
from dataclasses import dataclass

from quart_odds.domain.platforms import Platform
from quart_odds.routes.api.freshness import PlatformAges


@dataclass(frozen=True, slots=True)
class Freshness:
    """A bookmaker's main prices: half of them, and 95 % of them, were seen within so many seconds. None without any."""

    name: str
    half_seconds: float | None
    most_seconds: float | None


def freshness_of(ages: PlatformAges, platforms: Iterable[Platform]) -> list[Freshness]:
    """Return how fresh the main prices of these bookmakers are."""
    return [
        Freshness(platform.display_name, ages[platform].main.quantile(0.5), ages[platform].main.quantile(0.95))
        for platform in platforms
    ]

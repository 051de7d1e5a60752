"""Lookup and validation of the market, line and promotion that a request names."""

from typing import Annotated

from pydantic import Field

from quart_odds.domain.catalogue import CATALOGUE, Market
from quart_odds.domain.promotions import KNOWN
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.history import market_keys
from quart_odds.odds.offers import promotion_word
from quart_odds.routes.access.problems import Problem, bad_request

Promotion = Annotated[
    str | None,
    Field(
        max_length=64,
        description="one_up, two_up, boosted or the bookmaker's own word: only prices of this promotion; "
        "default: the market's own prices",
    ),
]
Line = Annotated[float | None, Field(allow_inf_nan=False, description="required for a market that has lines")]


def known_market(name: str) -> Market | None:
    """Return the market with this id or slug, None if there is none."""
    return CATALOGUE.by_id.get(name) or CATALOGUE.by_slug.get(name)


def find_market(name: str) -> Market:
    """Return the market with this id or slug. Raises a 404."""
    market = known_market(name)
    if market is None:
        raise Problem(404, "No such market", f"there is no market {name!r}")
    return market


def keys_of(market: Market, line: float | None) -> dict[int, int]:
    """Return the outcome index of each plain key of a market and line. Raises a 400 unless the line fits the market."""
    if market.has_line and line is None:
        raise bad_request(
            f"{market.name} has lines: name one.", ("line", "give the total or the handicap, such as 2.5")
        )
    if not market.has_line and line is not None:
        raise bad_request(f"{market.name} has no lines.", ("line", "leave it out"))
    try:
        return market_keys(market, line)
    except ValueError as error:
        raise bad_request("The line is not valid.", ("line", str(error))) from None


def check_promotion(event: CachedEvent, promotion: str | None) -> None:
    """Raise a 400 for a promotion that the event does not have; it lists those that a request may name."""
    if promotion is None or promotion in KNOWN[1:]:
        return
    own = {
        word
        for event_odds in event.odds.values()
        for key in event_odds.promoted_keys
        if (word := promotion_word(event_odds, key)) is not None
    }
    if promotion not in own:
        # Those that mean the same everywhere, then the event's own.
        known = [*KNOWN[1:], *sorted(own - set(KNOWN))]
        raise bad_request(
            "There is no such promotion.",
            ("promotion", f"{promotion!r} is none of {', '.join(known)}; left out, it is the market's own prices"),
        )

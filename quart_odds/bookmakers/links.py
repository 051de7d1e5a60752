"""The addresses of events at the bookmakers, for people who want to see them there."""

from collections.abc import Mapping
from functools import lru_cache

from quart_odds.bookmakers import bet9ja, betpawa, sportybet
from quart_odds.bookmakers.site import EventPage
from quart_odds.domain.platforms import Platform

_PAGES: Mapping[Platform, EventPage | None] = {
    Platform.BETPAWA: betpawa.EVENT_PAGE,
    Platform.SPORTYBET: sportybet.EVENT_PAGE,
    Platform.BET9JA: bet9ja.EVENT_PAGE,
}


@lru_cache(maxsize=16_384)
def event_url(platform: Platform, external_id: str) -> str | None:
    """Return the address of an event at a bookmaker's own site, whatever address it is scraped from.

    None if the address cannot be known from the bookmaker's id of the event, or if that is not one of the site's ids.
    """
    page = _PAGES[platform]
    return None if page is None else page.url(external_id)

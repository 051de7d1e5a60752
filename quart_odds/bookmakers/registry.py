"""The sites of the installed bookmakers, and the addresses of events there for people."""

from functools import cache, lru_cache
from typing import cast

from quart_odds.bookmakers.site import Site
from quart_odds.domain.bookmakers import installed
from quart_odds.domain.platforms import Platform


@cache
def site_of(platform: Platform) -> Site:
    """Return the site of a bookmaker. Raises KeyError if it is not installed."""
    return cast(Site, installed()[platform].module.SITE)


@lru_cache(maxsize=16_384)
def event_url(platform: Platform, external_id: str) -> str | None:
    """Return the address of an event at a bookmaker's own site, whatever address it is scraped from.

    None if the address cannot be known from the bookmaker's id of the event, if that is not one of the site's ids, or
    if the bookmaker is not installed.
    """
    page = site_of(platform).event_page if platform in installed() else None
    return None if page is None else page.url(external_id)

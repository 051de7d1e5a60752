"""Lists of events from bytes, parsed by each bookmaker's own parser."""

from quart_odds.bookmakers import bet9ja, betpawa, sportybet
from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.lists import RawList, read_page
from quart_odds.bookmakers.registry import site_of
from quart_odds.bookmakers.site import Page
from quart_odds.domain.odds import ListedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError

Listed = tuple[list[ListedEvent], list[MalformedBodyError]]


def betpawa_list(plain: bytes, where: str, list_name: str = "") -> tuple[*Listed, int]:
    """Parse a page of BetPawa's events. The last value is the number of its entries."""
    return betpawa.parse_listed(read_object(betpawa.BETPAWA, plain, where), where, list_name)


def sportybet_list(plain: bytes, where: str, list_name: str = "") -> Listed:
    """Parse a list of SportyBet's events."""
    return sportybet.parse_listed(read_object(sportybet.SPORTYBET, plain, where), where, list_name)


def bet9ja_list(plain: bytes, where: str, list_name: str = "") -> Listed:
    """Parse a list of Bet9ja's events."""
    return bet9ja.parse_listed(read_object(bet9ja.BET9JA, plain, where), where, list_name)


def listed_by(platform: Platform, plain: bytes) -> Page:
    """Parse a page of the first list of a bookmaker whose root is such a page."""
    site = site_of(platform)
    [listing, *_], _ = site.listings(plain)
    return read_page(RawList(platform, plain, None, listing.request.where, listing))

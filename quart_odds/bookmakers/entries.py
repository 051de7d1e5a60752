"""What the sites have in common: the entries of their lists, as they were sent."""

from typing import Any

from quart_odds.bookmakers.fields import values
from quart_odds.bookmakers.site import Listing
from quart_odds.domain.odds import Competition
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, IncompleteListError

MAX_ID_LENGTH = 100
"""Maximum length of a bookmaker's id of an event or a competition."""


def list_name_of(competition: Competition) -> str:
    """Return the name of a competition's list of events, for people."""
    return f"{competition.country}, {competition.name}"


def entries(holders: Any, inner: str) -> list[dict[str, Any]]:
    """Return the raw entries of lists of events, including those that are skipped or invalid."""
    return [
        event
        for holder in values([holders] if isinstance(holders, dict) else holders)
        for event in values(holder.get(inner) if isinstance(holder, dict) else None)
        if isinstance(event, dict)
    ]


def entry_id(event: dict[str, Any], field: str) -> str:
    """Return an entry's id as text. Truncated, because the ids are kept until the next page."""
    found = event.get(field)
    return str(found)[:MAX_ID_LENGTH] if isinstance(found, str | int) else ""


def shortage(platform: Platform, listing: Listing, listed: int) -> list[BookmakerError]:
    """Report a list that has fewer events than the site's own tree announces."""
    if listing.expected is None or listed >= listing.expected:
        return []
    reason = f"{listed} of {listing.expected} events were listed"
    return [IncompleteListError(platform, reason, where=listing.name)]

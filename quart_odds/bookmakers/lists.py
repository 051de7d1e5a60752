"""Lists of competitions and events as they come from a bookmaker: read in the decoding process, within limits.

What is beyond a limit is left out and told by a ListLimitError, so that the list counts as incomplete.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from quart_odds.bookmakers.bodies import MAX_BODY_BYTES, decompress
from quart_odds.bookmakers.sites import SITES, Listing, Listings, Page
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, ListLimitError, MalformedBodyError

MAX_LISTINGS = 2_000
"""Lists of events at one bookmaker: a real one has about 400 competitions."""

MAX_PAGE_EVENTS = 1_000
"""Events on one page: the largest competitions have some 200 at once."""

MAX_ERRORS = 100
"""Faults of one list that are told one by one; of the others only their number is told."""

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class RawList:
    """A list's body as it was received, still compressed. `listing` is what was asked for, None for the root.

    `max_bytes` bounds what it may decompress to.
    """

    platform: Platform
    content: bytes
    content_encoding: str | None
    where: str
    listing: Listing | None = None
    max_bytes: int = MAX_BODY_BYTES


def read_root(raw: RawList) -> Listings:
    """The lists that a root names: see `Site.listings`. Pure. Raises BookmakerError where there is no root."""
    listings, errors = SITES[raw.platform].listings(_plain(raw))
    kept, limit = _within(listings, MAX_LISTINGS, "lists of events", raw)
    return kept, [*limit, *_told(errors, raw)]


def read_page(raw: RawList) -> Page:
    """A page of a list: see `Site.read_listing`. Pure. Raises BookmakerError where it is no list."""
    assert raw.listing is not None
    headers, errors, following = SITES[raw.platform].read_listing(_plain(raw), raw.listing)
    kept, limit = _within(headers, MAX_PAGE_EVENTS, "events on a page", raw)
    return kept, [*limit, *_told(errors, raw)], None if limit else following


def _plain(raw: RawList) -> bytes:
    return decompress(raw.platform, raw.content, raw.content_encoding, raw.max_bytes, raw.where)


def _within(
    entries: Sequence[Entry], most: int, what: str, raw: RawList
) -> tuple[Sequence[Entry], list[BookmakerError]]:
    if len(entries) <= most:
        return entries, []
    return entries[:most], [ListLimitError(raw.platform, f"{len(entries)} {what}, more than {most}", where=raw.where)]


def _told(errors: Sequence[BookmakerError], raw: RawList) -> list[BookmakerError]:
    kept = [error.bare() for error in errors[:MAX_ERRORS]]
    if more := len(errors) - len(kept):
        kept.append(MalformedBodyError(raw.platform, f"{more} more faults", where=raw.where))
    return kept

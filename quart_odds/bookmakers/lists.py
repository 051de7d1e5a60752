"""Lists of competitions and events as they arrive from a bookmaker: parsed in the decoding process, with limits.

Entries beyond a limit are left out and reported as a ListLimitError, which marks the list as incomplete.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from quart_odds.bookmakers.bodies import MAX_BODY_BYTES, decompress
from quart_odds.bookmakers.registry import site_of
from quart_odds.bookmakers.site import Listing, Listings, Page
from quart_odds.domain.odds import ListedEvent
from quart_odds.domain.pickling import pickled_by_fields
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, ListLimitError, MalformedBodyError

MAX_LISTINGS = 2_000
"""Lists of events at one bookmaker. A real one has about 400 competitions."""

MAX_PAGE_EVENTS = 1_000
"""Events on one page. The largest competitions have about 200 at once."""

MAX_PAGE_PRICES = 50_000
"""Prices on one page. A real page of a hundred events has about 5,000."""

MAX_ERRORS = 100
"""Errors reported individually for one list. Further errors are only counted."""

Entry = TypeVar("Entry")


@pickled_by_fields
@dataclass(frozen=True, slots=True)
class RawList:
    """A list's body as received, still compressed. `listing` is what was requested, None for the root.

    `max_bytes` limits the decompressed size. `fetched_at` is when the answer arrived, None if that is not known.
    """

    platform: Platform
    content: bytes
    content_encoding: str | None
    where: str
    listing: Listing | None = None
    max_bytes: int = MAX_BODY_BYTES
    fetched_at: datetime | None = None


def read_root(raw: RawList) -> Listings:
    """Parse the list of competitions, see `Site.listings`. No side effects. Raises BookmakerError if there is none."""
    listings, errors = site_of(raw.platform).listings(_plain(raw))
    kept, limit = _within(listings, MAX_LISTINGS, "lists of events", raw)
    return kept, [*limit, *_reported(errors, raw)]


def read_page(raw: RawList) -> Page:
    """Parse a page of events, see `Site.read_listing`. No side effects. Raises BookmakerError if it is not a list."""
    assert raw.listing is not None
    page = site_of(raw.platform).read_listing(_plain(raw), raw.listing)
    events, limit = _within(page.events, MAX_PAGE_EVENTS, "events on a page", raw)
    ids, more_ids = _within(tuple(page.ids), MAX_PAGE_EVENTS, "entries on a page", raw)
    events, more_prices = _affordable(events, raw)
    limits = [*limit, *more_ids, *more_prices]
    errors = [*limits, *_reported(page.errors, raw)]
    events = [dated(event, raw.fetched_at) for event in events]
    return Page(events, errors, None if limits else page.following, frozenset(ids), page.total)


def _plain(raw: RawList) -> bytes:
    return decompress(raw.platform, raw.content, raw.content_encoding, raw.max_bytes, raw.where)


def _within(
    entries: Sequence[Entry], most: int, what: str, raw: RawList
) -> tuple[Sequence[Entry], list[BookmakerError]]:
    if len(entries) <= most:
        return entries, []
    return entries[:most], [ListLimitError(raw.platform, f"{len(entries)} {what}, more than {most}", where=raw.where)]


def _affordable(events: Sequence[ListedEvent], raw: RawList) -> tuple[Sequence[ListedEvent], list[BookmakerError]]:
    """Take the prices away from the events that would bring the page over its limit."""
    prices = 0
    kept: list[ListedEvent] = []
    for event in events:
        prices += len(event.odds.prices) if event.odds is not None else 0
        kept.append(replace(event, odds=None) if prices > MAX_PAGE_PRICES else event)
    if prices <= MAX_PAGE_PRICES:
        return events, []
    reason = f"{prices} prices on a page, more than {MAX_PAGE_PRICES}"
    return kept, [ListLimitError(raw.platform, reason, where=raw.where)]


def dated(event: ListedEvent, fetched_at: datetime | None) -> ListedEvent:
    """Return the event with the time at which its list arrived."""
    odds = event.odds and replace(event.odds, fetched_at=fetched_at)
    return replace(event, odds=odds, fetched_at=fetched_at)


def _reported(errors: Sequence[BookmakerError], raw: RawList) -> list[BookmakerError]:
    kept = [error.bare() for error in errors[:MAX_ERRORS]]
    if more := len(errors) - len(kept):
        kept.append(MalformedBodyError(raw.platform, f"{more} more faults", where=raw.where))
    return kept

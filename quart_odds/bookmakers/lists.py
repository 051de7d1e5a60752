"""Lists of competitions and events as they arrive from a bookmaker: parsed in the decoding process, with limits.

Entries beyond a limit are left out and reported as a ListLimitError, which marks the list as incomplete.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from quart_odds.bookmakers.bodies import MAX_BODY_BYTES, decompress
from quart_odds.bookmakers.sites import SITES, Listing, Listings, Page
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, ListLimitError, MalformedBodyError

MAX_LISTINGS = 2_000
"""Lists of events at one bookmaker. A real one has about 400 competitions."""

MAX_PAGE_EVENTS = 1_000
"""Events on one page. The largest competitions have about 200 at once."""

MAX_ERRORS = 100
"""Errors reported individually for one list. Further errors are only counted."""

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class RawList:
    """A list's body as received, still compressed. `listing` is what was requested, None for the root.

    `max_bytes` limits the decompressed size.
    """

    platform: Platform
    content: bytes
    content_encoding: str | None
    where: str
    listing: Listing | None = None
    max_bytes: int = MAX_BODY_BYTES


def read_root(raw: RawList) -> Listings:
    """Parse the list of competitions, see `Site.listings`. No side effects. Raises BookmakerError if there is none."""
    listings, errors = SITES[raw.platform].listings(_plain(raw))
    kept, limit = _within(listings, MAX_LISTINGS, "lists of events", raw)
    return kept, [*limit, *_reported(errors, raw)]


def read_page(raw: RawList) -> Page:
    """Parse a page of events, see `Site.read_listing`. No side effects. Raises BookmakerError if it is not a list."""
    assert raw.listing is not None
    headers, errors, following = SITES[raw.platform].read_listing(_plain(raw), raw.listing)
    kept, limit = _within(headers, MAX_PAGE_EVENTS, "events on a page", raw)
    return kept, [*limit, *_reported(errors, raw)], None if limit else following


def _plain(raw: RawList) -> bytes:
    return decompress(raw.platform, raw.content, raw.content_encoding, raw.max_bytes, raw.where)


def _within(
    entries: Sequence[Entry], most: int, what: str, raw: RawList
) -> tuple[Sequence[Entry], list[BookmakerError]]:
    if len(entries) <= most:
        return entries, []
    return entries[:most], [ListLimitError(raw.platform, f"{len(entries)} {what}, more than {most}", where=raw.where)]


def _reported(errors: Sequence[BookmakerError], raw: RawList) -> list[BookmakerError]:
    kept = [error.bare() for error in errors[:MAX_ERRORS]]
    if more := len(errors) - len(kept):
        kept.append(MalformedBodyError(raw.platform, f"{more} more faults", where=raw.where))
    return kept

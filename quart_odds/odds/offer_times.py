"""When lists had the prices of event odds, and when the bookmaker changed them, by market and line.

A market and line is named by its offer code (`catalogue.offer_code`). Nothing here is ever modified, so a writer may
keep references.
"""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from quart_odds.domain.catalogue import FIRST_PROMOTED_KEY, market_number_of, offer_code

MAX_LISTS = 16
"""How many lists one event's odds remember. The prices of older ones count as last seen in the event's own body."""

MAX_SOURCE_TIMES = 4_096
"""How many times of a bookmaker one event's odds remember, the latest ones. An event has some 200 markets and lines."""

MAX_SOURCE_MS = 253_402_300_799_999
"""The last millisecond of the year 9999. No datetime is later."""

_SETS_SHARED = 4_096


@dataclass(frozen=True, slots=True)
class ListedOffers:
    """The offer codes that a list had and no later fetch did, and when.

    `digest` is that of the list's prices while they are the current ones, otherwise empty.
    """

    seen_at: datetime
    codes: frozenset[int]
    digest: bytes = b""


Listed = tuple[ListedOffers, ...]
"""What lists had since the last fetch of the event's own body, oldest first. No two have a code in common."""


def relisted(listed: Listed, codes: frozenset[int], seen_at: datetime, digest: bytes) -> Listed:
    """Return `listed` with another list, which has these codes, and later than those in `listed` that have any."""
    newest = ListedOffers(seen_at, codes, digest)
    if not listed or (len(listed) == 1 and listed[0].codes == codes):
        return (newest,)
    older = (
        each if each.codes.isdisjoint(codes) else ListedOffers(each.seen_at, shared(each.codes - codes))
        for each in listed
    )
    every = [*(each for each in older if each.codes), newest]
    if seen_at < listed[-1].seen_at:
        every.sort(key=lambda each: each.seen_at)
    return tuple(every[-MAX_LISTS:])


def codes_after(listed: Listed, seen_at: datetime) -> frozenset[int]:
    """Return the offer codes that lists had later than at `seen_at`."""
    if not listed or listed[-1].seen_at <= seen_at:
        return frozenset()
    return frozenset[int]().union(*(each.codes for each in listed if each.seen_at > seen_at))


def offer_codes(keys: "array[int]") -> frozenset[int]:
    """Return the offer codes of these price keys. The most frequent sets are kept and shared between events."""
    return _codes(keys.tobytes())


@lru_cache(maxsize=_SETS_SHARED)
def _codes(column: bytes) -> frozenset[int]:
    keys = array("I")
    keys.frombytes(column)
    return shared(frozenset(map(offer_code, keys)))


@lru_cache(maxsize=_SETS_SHARED)
def shared(codes: frozenset[int]) -> frozenset[int]:
    """Return an equal set that many events share."""
    return codes


def places_of(keys: Sequence[int], codes: Collection[int]) -> list[int]:
    """Return the positions of all prices of these markets and lines in an ascending column of keys.

    Takes 10 µs for the main markets in 400 prices: only their part of the column is read, and the promoted prices.
    """
    places: list[int] = []
    parts = [(number << 22, number + 1 << 22) for number in sorted({market_number_of(code) for code in codes})]
    for first, end in (*parts, (FIRST_PROMOTED_KEY, FIRST_PROMOTED_KEY << 1)):
        start = bisect_left(keys, first)
        places += [place for place in range(start, bisect_left(keys, end, start)) if offer_code(keys[place]) in codes]
    return places


@dataclass(frozen=True, slots=True)
class SourceTimes:
    """When the bookmaker changed a market and line, as it says itself: epoch milliseconds by ascending offer code."""

    codes: "array[int]" = field(default_factory=lambda: array("I"))
    times: "array[int]" = field(default_factory=lambda: array("Q"))

    @classmethod
    def of(cls, times: Mapping[int, int]) -> "SourceTimes":
        """Return these times, without those that no datetime can have."""
        if not times:
            return NO_SOURCE_TIMES
        kept = sorted((code, at) for code, at in times.items() if 0 < at <= MAX_SOURCE_MS)
        if len(kept) > MAX_SOURCE_TIMES:
            kept = sorted(sorted(kept, key=lambda each: each[1])[-MAX_SOURCE_TIMES:])
        return cls(array("I", [code for code, _ in kept]), array("Q", [at for _, at in kept]))

    def get(self, code: int) -> int | None:
        """Return the time of a market and line, None if the bookmaker did not say it."""
        place = bisect_left(self.codes, code)
        return self.times[place] if place < len(self.codes) and self.codes[place] == code else None

    def newest(self, codes: Iterable[int]) -> datetime | None:
        """Return the newest time of these markets and lines, None if the bookmaker did not say any."""
        at = max((self.get(code) or 0 for code in codes), default=0)
        return datetime.fromtimestamp(at // 1000, UTC).replace(microsecond=at % 1000 * 1000) if at else None

    def only(self, codes: Collection[int]) -> "SourceTimes":
        """Return the times of these markets and lines alone."""
        if not self.codes:
            return self
        return SourceTimes.of({code: at for code in codes if (at := self.get(code)) is not None})

    def updated(self, times: Mapping[int, int]) -> "SourceTimes":
        """Return the times with these in place of their former ones. All others stay."""
        if all(self.get(code) == at for code, at in times.items()):
            return self
        return SourceTimes.of({**dict(zip(self.codes, self.times, strict=True)), **times})

    def renewed(self, times: Mapping[int, int], kept: Collection[int]) -> "SourceTimes":
        """Return these times in place of all others but those of the `kept` codes, which stay."""
        if not kept:
            return SourceTimes.of(times)
        other = {code: at for code, at in times.items() if code not in kept}
        return SourceTimes.of(
            other | {code: at for code, at in zip(self.codes, self.times, strict=True) if code in kept}
        )


NO_SOURCE_TIMES = SourceTimes()

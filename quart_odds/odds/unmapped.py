"""Counts the markets that bookmakers offer and the catalogue does not have, by the number of current events."""

from array import array

from quart_odds.domain.odds import MappedEvent, UnmappedMarket
from quart_odds.domain.platforms import Platform

MAX_KINDS = 10_000
"""Maximum number of kinds of unknown markets of one bookmaker; there are about 400 at all bookmakers together.

All bookmakers together stay below 65,536, so that a kind is a two-byte number.
"""


class UnmappedMarkets:
    """The unknown markets in the newest fetch of all event odds, as small numbers: two bytes a market.

    The number of a kind that is no longer offered is used again, so a bookmaker that makes up ids for a while does not
    use up the numbers.
    """

    def __init__(self) -> None:
        self._kinds: dict[int, tuple[Platform, UnmappedMarket]] = {}
        self._numbers: dict[Platform, dict[str, int]] = {platform: {} for platform in Platform}
        self._counts: dict[int, int] = {}
        self._free: list[int] = []
        self._by_odds_id: dict[int, array[int]] = {}

    def note(self, odds_id: int, mapped: MappedEvent) -> None:
        """Replace the unknown markets of event odds with those of a new fetch."""
        platform = mapped.header.platform
        former = self._by_odds_id.pop(odds_id, None)
        numbers = {self._number(platform, market) for market in mapped.unmapped} - {None}
        kept = array("H", [number for number in numbers if number is not None])
        for number in kept:
            self._counts[number] = self._counts.get(number, 0) + 1
        if kept:
            self._by_odds_id[odds_id] = kept
        self._drop(former)

    def forget(self, odds_id: int) -> None:
        """Forget event odds."""
        self._drop(self._by_odds_id.pop(odds_id, None))

    def counts(self) -> list[tuple[Platform, UnmappedMarket, int]]:
        """Return each unknown market with its number of events, the most frequent first."""
        ordered = sorted(self._counts.items(), key=lambda each: -each[1])
        return [(*self._kinds[number], count) for number, count in ordered]

    def _drop(self, numbers: "array[int] | None") -> None:
        for number in numbers or ():
            self._counts[number] -= 1
            if not self._counts[number]:
                del self._counts[number]
                platform, market = self._kinds.pop(number)
                del self._numbers[platform][market.market_id]
                self._free.append(number)

    def _number(self, platform: Platform, market: UnmappedMarket) -> int | None:
        """Return the number of a kind. A new kind gets the next free number, or None if there are too many."""
        known = self._numbers[platform]
        number = known.get(market.market_id)
        if number is None and len(known) < MAX_KINDS:
            number = known[market.market_id] = self._free.pop() if self._free else len(self._kinds)
            self._kinds[number] = platform, market
        return number

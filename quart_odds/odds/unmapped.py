"""Counts the markets that bookmakers offer and the catalogue does not have, by the number of current events."""

from array import array
from collections import Counter

from quart_odds.domain.odds import MappedEvent, UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.odds.matching import PLATFORM_ORDER
from quart_odds.odds.states import UnmappedState

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
        numbers = dict.fromkeys(self._number(platform, market) for market in mapped.unmapped)
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
        """Return each unknown market with its number of events, the most frequent first, then by bookmaker and id."""
        found = [(*self._kinds[number], count) for number, count in self._counts.items()]
        return sorted(found, key=lambda each: (-each[2], PLATFORM_ORDER[each[0]], each[1].market_id))

    def state(self) -> UnmappedState:
        """Return all of them, in values that are not modified."""
        return UnmappedState(dict(self._kinds), dict(self._by_odds_id))

    def adopt(self, state: UnmappedState) -> None:
        """Replace all of them."""
        self._kinds = dict(state.kinds)
        self._by_odds_id = dict(state.by_odds_id)
        self._counts = dict(Counter(number for numbers in self._by_odds_id.values() for number in numbers))
        self._numbers = {platform: {} for platform in Platform}
        for number, (platform, market) in self._kinds.items():
            self._numbers[platform][market.market_id] = number
        self._free = sorted(set(range(max(self._kinds, default=-1) + 1)).difference(self._kinds))

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

"""What bookmakers offer and the catalogue does not know: which markets, at how many current events."""

from array import array
from collections import Counter

from quart_odds.domain.odds import MappedEvent, UnmappedMarket
from quart_odds.domain.platforms import Platform

MAX_KINDS = 65_535
"""Kinds of unknown markets that are told apart, over all bookmakers; there are about 400."""


class UnmappedMarkets:
    """For each quote the unknown markets of its newest fetch, as small numbers: two bytes a market."""

    def __init__(self) -> None:
        self._kinds: list[tuple[Platform, UnmappedMarket]] = []
        self._numbers: dict[tuple[Platform, str], int] = {}
        self._by_quote: dict[int, array[int]] = {}

    def note(self, quote_id: int, mapped: MappedEvent) -> None:
        """Takes the unknown markets of a fetch in place of the former ones."""
        platform = mapped.header.platform
        numbers = {self._number(platform, market) for market in mapped.unmapped} - {None}
        if numbers:
            self._by_quote[quote_id] = array("H", [number for number in numbers if number is not None])
        else:
            self._by_quote.pop(quote_id, None)

    def forget(self, quote_id: int) -> None:
        """Drops a quote."""
        self._by_quote.pop(quote_id, None)

    def counts(self) -> list[tuple[Platform, UnmappedMarket, int]]:
        """Each unknown market with its number of events, the most frequent first."""
        counter: Counter[int] = Counter()
        for numbers in self._by_quote.values():
            counter.update(numbers)
        return [(*self._kinds[number], count) for number, count in counter.most_common()]

    def _number(self, platform: Platform, market: UnmappedMarket) -> int | None:
        key = (platform, market.market_id)
        number = self._numbers.get(key)
        if number is None and len(self._kinds) < MAX_KINDS:
            number = self._numbers[key] = len(self._kinds)
            self._kinds.append((platform, market))
        return number

"""The prices of one event at one bookmaker, and how they move."""

from array import array
from collections.abc import Iterator
from random import Random

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.world.markets import MarketList, Offer
from quart_odds.sandbox.world.model import implied
from quart_odds.sandbox.world.world import Fixture

LEAST = 101
"""The lowest possible odds, in hundredths."""
MOST = 50_000
MOVING = 0.3
"""The proportion of events that move between two requests, unless nearly all prices are to move."""
_MARGINS = {Platform.BETPAWA: 1.052, Platform.SPORTYBET: 1.058, Platform.BET9JA: 1.068}
_OPINION = 0.012
"""The standard deviation of a bookmaker's opinion on a price."""


_EARLY_GOALS = "60180"
"""SportyBet's market whose Under is always suspended."""


class Book:
    """Odds in hundredths and their suspension. `version` increases with every change."""

    def __init__(self, fixture: Fixture, market_list: MarketList, limit: int, seed: int) -> None:
        self.fixture = fixture
        self.market_list = market_list
        self.version = 0
        self._asked = 0
        self._seed = f"{seed}/{fixture.number}/{market_list.platform}"
        self._fair = implied(market_list.platform, limit, *fixture.rates)
        random = Random(self._seed)
        self.cents = array("I", [self._price(fair, random) for fair in self._fair])
        self.closed = bytearray(cents < LEAST for cents in self.cents)
        for offer in market_list.offers:
            self._open_with_a_flaw(offer, random)

    def asked(self, move: float) -> int:
        """Count a request for the event. From the second one on, prices may move. Returns how many did.

        Which events and prices move depends on the seed and the number of requests, not on the time.
        """
        self._asked += 1
        if self._asked == 1 or not move:
            return 0
        random = Random(f"{self._seed}/{self._asked}")
        moving = MOVING if move < MOVING else 1.0
        if random.random() >= moving:
            return 0
        changes = max(1, round(len(self.cents) * move / moving))
        for index in random.sample(range(len(self.cents)), min(changes, len(self.cents))):
            if random.random() < 0.05 or self.cents[index] < LEAST:
                self.closed[index] = not self.closed[index] or self.cents[index] < LEAST
            else:
                self.cents[index] = self.another_price(index, random)
        self.version += 1
        return changes

    def another_price(self, index: int, random: Random) -> int:
        """Return a plausible price other than the current one, in hundredths."""
        present = self.cents[index]
        for _ in range(8):
            cents = max(self._price(self._fair[index], random), LEAST)
            if cents != present:
                return cents
        return present + 1

    def set(self, index: int, cents: int | None, closed: bool | None) -> None:
        """Change the odds of a price, its suspension, or both."""
        if cents is not None:
            self.cents[index] = cents
        if closed is not None:
            self.closed[index] = closed
        self.version += 1

    def open_indices(self) -> Iterator[int]:
        """Yield the indices of prices that are not suspended."""
        return (index for index, closed in enumerate(self.closed) if not closed)

    def _price(self, fair: float, random: Random) -> int:
        """Return the odds for a fair chance after margin and opinion, below LEAST if there can be no offer."""
        chance = fair * (1 + (_MARGINS[self.market_list.platform] - 1) * (1 - fair / 2)) * random.gauss(1, _OPINION)
        if chance >= 0.995:
            return 0
        return max(LEAST, min(MOST, round(100 / max(chance, 1e-4))))

    def _open_with_a_flaw(self, offer: Offer, random: Random) -> None:
        """Occasionally suspend a market or a price, or let the bookmaker err in the customer's favour."""
        if offer.site.id == _EARLY_GOALS:
            self.closed[offer.indices[-1]] = True
        luck = random.random()
        if luck < 0.006:
            for index in offer.indices:
                self.closed[index] = True
        elif luck < 0.012:
            self.closed[random.choice(offer.indices)] = True
        elif luck > 0.95 and offer.site.market.slug == "1x2_ft":
            index = random.choice(offer.indices)
            self.cents[index] = min(MOST, round(self.cents[index] * 1.12))

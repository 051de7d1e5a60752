"""The prices of one event at one bookmaker, and how they move."""

from array import array
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.world import stand_ins
from quart_odds.sandbox.world.changes import ChangeLog
from quart_odds.sandbox.world.markets import MarketList, Offer
from quart_odds.sandbox.world.model import implied
from quart_odds.sandbox.world.world import Fixture

LEAST = 101
"""The lowest possible odds, in hundredths. See `least_of`."""
MOST = 50_000
MOVING = 0.3
"""The proportion of events that move between two requests, unless nearly all prices are to move."""
_MARGINS = {
    stand_ins.BETPAWA: 1.052,
    stand_ins.SPORTYBET: 1.058,
    stand_ins.BET9JA: 1.068,
    stand_ins.MSPORT: 1.055,
    stand_ins.BETKING: 1.06,
}
_OPINION = 0.012
"""The standard deviation of a bookmaker's opinion on a price."""
SUSPENDED = 0.02
"""The proportion of moves of a market line that suspend it."""
REOPENED = 0.5
"""The proportion of moves of a suspended market line that offer it again."""
UNCHANGED_HOURS = 12
"""For how long prices may have been the same when the sandbox starts."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLY_GOALS = "60180"
"""SportyBet's market whose Under is always suspended."""


class Book:
    """Odds in hundredths and their suspension. `version` increases with every change.

    `changed_ms` has the time of each price's last change in epoch milliseconds. `start` is when the sandbox started;
    prices that have not changed since then changed some hours earlier. Every change is added to `log`. `now` tells the
    time of changes that have none of their own.
    """

    def __init__(
        self,
        fixture: Fixture,
        market_list: MarketList,
        limit: int,
        seed: int,
        *,
        start: datetime | None = None,
        now: Callable[[], datetime] = utc_now,
        log: ChangeLog | None = None,
    ) -> None:
        self.fixture = fixture
        self.market_list = market_list
        self.version = 0
        self.least = least_of(market_list.platform)
        self._now = now
        self._log = log
        self._asked = 0
        self._seed = f"{seed}/{fixture.number}/{market_list.platform}"
        self._fair = implied(market_list.platform, limit, *fixture.rates)
        random = Random(self._seed)
        self.cents = array("I", [self._price(fair, random) for fair in self._fair])
        self.closed = bytearray(cents < self.least for cents in self.cents)
        for offer in market_list.offers:
            self._open_with_a_flaw(offer, random)
        opened = (start or fixture.kickoff - timedelta(days=8)) - timedelta(hours=UNCHANGED_HOURS * random.random())
        self.changed_ms = array("q", [milliseconds(opened)]) * len(self.cents)

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
        at_ms = milliseconds(self._now())
        for index in random.sample(range(len(self.cents)), min(changes, len(self.cents))):
            if random.random() < 0.05 or self.cents[index] < self.least:
                self._put(index, None, not self.closed[index] or self.cents[index] < self.least, at_ms)
            else:
                self._put(index, self.another_price(index, random), None, at_ms)
        self.version += 1
        return changes

    def move(self, offers: Iterable[Offer], random: Random, at: datetime) -> None:
        """Change all prices of these market lines at a time: other odds, or now and then their suspension."""
        at_ms = milliseconds(at)
        moved = [self._move(offer, random, at_ms) for offer in offers]
        if not any(moved):
            offers = self.market_list.offers
            self._move(next((offer for offer in offers if self._open(offer)), offers[0]), random, at_ms)
        self.version += 1

    def another_price(self, index: int, random: Random) -> int:
        """Return a plausible price other than the current one, in hundredths."""
        present = self.cents[index]
        for _ in range(8):
            cents = max(self._price(self._fair[index], random), self.least)
            if cents != present:
                return cents
        return present + 1

    def set(self, index: int, cents: int | None, closed: bool | None) -> None:
        """Change the odds of a price, its suspension, or both."""
        self._put(index, cents, closed, milliseconds(self._now()))
        self.version += 1

    def fair(self, index: int) -> float:
        """Return the probability of an outcome without margin and opinion, as their common supplier has it."""
        return self._fair[index]

    def open_indices(self) -> Iterator[int]:
        """Yield the indices of prices that are not suspended."""
        return (index for index, closed in enumerate(self.closed) if not closed)

    def _put(self, index: int, cents: int | None, closed: bool | None, at_ms: int) -> None:
        old = self.cents[index], bool(self.closed[index])
        new = old[0] if cents is None else cents, old[1] if closed is None else closed
        if new == old:
            return
        self.cents[index], self.closed[index] = new
        self.changed_ms[index] = at_ms
        if self._log is not None:
            self._log.add(at_ms, self.market_list.platform, self.fixture, self.market_list.keys[index], old, new)

    def _open(self, offer: Offer) -> list[int]:
        return [index for index in offer.indices if not self.closed[index]]

    def _move(self, offer: Offer, random: Random, at_ms: int) -> bool:
        """Change the prices of a market line, and return whether any has changed."""
        before = self._open(offer)
        luck = random.random()
        if before and luck < SUSPENDED:
            for index in before:
                self._put(index, None, True, at_ms)
        elif before:
            for index in before:
                self._put(index, self.another_price(index, random), None, at_ms)
        elif luck < REOPENED:
            never = offer.indices[-1] if offer.site.id == _EARLY_GOALS else None
            for index in offer.indices:
                self._put(index, None, index == never or self.cents[index] < self.least, at_ms)
        return bool(before or self._open(offer))

    def _price(self, fair: float, random: Random) -> int:
        """Return the odds for a fair chance after margin and opinion, below `least` if there can be no offer."""
        chance = fair * (1 + (_MARGINS[self.market_list.platform] - 1) * (1 - fair / 2)) * random.gauss(1, _OPINION)
        if chance >= 0.995:
            return 0
        return max(self.least, min(MOST, round(100 / max(chance, 1e-4))))

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


def least_of(platform: Platform) -> int:
    """Return the lowest odds of an open price, in hundredths. At BetKing 1.01 means that it is suspended."""
    return LEAST + 1 if platform is stand_ins.BETKING else LEAST


def milliseconds(moment: datetime) -> int:
    """Return a time in epoch milliseconds."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)

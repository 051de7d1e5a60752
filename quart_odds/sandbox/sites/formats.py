"""What a stand-in bookmaker's module says about its format, so that the rest of the sandbox is the same for all."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from quart_odds.sandbox.sites.answers import ListedCompetition
from quart_odds.sandbox.world.book import Book
from quart_odds.sandbox.world.markets import Offer
from quart_odds.sandbox.world.world import League

PRE_MATCH = "3"
"""The product of SportyBet and MSport under which an event has markets."""


@dataclass(frozen=True, slots=True)
class EventFormat:
    """How a bookmaker writes events.

    `competition_id` and `country_id` derive its ids from a league's numbers. `listed_markets` are its ids of the
    markets that a list has by default. `listed` builds an event of a list with these market lines. `body` builds the
    body of an event with all of them, for a product, with additional members.
    """

    competition_id: Callable[[int], str]
    country_id: Callable[[int], str]
    listed_markets: frozenset[str]
    listed: Callable[[Book, Iterable[Offer]], Mapping[str, object]]
    body: Callable[[Book, str, dict[str, object]], Mapping[str, object]]

    def competition(self, league: League) -> ListedCompetition:
        """Return a league with the bookmaker's ids."""
        return ListedCompetition(
            self.competition_id(league.number), league.name, self.country_id(league.country_number), league.country
        )

"""A copy of odds, kept current by the messages of the topic `odds`.

Events, bookmakers, markets and prices are values: a change replaces those that it concerns, and leaves all others as
they are. So whoever holds an event may go on reading it while the copy changes, from another thread, too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from quart_odds_client.frames import COPY_TIMES, PRICE_ROW, copy_rows, frame_of
from quart_odds_client.messages import (
    AnyMessage,
    ChangeData,
    ConnectionAck,
    EventChange,
    EventChangeData,
    ImageData,
    OddsChange,
    OddsImage,
    UnknownMessage,
)
from quart_odds_client.shapes import BookmakerMarkets, EventFields, ImageEvent, ListedBookmaker, MarketEntry

if TYPE_CHECKING:
    import pandas as pd

COMPARED = (None, "one_up", "two_up")
"""Promotions that leave a price comparable with plain ones: docs/api.md of Quart Odds."""


@dataclass(frozen=True, slots=True)
class Price:
    """The price of an outcome at a bookmaker. If it is not `available`, `odds` are the last ones."""

    odds: float
    is_active: bool
    available: bool
    promotion: str | None
    changed_at: datetime | None
    seen_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it can be bet on: there, and not suspended."""
        return self.available and self.is_active


class MarketPlace(NamedTuple):
    """What identifies a market entry of an event at a bookmaker."""

    market_id: str
    line: float | None = None
    promotion: str | None = None


@dataclass(frozen=True, slots=True)
class Market:
    """A market and line at one bookmaker, with its prices by the name of the outcome.

    With a `promotion` it has only prices of that promotion. `name` is empty as long as no image has named the market,
    and `margin` is None once a price of it has changed.
    """

    id: str
    name: str
    line: float | None
    promotion: str | None
    prices: Mapping[str, Price]
    available: bool
    unavailable_since: datetime | None
    seen_at: datetime | None
    source_changed_at: datetime | None
    margin: float | None = None

    @property
    def place(self) -> MarketPlace:
        """What identifies it at its bookmaker."""
        return MarketPlace(self.id, self.line, self.promotion)


@dataclass(frozen=True, slots=True)
class Bookmaker:
    """An event at a bookmaker: the bookmaker's entry, and its markets by their place."""

    entry: ListedBookmaker
    markets: Mapping[MarketPlace, Market]

    @property
    def slug(self) -> str:
        """The bookmaker's name in the API."""
        return self.entry.bookmaker_slug


class BestPrice(NamedTuple):
    """The best price of an outcome, and the bookmaker that has it."""

    bookmaker: str
    price: Price


class PricePlace(NamedTuple):
    """What identifies a price of an event."""

    bookmaker: str
    market_id: str
    line: float | None
    market_promotion: str | None
    outcome: str


@dataclass(frozen=True, slots=True)
class Event:
    """A match, as it was at one moment: its own fields, and the bookmakers by slug."""

    fields: EventFields
    bookmakers: Mapping[str, Bookmaker]

    @property
    def id(self) -> int:
        """The id in the API."""
        return self.fields.id

    @property
    def name(self) -> str:
        """Both teams."""
        return self.fields.name or f"{self.fields.home_team} - {self.fields.away_team}"

    @property
    def kickoff(self) -> datetime:
        """When it begins."""
        return self.fields.kickoff

    def market(
        self, bookmaker: str, market_id: str, line: float | None = None, promotion: str | None = None
    ) -> Market | None:
        """Return a market at a bookmaker; None if it does not have it."""
        here = self.bookmakers.get(bookmaker)
        return None if here is None else here.markets.get(MarketPlace(market_id, line, promotion))

    def price(
        self, bookmaker: str, market_id: str, outcome: str, line: float | None = None, promotion: str | None = None
    ) -> Price | None:
        """Return a price at a bookmaker; None if it has none."""
        found = self.market(bookmaker, market_id, line, promotion)
        return None if found is None else found.prices.get(outcome)

    def prices(self) -> Iterator[tuple[PricePlace, Price]]:
        """Yield every price, those that are not available any more among them."""
        for slug, here in self.bookmakers.items():
            for place, market in here.markets.items():
                for outcome, price in market.prices.items():
                    yield PricePlace(slug, *place, outcome), price

    def best(self, market_id: str, line: float | None = None) -> dict[str, BestPrice]:
        """Return the best open price of each outcome of a market, the first of several that are equal.

        Bookmakers that name the sides the other way round do not count, nor do raised prices, nor prices from after the
        kick-off beside others from before it.
        """
        found: dict[str, BestPrice] = {}
        compared = [each for each in self.bookmakers.values() if not each.entry.reversed]
        early = [each for each in compared if not each.entry.late]
        for here in early or compared:
            market = here.markets.get(MarketPlace(market_id, line))
            for outcome, price in market.prices.items() if market is not None else ():
                is_compared = price.is_open and price.promotion in COMPARED
                if is_compared and (outcome not in found or price.odds > found[outcome].price.odds):
                    found[outcome] = BestPrice(here.slug, price)
        return found


class OddsCopy:
    """Events by id. Pass every message of a stream to `apply`; those of other topics change nothing.

    `is_whole` tells whether an image of everything has come to its end.
    """

    def __init__(self, events: Mapping[int, Event] | None = None) -> None:
        self.is_whole = False
        self._events = dict(events or {})
        self._shown: set[int] | None = None
        self._names: dict[str, str] = {}

    @property
    def events(self) -> Mapping[int, Event]:
        """The events by id."""
        return self._events

    def snapshot(self) -> "OddsCopy":
        """Return a copy of its own, which stays as it is."""
        made = OddsCopy(self._events)
        made.is_whole = self.is_whole
        return made

    def to_dataframe(self) -> "pd.DataFrame":
        """Return all prices, a row each, with the columns of docs/analysis.md. Raises MissingPandasError."""
        return frame_of(copy_rows(self._events.values()), PRICE_ROW, COPY_TIMES)

    def apply(self, message: AnyMessage) -> None:
        """Apply a message, in the order of the stream. Acknowledgements have to be among them."""
        if isinstance(message, OddsImage):
            self._image(message.data)
        elif isinstance(message, OddsChange):
            self._change(message.data)
        elif isinstance(message, EventChange):
            self._event(message.data)
        elif isinstance(message, ConnectionAck) or (
            isinstance(message, UnknownMessage) and message.type == "subscription_update"
        ):
            # The rest of an image that had begun does not come any more.
            self._shown = None

    def _image(self, data: ImageData) -> None:
        for event in data.events:
            self._events[event.id] = self._copied(event)
        for event_id in data.removed:
            self._events.pop(event_id, None)
        if data.scope != "all":
            return
        if self._shown is None:
            self._shown = set()
        self._shown.update(event.id for event in data.events)
        if data.final:
            self._events = {each: event for each, event in self._events.items() if each in self._shown}
            self._shown = None
            self.is_whole = True

    def _copied(self, event: ImageEvent) -> Event:
        markets = {here.bookmaker_slug: self._markets(here) for here in event.markets_by_bookmaker}
        listed = {each.bookmaker_slug: each for each in event.bookmakers}
        for here in event.markets_by_bookmaker:
            listed.setdefault(here.bookmaker_slug, ListedBookmaker(bookmaker_slug=here.bookmaker_slug))
        # Without the prices, which would only be a second copy, and soon an old one.
        fields = EventFields.model_validate(event.model_dump(exclude={"bookmakers", "markets_by_bookmaker"}))
        return Event(fields, {slug: Bookmaker(entry, markets.get(slug, {})) for slug, entry in listed.items()})

    def _markets(self, here: BookmakerMarkets) -> dict[MarketPlace, Market]:
        return {market.place: market for market in map(self._market, here.markets)}

    def _market(self, entry: MarketEntry) -> Market:
        self._names[entry.betpawa_market_id] = entry.betpawa_market_name
        prices = {
            each.name: Price(
                each.odds, each.is_active, each.available, each.promotion, each.changed_at, each.last_seen_at
            )
            for each in entry.outcomes
        }
        return Market(
            entry.betpawa_market_id,
            entry.betpawa_market_name,
            entry.line,
            entry.promotion,
            prices,
            entry.available,
            entry.unavailable_since,
            entry.last_seen_at,
            entry.source_changed_at,
            entry.margin,
        )

    def _change(self, data: ChangeData) -> None:
        event = self._events.get(data.event_id)
        if event is None:
            return
        here = event.bookmakers.get(data.source)
        if here is None:
            here = Bookmaker(ListedBookmaker(bookmaker_slug=data.source), {})
        changed: dict[MarketPlace, dict[str, Price]] = {}
        second = data.seen_at.replace(microsecond=0)
        for row in data.changes:
            place = MarketPlace(row.market_id, row.line, row.market_promotion)
            if place not in changed:
                known = here.markets.get(place)
                changed[place] = {} if known is None else dict(known.prices)
            changed[place][row.outcome] = Price(
                row.odds, row.is_active, row.available, row.promotion, second, data.seen_at
            )
        markets = dict(here.markets)
        for place, prices in changed.items():
            if place.promotion is not None:
                # A further offer has no prices that are gone.
                prices = {name: price for name, price in prices.items() if price.available}
            if prices:
                markets[place] = self._changed(place, markets.get(place), prices, data)
            else:
                markets.pop(place, None)
        bookmakers = {**event.bookmakers, data.source: Bookmaker(here.entry, markets)}
        self._events[data.event_id] = Event(event.fields, bookmakers)

    def _changed(
        self, place: MarketPlace, former: Market | None, prices: Mapping[str, Price], data: ChangeData
    ) -> Market:
        is_available = any(price.available for price in prices.values())
        told_at = data.source_changed_at
        return Market(
            place.market_id,
            self._names.get(place.market_id, "") if former is None else former.name,
            place.line,
            place.promotion,
            prices,
            is_available,
            None if is_available else data.seen_at,
            data.seen_at,
            told_at if told_at is not None or former is None else former.source_changed_at,
        )

    def _event(self, data: EventChangeData) -> None:
        if data.change == "removed":
            self._events.pop(data.event_id, None)
            return
        former = self._events.get(data.event_id)
        if data.event is None or (former is None and data.change != "new"):
            return
        bookmakers = {} if former is None else dict(former.bookmakers)
        for entry in data.bookmakers:
            known = bookmakers.get(entry.bookmaker_slug)
            bookmakers[entry.bookmaker_slug] = Bookmaker(entry, {}) if known is None else replace(known, entry=entry)
        self._events[data.event_id] = Event(data.event, bookmakers)

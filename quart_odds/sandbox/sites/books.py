"""All prices of the sandbox by bookmaker and event, and the generated events of a stand-in bookmaker."""

from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from datetime import datetime
from functools import partial
from random import Random

import orjson

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.sites import bet9ja_event, betking_event, betpawa_event, msport_event, sportybet_event
from quart_odds.sandbox.sites.answers import Answer, Ask, ListedEvent, Markets
from quart_odds.sandbox.sites.formats import PRE_MATCH, EventFormat
from quart_odds.sandbox.world import stand_ins
from quart_odds.sandbox.world.book import Book
from quart_odds.sandbox.world.changes import ChangeLog
from quart_odds.sandbox.world.markets import MarketList, market_list
from quart_odds.sandbox.world.process import PriceProcess
from quart_odds.sandbox.world.world import STARTED, Fixture

FORMATS: Mapping[Platform, EventFormat] = {
    stand_ins.BETPAWA: betpawa_event.FORMAT,
    stand_ins.SPORTYBET: sportybet_event.FORMAT,
    stand_ins.BET9JA: bet9ja_event.FORMAT,
    stand_ins.MSPORT: msport_event.FORMAT,
    stand_ins.BETKING: betking_event.FORMAT,
}


class Books:
    """The books of all events, each created on first use.

    `limits` has the number of market lines per event for each bookmaker that there is. Leagues alternate between
    several numbers. Prices move between requests, or in time by `now` once `live` was called. `changes` records every
    change of a price.
    """

    def __init__(
        self,
        fixtures: Sequence[Fixture],
        seed: int,
        move: float,
        limits: Mapping[Platform, Sequence[int]],
        *,
        start: datetime | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.fixtures = fixtures
        self.start = start or utc_now()
        self.now = now or (lambda: self.start)
        self.process: PriceProcess | None = None
        self.changes = ChangeLog()
        self._move = move
        self._limits = limits
        self._seed = seed
        self._books: dict[tuple[Platform, int], Book] = {}

    @property
    def bookmakers(self) -> Set[Platform]:
        """The bookmakers that there are."""
        return self._limits.keys()

    @property
    def move(self) -> float:
        """The share of prices that change between two requests for an event, 0 if prices move in time."""
        return 0 if self.process else self._move

    @move.setter
    def move(self, share: float) -> None:
        if share and self.process:
            raise ValueError("prices are live: they move in time, and not between requests")
        self._move = share

    def live(self, pace: float = 1) -> None:
        """Let prices move in time from `start` on, `pace` times as often as by default."""
        self.process = PriceProcess(self.fixtures, self._seed, self.start, self.market_list, pace)

    def advance(self, to: datetime | None = None) -> None:
        """Apply all changes of live prices up to a time, by default now. Does nothing if prices are not live.

        The bookmakers do this at each request.
        """
        if self.process is not None:
            for move in self.process.advance(to or self.now()):
                self.book(move.platform, move.fixture).move(move.offers, move.random, move.at)

    def market_list(self, platform: Platform, fixture: Fixture) -> MarketList:
        """Return the markets of an event at a bookmaker."""
        return market_list(platform, self._limit(platform, fixture))

    def _limit(self, platform: Platform, fixture: Fixture) -> int:
        limits = self._limits[platform]
        return limits[fixture.league.number % len(limits)]

    def book(self, platform: Platform, fixture: Fixture) -> Book:
        """Return the prices of an event at a bookmaker that offers it."""
        book = self._books.get((platform, fixture.number))
        if book is None:
            limit = self._limit(platform, fixture)
            book = self._books[platform, fixture.number] = Book(
                fixture,
                market_list(platform, limit),
                limit,
                self._seed,
                start=self.start,
                now=self.now,
                log=self.changes,
            )
        return book

    def version(self, platform: Platform, fixture: Fixture) -> int:
        """Return how often an event's prices have changed at a bookmaker."""
        book = self._books.get((platform, fixture.number))
        return book.version if book else 0

    def find(self, platform: Platform, sportradar_id: str) -> Book | None:
        """Return a bookmaker's book of the event with this SportRadar id, or None."""
        for fixture in self.fixtures:
            if fixture.sportradar_id == sportradar_id and platform in fixture.listings:
                return self.book(platform, fixture)
        return None

    def random_book(self, random: Random) -> Book:
        """Return the book of a random event that clients can match by its SportRadar id."""
        real = [fixture for fixture in self.fixtures if fixture.matchable_at]
        fixture = random.choice(real)
        return self.book(random.choice(fixture.matchable_at), fixture)


class GeneratedShelf:
    """The generated events of a bookmaker. `padding` bytes are added to the body of each event."""

    def __init__(self, platform: Platform, books: Books, padding: int = 0) -> None:
        self.platform = platform
        self._books = books
        self._padding = padding
        self._format = FORMATS[platform]
        self._fixtures = {
            fixture.listings[platform].external_id: fixture
            for fixture in books.fixtures
            if platform in fixture.listings
        }
        self._listed = tuple(self._list(fixture) for fixture in self._fixtures.values())
        self._written: dict[int, tuple[Markets, int, orjson.Fragment]] = {}

    def listed(self) -> Sequence[ListedEvent]:
        """Return all events by kick-off, including those that have just started."""
        self._books.advance()
        return self._listed

    def detail(self, ask: Ask, external_id: str) -> Answer | None:
        """Return an event with all its markets. Each request may make its prices move."""
        self._books.advance()
        fixture = self._fixtures.get(external_id)
        if fixture is not None:
            self._books.book(self.platform, fixture).asked(self._books.move)
        return self.untouched_detail(external_id, ask.query.get("productId", PRE_MATCH))

    def untouched_detail(self, external_id: str, product: str = PRE_MATCH) -> Answer | None:
        """Return an event with all its markets as they are."""
        fixture = self._fixtures.get(external_id)
        if fixture is None:
            return None
        book = self._books.book(self.platform, fixture)
        return Answer(
            lambda: write_detail(book, product, self._padding),
            key=("event", external_id, product),
            version=book.version,
        )

    def ids_of(self, external_id: str) -> tuple[str, ...]:
        """Return the bookmaker's own id and the SportRadar id."""
        fixture = self._fixtures.get(external_id)
        return (fixture.sportradar_id, external_id) if fixture and fixture.sportradar_id else (external_id,)

    @property
    def first_event(self) -> str | None:
        """The first event that has not started and that clients can match between all bookmakers of the sandbox."""
        for external_id, fixture in self._fixtures.items():
            if fixture.number % 29 != STARTED and self._books.bookmakers == {*fixture.matchable_at}:
                return external_id
        return next(iter(self._fixtures), None)

    def _list(self, fixture: Fixture) -> ListedEvent:
        version: Callable[[], Hashable] = partial(self._books.version, self.platform, fixture)
        return ListedEvent(
            self._format.competition(fixture.league),
            fixture.listings[self.platform].external_id,
            partial(self._write_listed, fixture),
            version,
            fixture.kickoff,
        )

    def _write_listed(self, fixture: Fixture, markets: Markets) -> orjson.Fragment:
        """Write an event for a list. The last one is kept, because most events of a list are still the same."""
        book = self._books.book(self.platform, fixture)
        kept_markets, kept_version, fragment = self._written.get(fixture.number, (None, -1, None))
        if fragment is None or (kept_markets, kept_version) != (markets, book.version):
            fragment = orjson.Fragment(orjson.dumps(self._listed_object(book, markets)))
            self._written[fixture.number] = markets, book.version, fragment
        return fragment

    def _listed_object(self, book: Book, markets: Markets) -> Mapping[str, object]:
        wanted = self._format.listed_markets if markets is None else markets
        return self._format.listed(book, [offer for offer in book.market_list.offers if offer.site.id in wanted])


def write_detail(book: Book, product: str = PRE_MATCH, padding: int = 0) -> bytes:
    """Write the body of an event. SportyBet's and MSport's have no markets unless the product is 3, pre-match."""
    extra: dict[str, object] = {"sandboxPadding": _filler(padding)} if padding else {}
    return orjson.dumps(FORMATS[book.market_list.platform].body(book, product, extra))


def _filler(size: int) -> str:
    """Return text that compresses about as well as a real body."""
    return "".join(f"id {number * 7919} name Over odds 1.{number % 89 + 10}; " for number in range(size // 25 + 1))[
        :size
    ]


def fit(platform: Platform, fixture: Fixture, lines: int, body_kb: float) -> tuple[int, int]:
    """Return the number of market lines and padding bytes for bodies of about `body_kb`."""
    target = round(body_kb * 1000)

    def size(limit: int) -> int:
        return len(write_detail(Book(fixture, market_list(platform, limit), limit, 0)))

    low, high = 3, lines
    while low < high:
        middle = (low + high + 1) // 2
        if size(middle) <= target:
            low = middle
        else:
            high = middle - 1
    return low, max(0, target - size(low))

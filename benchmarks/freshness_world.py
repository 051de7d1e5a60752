"""One bookmaker of the sandbox in simulated time, and how late each change of its prices is learned."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from quart_odds.bookmakers import Decoder
from quart_odds.bookmakers.client import SiteClient
from quart_odds.bookmakers.kept_lists import KeptLists
from quart_odds.bookmakers.lists import RawList, dated
from quart_odds.bookmakers.politeness import Pace, Throttle
from quart_odds.bookmakers.registry import site_of
from quart_odds.bookmakers.site import Page
from quart_odds.bookmakers.sweep import Choose
from quart_odds.bookmakers.transport import Answer
from quart_odds.domain.catalogue import CATALOGUE, main_numbers, offer_code, pack_key
from quart_odds.domain.odds import ListedCompetitions, ListedEvent, MappedEvent, unpack_value
from quart_odds.domain.platforms import Platform
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import EventChange
from quart_odds.odds.event_odds import GONE
from quart_odds.odds.service import BELIEVE_MISSING_AFTER
from quart_odds.sandbox.app import generated_sites
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.sites.answers import Ask
from quart_odds.sandbox.world.changes import Change
from quart_odds.sandbox.world.stand_ins import FIRST_THREE
from quart_odds.sandbox.world.world import most_competitions
from quart_odds.settings import load_settings

START = datetime(2026, 11, 2, 12, tzinfo=UTC)
LEAST_GROUPS = 150
"""Lists of events at Bet9ja, as at the real site."""
MARKETS = 16
"""Market lines per event. Fewer than at a real bookmaker, because only which of them is fetched when matters here."""

CHECK_EACH = 50
"""One of so many fetches is compared with the bookmaker's own prices, so that no delay is that of a wrong price."""


class RememberingDecoder(Decoder):
    """Parses a page that has not changed since it was last read only once: a simulation reads pages very often."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._pages: dict[tuple[str, str], tuple[bytes, Page]] = {}

    async def read_page(self, raw: RawList) -> Page:
        """See Decoder."""
        name = (raw.where, raw.listing.list_name if raw.listing is not None else "")
        known = self._pages.get(name)
        if known is None or known[0] != raw.content:
            known = self._pages[name] = (raw.content, await super().read_page(raw))
        return replace(known[1], events=[dated(event, raw.fetched_at) for event in known[1].events])


class ListingClient(SiteClient):
    """The product's client. `lists` has the list of each event, by the bookmaker's id, as sweeps found it last."""

    lists: dict[str, str]

    async def sweep(self, choose: Choose | None = None) -> AsyncGenerator[ListedEvent, None]:
        """See BookmakerClient."""
        async for listed in super().sweep(choose):
            self.lists[listed.header.external_id] = listed.list_name
            yield listed


@dataclass(slots=True)
class Delays:
    """Seconds from each change of a price at the bookmaker to the change in the cache."""

    main: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)

    @property
    def all(self) -> list[float]:
        """The delays of all changes."""
        return self.main + self.other

    def extend(self, more: "Delays") -> None:
        """Add the delays of another bookmaker."""
        self.main += more.main
        self.other += more.other


class World:
    """A bookmaker whose prices move, a clock that only requests move, and a cache that learns of the prices.

    Each request takes 1/`rate` seconds of simulated time. Changes from `since` to `until` (seconds after the start) are
    measured. A change that is never learned, although its match has not begun, counts until the end.
    """

    def __init__(self, platform: Platform, events: int, seed: int, rate: float, since: float, until: float) -> None:
        options = SandboxOptions(
            events=events,
            seed=seed,
            live_prices=True,
            markets=MARKETS,
            competitions=min(most_competitions(events), LEAST_GROUPS + 10),
            bookmakers=FIRST_THREE,
        )
        self.platform = platform
        self.now = START
        self.list_requests = self.detail_requests = 0
        self.delays = Delays()
        self.cache = OddsCache()
        self.books, sites = generated_sites(options, START, now=lambda: self.now)
        self.site = sites[platform]
        self._written: dict[object, tuple[object, bytes]] = {}
        self._rate = rate
        self._since, self._until = START + timedelta(seconds=since), START + timedelta(seconds=until)
        self._seq = self._recorded = 0
        self._unlearned: dict[str, list[Change]] = {}
        settings = load_settings({}, decode_workers=0, **{f"{platform}_concurrency": 1})
        self.decoder = RememberingDecoder(0)
        self.client = ListingClient(
            site_of(platform),
            settings,
            self,
            Throttle(lambda: Pace(1, 0)),
            self.decoder,
            kept=KeptLists(clock=lambda: self.elapsed),
            now=lambda: self.now,
        )
        self.client.lists = {}

    @property
    def elapsed(self) -> float:
        """Simulated seconds since the start."""
        return (self.now - START).total_seconds()

    def wait_until(self, seconds: float) -> None:
        """Let time pass until this many seconds after the start."""
        self.now = max(self.now, START + timedelta(seconds=seconds))

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        body: bytes | None,
        timeout_seconds: float,
        grow: Callable[[int], object],
    ) -> Answer:
        """Answer a request of the client, 1/`rate` seconds later. The Transport of the client."""
        ask = Ask(method, urlsplit(url).path, dict(params), headers, body or b"")
        self.spend(is_detail=self.site.event_of(ask) is not None)
        answer = self.site.answer(ask)
        key = (ask.path, answer.key)
        known = self._written.get(key) if answer.key is not None else None
        if known is None or known[0] != answer.version:
            known = self._written[key] = (answer.version, answer.write())
        return Answer(answer.status, {"content-type": answer.content_type}, known[1])

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""

    def spend(self, *, is_detail: bool) -> None:
        """Let the time of a request pass, and prices move meanwhile."""
        self.now += timedelta(seconds=1 / self._rate)
        if is_detail:
            self.detail_requests += 1
        else:
            self.list_requests += 1
        self.books.advance(self.now)
        for change in self.books.changes.since(self._seq):
            self._seq = change.seq
            if change.platform is self.platform:
                self._unlearned.setdefault(change.external_id, []).append(change)

    async def record(self, mapped: MappedEvent, seen_at: datetime) -> EventChange:
        """Take a fetch into the cache, and note how late the changes are that it brought. Like the odds service."""
        change = self.cache.apply(mapped, seen_at, self.now)
        self._recorded += 1
        if not mapped.is_partial and self._recorded % CHECK_EACH == 0:
            self.check(mapped.header.external_id)
        carried = {offer_code(key) for key in mapped.prices.keys} if mapped.is_partial else None
        self.learned(mapped.header.external_id, lambda each: carried is None or _offer_of(each) in carried)
        return change

    def knows(self, platform: Platform, external_id: str) -> bool:
        """Return whether the cache has the event."""
        return self.cache.knows(platform, external_id)

    async def mark_missing(
        self, platform: Platform, seen: Mapping[str, datetime], at: datetime, listed: ListedCompetitions
    ) -> Sequence[EventChange]:
        """Take what a sweep listed into the cache."""
        return self.cache.mark_missing(
            platform, seen, at, listed=listed, believe_after=BELIEVE_MISSING_AFTER, now=self.now
        )

    async def withdraw(self, platform: Platform, external_id: str, at: datetime) -> EventChange | None:
        """Mark an event as gone in the cache."""
        return self.cache.withdraw(platform, external_id, at, self.now)

    async def confirm(self) -> None:
        """Do nothing: there is no database."""

    def learned(self, external_id: str, is_learned: Callable[[Change], bool]) -> bool:
        """Note that these changes of an event have been learned now. Returns whether there were any."""
        unlearned = self._unlearned.pop(external_id, [])
        left = [each for each in unlearned if not is_learned(each)]
        if left:
            self._unlearned[external_id] = left
        for each in unlearned:
            if each not in left:
                self._note(each)
        return len(left) < len(unlearned)

    def end(self) -> Delays:
        """Return the delays, after noting those of the changes that were never learned."""
        for changes in self._unlearned.values():
            for change in changes:
                if change.fixture.kickoff > self.now:
                    self._note(change)
        self._unlearned.clear()
        return self.delays

    def check(self, external_id: str) -> None:
        """Raise AssertionError if the cache has another price of an event, just fetched, than the bookmaker."""
        fixture = next(each for each in self.books.fixtures if _is(each, self.platform, external_id))
        event_odds = next(
            event.odds[self.platform]
            for event in self.cache.events.values()
            if event.odds[self.platform].header.external_id == external_id
        )
        book = self.books.book(self.platform, fixture)
        for (market, line, outcome), cents, closed in zip(book.market_list.keys, book.cents, book.closed, strict=True):
            known = CATALOGUE.by_slug.get(market.slug)
            names = [each.name for each in known.outcomes] if known is not None else []
            if known is None or outcome not in names:
                continue
            value = event_odds.value_of(pack_key(known.number, names.index(outcome), line))
            odds, is_open = (0.0, False) if value is None or value & GONE else unpack_value(value)
            assert is_open is not bool(closed), (market.slug, line, outcome)
            assert closed or odds == cents / 100, (market.slug, line, outcome, odds, cents)

    def _note(self, change: Change) -> None:
        if self._since <= change.at < self._until:
            seconds = (self.now - change.at).total_seconds()
            (self.delays.main if is_main(self.platform, change) else self.delays.other).append(seconds)


def is_main(platform: Platform, change: Change) -> bool:
    """Return whether a price is one of a main market, which the bookmaker's lists carry."""
    known = CATALOGUE.by_slug.get(change.key[0].slug)
    return known is not None and known.number in main_numbers(platform)


def _is(fixture: object, platform: Platform, external_id: str) -> bool:
    listings = getattr(fixture, "listings", {})
    return platform in listings and listings[platform].external_id == external_id


def _offer_of(change: Change) -> int | None:
    market, line, _ = change.key
    known = CATALOGUE.by_slug.get(market.slug)
    return offer_code(pack_key(known.number, 0, line)) if known is not None else None


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value below which this share of the values is."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

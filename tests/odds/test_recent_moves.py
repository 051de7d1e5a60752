"""How rows move: over an hour, a day and since they opened, among the bookmakers of a row."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from quart_odds.domain.catalogue import CATALOGUE, promoted_key
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import BOOSTED
from quart_odds.odds import CachedEvent, OddsService
from quart_odds.odds.recent_moves import OutcomeMoves, RecentMoves, RowMoves
from quart_odds.storage import Store
from tests.odds.making import NOW, OVER_UNDER, X1, header, key, mapped

HOME = key("1x2_ft", "1")
MATCH_RESULT, GOALS = CATALOGUE.by_slug["1x2_ft"], CATALOGUE.by_slug["over_under_ft"]
MARKETS = {MATCH_RESULT.number, GOALS.number}
KICKOFF = NOW + timedelta(days=4)
BOOKMAKERS = (Platform.BETPAWA, Platform.SPORTYBET, Platform.BET9JA)


class Trade:
    """An odds service whose time the test sets, and the movements of its odds."""

    def __init__(self, store: Store) -> None:
        self.now = NOW
        self.store = store
        self.service = OddsService(store, clock=lambda: self.now)
        self.moves = RecentMoves(self.service.cache, store, MARKETS, clock=lambda: self.now)
        self.service.on_applied = self.moves.note

    async def restart(self) -> None:
        """Go on with what is stored, as another process."""
        await self.service.confirm()
        self.service.cache.adopt(self.service.cache.state())
        self.moves = RecentMoves(self.service.cache, self.store, MARKETS, clock=lambda: self.now)
        self.service.on_applied = self.moves.note

    async def offer(
        self, minute: float, platform: Platform, odds: dict[int, float], kickoff: datetime = KICKOFF
    ) -> None:
        """Let a bookmaker have these prices, and the usual others, so many minutes after NOW."""
        self.now = NOW + timedelta(minutes=minute)
        event = header(platform, f"{platform}-1", kickoff=kickoff)
        await self.service.record(mapped(event, X1 | OVER_UNDER | odds), self.now)

    @property
    def event(self) -> CachedEvent:
        [event] = self.service.cache.events.values()
        return event

    def row(self, *platforms: Platform) -> RowMoves:
        """Return how the match result has moved, among all bookmakers or these."""
        event = self.event.among(platforms) if platforms else self.event
        return self.moves.moves_of(event, MATCH_RESULT, None)

    def home(self, *platforms: Platform) -> OutcomeMoves:
        """Return how the home win has moved."""
        return self.row(*platforms).outcomes[0]


@asynccontextmanager
async def trading(store: Store) -> AsyncIterator[Trade]:
    """Begin to trade; close the service at the end."""
    trade = Trade(store)
    await trade.service.load()
    try:
        yield trade
    finally:
        await trade.moves.close()
        await trade.service.close()


async def test_the_best_price_is_compared_with_the_best_of_then(store: Store) -> None:
    """Among those who had a price at both moments; the median is that of their own changes."""
    async with trading(store) as trade:
        for minute, odds in ((0, (2.0, 2.1, 2.2)), (2000, (2.0, 2.0, 2.2)), (2030, (2.2, 2.1, 2.2))):
            for platform, each in zip(BOOKMAKERS, odds, strict=True):
                await trade.offer(minute, platform, {HOME: each})
        assert trade.home() == OutcomeMoves(hour=0.0, day=0.0, opening=0.0, median_hour=0.0)
        await trade.offer(2040, Platform.BET9JA, {HOME: 2.64})
        assert trade.home() == OutcomeMoves(hour=20.0, day=20.0, opening=20.0, median_hour=10.0)
        assert trade.row().strength == 10.0


async def test_chosen_bookmakers_are_compared_alone(store: Store) -> None:
    """A bookmaker that had no price then has not moved the best one."""
    async with trading(store) as trade:
        for platform in BOOKMAKERS[:2]:
            await trade.offer(0, platform, {HOME: 2.0})
        await trade.offer(100, Platform.BETPAWA, {HOME: 2.5})
        await trade.offer(100, Platform.BET9JA, {HOME: 9.0})
        assert trade.home().hour == 25.0
        assert trade.home(Platform.SPORTYBET).hour == 0.0
        assert trade.home(Platform.BET9JA) == OutcomeMoves(opening=0.0)
        assert trade.row(Platform.BET9JA).strength is None


async def test_time_alone_ends_a_movement(store: Store) -> None:
    """What changed an hour ago has not moved within the hour, which a row says beforehand."""
    async with trading(store) as trade:
        await trade.offer(0, Platform.BETPAWA, {HOME: 2.0})
        await trade.offer(100, Platform.BETPAWA, {HOME: 2.5})
        assert (trade.home().hour, trade.row().until) == (25.0, (NOW + timedelta(minutes=160)).timestamp())
        trade.now = NOW + timedelta(minutes=159, seconds=59)
        assert trade.home() == OutcomeMoves(25.0, None, 25.0, 25.0)
        trade.now += timedelta(seconds=1)
        assert trade.home() == OutcomeMoves(0.0, None, 25.0, 0.0)
        trade.now = NOW + timedelta(minutes=1441)
        assert trade.home().day == 25.0


async def test_a_boosted_price_and_a_suspended_one_have_not_moved(store: Store) -> None:
    """Neither can be compared. The price that was suspended counts again when it is back."""
    async with trading(store) as trade:
        await trade.offer(0, Platform.BETPAWA, {HOME: 2.0})
        await trade.offer(100, Platform.BETPAWA, {HOME: 2.0, promoted_key(HOME, BOOSTED): 3.0})
        assert trade.home().hour == 0.0
        trade.now = NOW + timedelta(minutes=110)
        event = header(Platform.BETPAWA, f"{Platform.BETPAWA}-1", kickoff=KICKOFF)
        await trade.service.record(mapped(event, X1, suspended=frozenset({HOME})), trade.now)
        assert trade.home() == OutcomeMoves()
        await trade.offer(120, Platform.BETPAWA, {HOME: 2.2})
        assert trade.home().hour == 10.0


async def test_a_restart_knows_what_moved_before_it(store: Store) -> None:
    """Once the history is read, which is in pages. Before that nothing is said rather than something wrong."""
    async with trading(store) as trade:
        for minute, odds in ((0, 2.0), (3000, 2.5), (3100, 4.0), (3150, 5.0)):
            await trade.offer(minute, Platform.BETPAWA, {HOME: odds})
        before = trade.row()
        assert before.outcomes[0] == OutcomeMoves(100.0, 150.0, 150.0, 100.0)
        await trade.restart()
        assert trade.home() == OutcomeMoves()
        await trade.moves.look()
        assert trade.row() == before
        await trade.offer(3155, Platform.BETPAWA, {HOME: 6.0})
        assert trade.home().hour == 140.0


async def test_odds_that_are_read_again_go_on(store: Store) -> None:
    """A process that only reads has other objects of them each time, and hears of no change."""
    async with trading(store) as trade:
        await trade.offer(0, Platform.BETPAWA, {HOME: 2.0})
        trade.service.cache.adopt(trade.service.cache.state())
        trade.service.on_applied = None
        await trade.offer(100, Platform.BETPAWA, {HOME: 3.0})
        assert trade.home().hour == 50.0
        trade.service.on_applied = trade.moves.note
        await trade.offer(110, Platform.BETPAWA, {HOME: 4.0})
        assert trade.home().hour == 100.0


async def test_events_that_kick_off_are_forgotten(store: Store) -> None:
    """Their prices move no more. An event that is put off is known again."""
    async with trading(store) as trade:
        kickoff = NOW + timedelta(hours=3)
        for minute, odds in ((0, 2.0), (100, 2.5)):
            await trade.offer(minute, Platform.BETPAWA, {HOME: odds}, kickoff)
        assert trade.row().until == (NOW + timedelta(minutes=160)).timestamp()
        trade.now = kickoff
        await trade.moves.look()
        assert trade.home() == OutcomeMoves()
        assert trade.moves.kept_events == 0
        await trade.offer(179, Platform.BETPAWA, {HOME: 3.0}, kickoff + timedelta(days=1))
        await trade.service.confirm()
        await trade.moves.look()
        assert trade.home().opening == 50.0


async def test_markets_that_have_not_moved_or_are_not_offered_say_so(store: Store) -> None:
    """Only the market that was offered has a movement."""
    async with trading(store) as trade:
        await trade.offer(0, Platform.BETPAWA, {HOME: 2.0})
        await trade.offer(100, Platform.BETPAWA, {HOME: 2.5})
        assert trade.moves.moves_of(trade.event, MATCH_RESULT, None) == trade.row()
        goals = trade.moves.moves_of(trade.event, GOALS, 2.5)
        assert (len(goals.outcomes), goals.strength) == (2, 0.0)
        both = trade.moves.moves_of(trade.event, CATALOGUE.by_slug["btts_ft"], None)
        assert both.outcomes == (OutcomeMoves(), OutcomeMoves())


async def test_the_task_reads_what_is_stored_by_itself(store: Store) -> None:
    """From the start on, and again when something is read anew."""
    async with trading(store) as trade:
        await trade.offer(0, Platform.BETPAWA, {HOME: 2.0})
        await trade.offer(100, Platform.BETPAWA, {HOME: 2.5})
        await trade.restart()
        trade.moves.open()
        async with asyncio.timeout(5):
            while trade.home().hour is None:
                await asyncio.sleep(0.01)
        assert trade.home().hour == 25.0

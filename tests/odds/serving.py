"""The odds API without the rest of the app, for Quart's test client, with a cache that the test fills."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from quart import Quart
from quart.typing import TestClientProtocol
from quart_schema import QuartSchema

from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import Competition, UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsService
from quart_odds.odds.opportunities import OpportunityEngine
from quart_odds.odds.opportunity_choices import OpportunityChoices
from quart_odds.odds.served import ServedOdds
from quart_odds.routes.access import problems
from quart_odds.routes.api.coverage import MarketNumbers
from quart_odds.routes.api.encoded import EventBodies
from quart_odds.routes.api.odds import odds_blueprint
from quart_odds.services import EXTENSION
from quart_odds.storage import Store, open_store
from tests.odds.making import OVER_UNDER, PREMIER, STALE_AFTER, X1, header, key, mapped
from tests.platforms import FIRST_THREE
from tests.traffic import checked

LA_LIGA = Competition("8", "La Liga", "Spain")
UNKNOWN = UnmappedMarket("S_OUA", "Over/Under Asian")


@dataclass
class Parts:
    """The parts of the app that the odds API uses."""

    store: Store
    odds_service: OddsService
    served: ServedOdds
    event_bodies: EventBodies
    market_numbers: MarketNumbers
    opportunities: OpportunityEngine
    opportunity_choices: OpportunityChoices
    exports: int = 0

    def bookmakers(self) -> tuple[Platform, ...]:
        """Return all bookmakers, as if each were scraped."""
        return tuple(Platform)


@dataclass
class Clock:
    """The clock of the odds service, which a test may set ahead."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        """Return the current time."""
        return utc_now() + self.ahead


@dataclass
class Served:
    """An app with the odds API, and a client for it."""

    client: TestClientProtocol
    parts: Parts
    now: datetime
    clock: Clock

    @property
    def odds_service(self) -> OddsService:
        """The app's odds service."""
        return self.parts.odds_service

    async def lose(self, platform: Platform, *seen: str) -> datetime:
        """Take two complete lists of a bookmaker that have only these events. Return the time of the second one."""
        for minutes in (5, 10):
            self.clock.ahead = timedelta(minutes=minutes)
            at = self.now + self.clock.ahead
            await self.odds_service.mark_missing(platform, dict.fromkeys(seen, at), at)
        return at

    async def json(self, path: str, status: int = 200) -> object:
        """Return the JSON of a response, which must have this status."""
        response = await self.client.get(path)
        assert response.status_code == status, await response.get_data(as_text=True)
        return await response.get_json(force=True)


@asynccontextmanager
async def served(*, filled: bool = True) -> AsyncIterator[Served]:
    """Serve the odds API over a database in memory, with four events unless `filled` is False.

    1: in two hours, at all three bookmakers. 2: in a day, in Spain, at SportyBet and Bet9ja. 3: has started, at BetPawa
    only, without an id. 4: in two days, at Bet9ja, with the id of event 1 and another kick-off.
    """
    store = await open_store("sqlite:///:memory:")
    clock = Clock()
    odds_service = OddsService(store, clock=clock)
    app = Quart("odds_app")
    cache = odds_service.cache
    engine = OpportunityEngine(cache, STALE_AFTER, slice_seconds=0)
    parts = Parts(
        store,
        odds_service,
        odds_service.served,
        EventBodies(cache, STALE_AFTER, clock=clock),
        MarketNumbers(cache),
        engine,
        OpportunityChoices(engine),
    )
    odds_service.on_applied = parts.opportunities.note
    app.extensions[EXTENSION] = parts
    problems.init_app(app)
    app.register_blueprint(odds_blueprint())
    QuartSchema(app, convert_casing=False)
    now = utc_now()
    if filled:
        await fill(odds_service, now)
    try:
        yield Served(checked(app.test_client()), parts, now, clock)
    finally:
        await odds_service.close()
        await store.aclose()


async def fill(odds_service: OddsService, now: datetime) -> None:
    """Record the four events."""
    soon, tomorrow = now + timedelta(hours=2), now + timedelta(days=1)
    for platform in FIRST_THREE:
        event = header(platform, f"{platform}-1", "11", kickoff=soon, home="Arsenal", away="Bayern München")
        await odds_service.record(mapped(event, unmapped=(UNKNOWN,)), now)
    better = X1 | {key("1x2_ft", "1"): 2.9, key("1x2_ft", "X"): 3.9} | OVER_UNDER
    for platform in (Platform.SPORTYBET, Platform.BET9JA):
        event = header(
            platform, f"{platform}-2", "22", kickoff=tomorrow, home="=Sevilla", away="Betis", competition=LA_LIGA
        )
        await odds_service.record(mapped(event, better if platform is Platform.BET9JA else None), now)
    started = header(Platform.BETPAWA, "betpawa-3", None, kickoff=now - timedelta(minutes=5), home="Leeds", away="Hull")
    await odds_service.record(mapped(started), now)
    other = header(
        Platform.BET9JA, "bet9ja-4", "11", kickoff=now + timedelta(days=2), home="Arsenal", competition=PREMIER
    )
    await odds_service.record(mapped(other), now)
    await odds_service.confirm()

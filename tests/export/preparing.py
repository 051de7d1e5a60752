"""A database with odds and their history, made once for all tests that only read it."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from quart_odds.domain.clock import utc_now
from quart_odds.domain.fair import Chance, pack_chance
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsService
from quart_odds.storage import open_store
from tests.odds.making import OVER_UNDER, X1, header, key, mapped
from tests.odds.serving import fill

HOME = key("1x2_ft", "1")
PAST_ID = 5


@dataclass(frozen=True)
class Prepared:
    """The database of the tests, and the time of the first fetch in it."""

    path: Path
    start: datetime

    @property
    def url(self) -> str:
        """The URL of the database."""
        return f"sqlite:///{self.path}"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Return a database with the four events of `tests.odds.serving`, whose history `lived` describes, and event 5."""
    made = Prepared(
        tmp_path_factory.mktemp("export") / "odds.db", utc_now().replace(microsecond=0) - timedelta(hours=1)
    )
    asyncio.run(_write(made))
    return made


async def _write(made: Prepared) -> None:
    store = await open_store(made.url)
    service = OddsService(store)
    await fill(service, made.start)
    await lived(service, made.start)
    past = header(
        Platform.BETPAWA, "1005", "55", kickoff=made.start - timedelta(days=60), home="Ajax", away="Feyenoord"
    )
    await service.record(mapped(past), made.start - timedelta(days=61))
    await service.close()
    await store.aclose()


async def lived(service: OddsService, start: datetime) -> None:
    """Record what happens to event 1, in minutes from the start.

    BetPawa: at 10 the home side's price moves, at 20 its 1X2 is gone, at 30 it is back, with the draw suspended, and
    with a probability of the home side's win. SportyBet: at 15 and 20 a list lacks the event, at 40 it is back.
    """

    def after(minutes: int) -> datetime:
        return start + timedelta(minutes=minutes)

    event = header(Platform.BETPAWA, "betpawa-1", "11", kickoff=after(120), home="Arsenal", away="Bayern München")
    await service.record(mapped(event, X1 | {HOME: 2.5} | OVER_UNDER), after(10))
    await service.record(mapped(event, OVER_UNDER), after(20))
    back = mapped(event, X1 | OVER_UNDER, suspended=frozenset({key("1x2_ft", "X")}))
    await service.record(replace(back, chances={HOME: pack_chance(Chance(0.4, 0.1))}), after(30))
    other = replace(event, platform=Platform.SPORTYBET, external_id="sportybet-1")
    for minutes in (15, 20):
        await service.mark_missing(Platform.SPORTYBET, {"sportybet-2": after(minutes)}, after(minutes))
    await service.record(mapped(other), after(40))
    await service.confirm()

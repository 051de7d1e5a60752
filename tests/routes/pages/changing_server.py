"""A served app whose odds change by themselves: a number of events at each bookmaker, and of changes per second."""

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

from quart_odds.app import create_app
from quart_odds.domain.catalogue import CATALOGUE, pack_key
from quart_odds.domain.clock import utc_now
from quart_odds.domain.fair import Chance, pack_chance
from quart_odds.domain.odds import Competition, EventHeader, MappedEvent, Prices, pack_value
from quart_odds.domain.platforms import Platform
from quart_odds.server.serve import serve
from quart_odds.services import EXTENSION, Services

MARKETS = [CATALOGUE.by_slug[slug] for slug in ("1x2_ft", "double_chance_ft", "btts_ft")]
KEYS = [pack_key(market.number, outcome.index, None) for market in MARKETS for outcome in market.outcomes]


def offered(platform: Platform, number: int, kickoff: datetime, dice: random.Random) -> MappedEvent:
    """Return a match as a bookmaker offers it now."""
    names = (f"Home {number} United", f"Away {number} Rovers")
    header = EventHeader(platform, f"{number}", f"{number}", *names, kickoff, Competition("1", "League", "Nigeria"))
    pairs = [(key, pack_value(round(dice.uniform(1.2, 6.0), 2), is_active=True)) for key in KEYS]
    return MappedEvent(header, Prices.from_pairs(pairs), mapped_markets=len(MARKETS), chances=chances(dice))


def chances(dice: random.Random) -> dict[int, int]:
    """Return probabilities of all outcomes, so that the rows have fair odds."""
    found = {}
    for market in MARKETS:
        parts = [dice.uniform(0.2, 0.4) for _ in market.outcomes]
        for outcome, part in zip(market.outcomes, parts, strict=True):
            win = part / sum(parts) * market.winning_outcomes
            found[pack_key(market.number, outcome.index, None)] = pack_chance(Chance(min(win, 0.99)))
    return found


async def change(parts: Services, events: int, changes_a_second: int) -> None:
    """Fill the cache, then change one event at one bookmaker again and again, at an even pace."""
    dice = random.Random(1)
    began = utc_now() + timedelta(hours=1)
    kickoffs = [began + timedelta(minutes=number) for number in range(events)]
    for number, kickoff in enumerate(kickoffs):
        for platform in Platform:
            await parts.odds_service.record(offered(platform, number, kickoff, dice), utc_now())
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += 1 / changes_a_second
        await asyncio.sleep(max(0.0, due - loop.time()))
        number = dice.randrange(events)
        mapped = offered(dice.choice(list(Platform)), number, kickoffs[number], dice)
        await parts.odds_service.record(mapped, utc_now())


def main(events: int, changes_a_second: int) -> None:
    """Serve until stopped."""
    app = create_app()
    parts: Services = app.extensions[EXTENSION]

    @app.while_serving
    async def changing() -> AsyncGenerator[None, None]:
        task = asyncio.create_task(change(parts, events, changes_a_second))
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(serve(app, "127.0.0.1:0", on_ready=lambda url: print(f"Quart Odds is at {url}", flush=True)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

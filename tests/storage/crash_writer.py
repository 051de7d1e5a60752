"""A process for test_crash: records made-up odds forever, and prints the number of each confirmed scrape."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsService
from quart_odds.storage import open_store
from tests.odds.making import X1, header, key, mapped

EVENTS = 60
HOME, DRAW = key("1x2_ft", "1"), key("1x2_ft", "X")


def odds_of(scrape: int) -> dict[int, float]:
    """Return odds that identify their scrape, with one price that is missing in every other scrape."""
    odds = X1 | {HOME: 1.5 + scrape / 1000}
    if scrape % 2:
        del odds[DRAW]
    return odds


async def main(database_url: str, first_scrape: int) -> None:
    """Record scrapes until the process is killed."""
    store = await open_store(database_url)
    odds_service = OddsService(store)
    await odds_service.load()
    await store.create_run(trigger="api", platforms=list(Platform), started_at=datetime.now(UTC))
    kickoff = datetime.now(UTC) + timedelta(days=1)
    scrape = first_scrape
    while True:
        for number in range(EVENTS):
            for platform in Platform:
                event = header(platform, f"{platform}-{number}", str(number), kickoff=kickoff)
                await odds_service.record(mapped(event, odds_of(scrape)), datetime.now(UTC))
            await asyncio.sleep(0)
        await odds_service.confirm()
        print(scrape, flush=True)
        scrape += 1


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

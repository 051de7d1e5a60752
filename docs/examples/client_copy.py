"""Keep a live copy of the odds of one match: python client_copy.py http://127.0.0.1:8000 12"""

import asyncio
import json
import sys

from quart_odds_client import watch_odds


async def follow(url: str, event_id: int) -> None:
    async with watch_odds(url, event_id=event_id) as watch:
        while True:
            prices = watch.copy.events[event_id].prices()
            shown = {"|".join(map(str, place)): price.odds for place, price in prices if price.available}
            print(json.dumps(shown), flush=True)
            await anext(watch)


asyncio.run(follow(sys.argv[1], int(sys.argv[2])))

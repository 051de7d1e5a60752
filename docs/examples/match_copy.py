"""Keep a live copy of the odds of one match: python match_copy.py http://127.0.0.1:8000 12"""

import asyncio
import json
import sys

import websockets


async def follow(address: str, event_id: str) -> None:
    url = address.replace("http", "ws", 1) + f"/api/ws?topics=odds&event_id={event_id}&cursor=1"
    prices: dict[tuple, float] = {}
    cursor = ""
    while True:
        try:
            async with websockets.connect(url + (f"&since={cursor}" if cursor else "")) as connection:
                async for text in connection:
                    message = json.loads(text)
                    apply(prices, message["type"], message["data"])
                    cursor = message["id"]
                    print(json.dumps({"|".join(map(str, key)): odds for key, odds in prices.items()}), flush=True)
        except (OSError, websockets.WebSocketException):
            await asyncio.sleep(0.5)  # The cursor resumes where the connection ended.


def apply(prices: dict[tuple, float], kind: str, data: dict) -> None:
    if kind == "odds_image":  # The whole state of the match.
        prices.clear()
        for book in (book for event in data["events"] for book in event["markets_by_bookmaker"]):
            for market in book["markets"]:
                place = (book["bookmaker_slug"], market["betpawa_market_id"], market["line"], market["promotion"])
                prices.update(
                    {(*place, each["name"]): each["odds"] for each in market["outcomes"] if each["available"]}
                )
    elif kind == "odds_change":  # What moved.
        for each in data["changes"]:
            key = (data["source"], each["market_id"], each["line"], each["market_promotion"], each["outcome"])
            if each["available"]:
                prices[key] = each["odds"]
            else:
                prices.pop(key, None)


asyncio.run(follow(*sys.argv[1:3]))

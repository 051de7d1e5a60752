"""A served app whose odds a test changes: what the bookmakers offer is posted to it."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from quart import Response, request

from quart_odds.app import create_app
from quart_odds.domain.catalogue import promoted_key
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import KNOWN
from quart_odds.server.serve import serve
from quart_odds.services import EXTENSION, Services
from tests.odds.making import header, key, mapped


def price_key(name: str) -> int:
    """Return the key of a price written as `1x2_ft 1`, `over_under_ft Over 2.5` or `1x2_ft 1 @boosted`."""
    parts = name.split()
    promotion = KNOWN.index(parts.pop()[1:]) if parts[-1].startswith("@") else 0
    line = float(parts[2]) if len(parts) > 2 else None
    plain = key(parts[0], parts[1], line)
    return promoted_key(plain, promotion) if promotion else plain


async def record(parts: Services, offer: Mapping[str, Any]) -> None:
    """Record what a bookmaker offers for a match, or that it no longer has the match (`prices` is null)."""
    platform, number = Platform(offer["platform"]), offer["number"]
    external_id, now = f"{platform}-{number}", utc_now()
    if offer["prices"] is None:
        await parts.odds_service.withdraw(platform, external_id, now)
        return
    home, away = f"Home {number}", f"Away {number}"
    if offer.get("is_reversed"):
        home, away = away, home
    kickoff = utc_now().replace(microsecond=0, second=0, minute=0) + timedelta(minutes=offer["minutes"])
    event = header(platform, external_id, f"7000000{number}", kickoff=kickoff, home=home, away=away)
    prices = {price_key(name): odds for name, odds in offer["prices"].items()}
    suspended = frozenset(price_key(name) for name in offer.get("suspended", ()))
    at = now - timedelta(minutes=offer.get("minutes_ago", 0))
    await parts.odds_service.record(mapped(event, prices, suspended=suspended), at)


def main() -> None:
    """Serve until stopped."""
    app = create_app()
    parts: Services = app.extensions[EXTENSION]

    @app.post("/_offers")
    async def offers() -> Response:
        for each in await request.get_json():
            await record(parts, each)
        await parts.odds_service.confirm()
        return Response("")

    asyncio.run(serve(app, "127.0.0.1:0", on_ready=lambda url: print(f"Quart Odds is at {url}", flush=True)))


if __name__ == "__main__":
    main()

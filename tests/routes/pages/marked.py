"""A database with marked prices: promoted, with reversed sides, fetched in play."""

from datetime import datetime, timedelta
from pathlib import Path

from quart_odds.domain.catalogue import promoted_key
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import Competition
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import BOOSTED, TWO_UP
from quart_odds.odds import OddsService
from quart_odds.storage import open_store
from tests.odds.making import OVER_UNDER, header, key, mapped

LEAGUE = Competition("31", "Premier League", "Nigeria")
HOME, DRAW, AWAY = (key("1x2_ft", name) for name in ("1", "X", "2"))
DOUBLE = {key("double_chance_ft", name): odds for name, odds in (("1X", 1.3), ("12", 1.32), ("X2", 1.75))}
BTTS = {key("btts_ft", "Yes"): 1.9, key("btts_ft", "No"): 1.85}
PLAIN = {HOME: 2.1, DRAW: 3.3, AWAY: 3.4} | OVER_UNDER | DOUBLE | BTTS

PROMOTED, REVERSED, IN_PLAY = 1, 2, 3
"""The ids of the events."""


async def fill(folder: Path) -> None:
    """Store three events in odds.db of this folder: with promotions, with reversed sides, and in play."""
    store = await open_store(f"sqlite:///{folder / 'odds.db'}")
    odds_service = OddsService(store)
    now = utc_now()
    try:
        for minutes, raised in ((30, 2.6), (5, 2.75)):
            await _promoted(odds_service, now, now - timedelta(minutes=minutes), raised)
        for platform in Platform:
            home, away = "Rangers", "Enyimba"
            odds = PLAIN | {HOME: 1.5, DRAW: 4.1, AWAY: 6.5}
            if platform is Platform.BET9JA:
                home, away, odds = away, home, odds | {HOME: 6.5, AWAY: 1.52}
            event = header(
                platform,
                f"{platform}-2",
                "70000002",
                kickoff=now + timedelta(hours=5),
                home=home,
                away=away,
                competition=LEAGUE,
            )
            await odds_service.record(mapped(event, odds), now - timedelta(minutes=4))
        kickoff = now - timedelta(minutes=20)
        for platform in Platform:
            is_late = platform is Platform.SPORTYBET
            odds = PLAIN | ({HOME: 1.12, DRAW: 7.0, AWAY: 21.0} if is_late else {})
            event = header(
                platform,
                f"{platform}-3",
                "70000003",
                kickoff=kickoff,
                home="Kwara United",
                away="Plateau",
                competition=LEAGUE,
            )
            await odds_service.record(mapped(event, odds), now - timedelta(minutes=3 if is_late else 30))
        await odds_service.confirm()
    finally:
        await odds_service.close()
        await store.aclose()


async def _promoted(odds_service: OddsService, now: datetime, seen_at: datetime, raised: float) -> None:
    perked = {promoted_key(each, TWO_UP): odds for each, odds in DOUBLE.items()}
    for platform, odds in (
        (Platform.BETPAWA, {each: value for each, value in PLAIN.items() if each not in DOUBLE} | perked),
        (Platform.SPORTYBET, PLAIN | {promoted_key(HOME, BOOSTED): raised, promoted_key(HOME, TWO_UP): 2.05}),
        (
            Platform.BET9JA,
            {each: value for each, value in PLAIN.items() if each != HOME} | {promoted_key(HOME, BOOSTED): 2.5},
        ),
    ):
        event = header(
            platform,
            f"{platform}-1",
            "70000001",
            kickoff=now + timedelta(hours=3),
            home="Kano Pillars",
            away="Lobi Stars",
            competition=LEAGUE,
        )
        await odds_service.record(mapped(event, odds), seen_at)

"""The movement of prices on the page of odds."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsService
from quart_odds.odds.recent_moves import OutcomeMoves, RecentMoves
from quart_odds.routes.pages.moves import ShownMoves
from quart_odds.routes.pages.rows import EventRows
from quart_odds.storage import Store
from tests.apps import running_app
from tests.odds.making import NOW, X1, header, key, mapped
from tests.redis_servers import running_redis

HOME = key("1x2_ft", "1")
MATCH_RESULT = CATALOGUE.by_slug["1x2_ft"]


@pytest.mark.parametrize(
    ("moves", "text", "words"),
    [
        (OutcomeMoves(), "", ""),
        (OutcomeMoves(opening=3.0), "", ""),
        (
            OutcomeMoves(2.14, -0.84, 0.0),
            "↑2.1 ↓0.8",
            "up 2.1 percent in an hour, down 0.8 percent in a day, unchanged since opening",
        ),
        (OutcomeMoves(0.04, -12.4), "– ↓12", "unchanged in an hour, down 12 percent in a day"),
        (OutcomeMoves(-9.95, None), "↓10 ?", "down 10 percent in an hour"),
        (OutcomeMoves(-0.01, 0.0, 1.0), "–", "unchanged in an hour, unchanged in a day, up 1.0 percent since opening"),
    ],
)
def test_directions_are_arrows_and_words(moves: OutcomeMoves, text: str, words: str) -> None:
    """So nobody needs to see colours, or to see at all."""
    assert ShownMoves.of(moves) == ShownMoves(text, words)


async def test_a_row_is_rendered_again_when_time_alone_ends_a_movement(store: Store) -> None:
    """What moved an hour ago has not moved within the hour, though its event is as it was."""
    now = NOW
    service = OddsService(store, clock=lambda: now)
    moves = RecentMoves(service.cache, store, {MATCH_RESULT.number}, clock=lambda: now)
    service.on_applied = moves.note
    rows = EventRows(stale_after=timedelta(hours=9), moves=moves, clock=lambda: now)
    for minutes, odds in ((0, 2.0), (100, 2.2)):
        now = NOW + timedelta(minutes=minutes)
        await service.record(mapped(header(kickoff=NOW + timedelta(days=2)), X1 | {HOME: odds}), now)

    def shown() -> str:
        (html,) = rows.html(service.cache.by_kickoff(), MATCH_RESULT, None)
        return str(html)

    assert '<span aria-hidden="true">↑10 ?</span>' in shown()
    assert "best moved: up 10 percent in an hour, up 10 percent since opening" in shown()
    now = NOW + timedelta(minutes=160) - timedelta(microseconds=1)
    assert "↑10 ?" in shown()
    now = NOW + timedelta(minutes=160)
    assert '<span aria-hidden="true">– ?</span>' in shown()
    await service.close()


async def test_the_page_of_odds_says_how_prices_moved_before_a_restart(tmp_path: Path) -> None:
    """The server has read it from the history. Other markets and the rows that a script asks for have it, too."""
    now = datetime.now(UTC).replace(microsecond=0)
    event = header(Platform.BETPAWA, kickoff=now + timedelta(days=1))
    async with running_app(tmp_path, "http://127.0.0.1:9") as running:
        for hours, odds in ((30, 2.0), (5, 2.1), (0.5, 2.31)):
            await running.parts.odds_service.record(mapped(event, X1 | {HOME: odds}), now - timedelta(hours=hours))
        await running.parts.odds_service.confirm()
    async with running_app(tmp_path, "http://127.0.0.1:9") as running:
        await running.parts.recent_moves.look()
        for path in ("/odds", "/odds/rows?ids=1"):
            text = await (await running.client.get(path, headers={"Accept": "text/html"})).get_data(as_text=True)
            assert '<span aria-hidden="true">↑10 ↑16</span>' in text, path


async def test_a_process_that_shares_the_log_knows_the_moves_of_what_it_serves(tmp_path: Path) -> None:
    """The odds that it serves come through Redis, also where it writes itself."""
    now = datetime.now(UTC).replace(microsecond=0)
    event = header(Platform.BETPAWA, kickoff=now + timedelta(days=1))
    with running_redis() as redis:
        async with running_app(tmp_path, "http://127.0.0.1:9", engine_url=redis.url) as running:
            async with asyncio.timeout(10):
                while (await running.client.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.02)
            await running.parts.recent_moves.close()  # which would read what is stored
            for minutes, odds in ((90, 2.0), (5, 2.2)):
                await running.parts.odds_service.record(
                    mapped(event, X1 | {HOME: odds}), now - timedelta(minutes=minutes)
                )

            def hour() -> float | None:
                served = running.parts.served.cache.get(1)
                if served is None:
                    return None
                return running.parts.recent_moves.moves_of(served, MATCH_RESULT, None).outcomes[0].hour

            async with asyncio.timeout(10):
                while hour() != 10.0:
                    await asyncio.sleep(0.02)

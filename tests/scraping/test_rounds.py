"""Rounds of polling: scheduled sweeps at stand-in bookmakers, within their budgets."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from tests.apps import Json, RunningApp, running_app, running_sandbox
from tests.platforms import FIRST_THREE

pytestmark = pytest.mark.alone
"""Ages are measured on a real clock."""


async def until(app: RunningApp, path: str, is_there: Callable[[Json], bool]) -> Json:
    """Return the answer of a path once it is as wanted."""
    async with asyncio.timeout(60):
        while True:
            answer: Json = await app.get(path)
            if is_there(answer):
                return answer
            await asyncio.sleep(0.2)


async def test_sweeps_keep_main_prices_fresh_and_fetch_details_within_the_budget(tmp_path: Path) -> None:
    """Without any full run, every event gets its full odds, and no bookmaker gets more requests than allowed."""
    rate = 8
    with running_sandbox("--events", "24", "--markets", "20", "--live-prices") as sandbox:
        rates = {f"{platform}_requests_per_second": rate for platform in FIRST_THREE}
        async with running_app(tmp_path, sandbox.url, sweep_interval_seconds=2, **rates) as app:
            found = await until(
                app,
                "/api/freshness",
                lambda answer: all(
                    each["main"]["p95_seconds"] is not None and each["main"]["p95_seconds"] <= 10
                    for each in answer["bookmakers"]
                ),
            )
            assert [each["bookmaker"] for each in found["bookmakers"]] == list(FIRST_THREE)
            cache = app.parts.odds_service.cache
            async with asyncio.timeout(60):
                while any(
                    odds.detailed_at is None and odds.gone_at is None
                    for event in cache.events.values()
                    for odds in event.odds.values()
                    if event.header.kickoff > utc_now()
                ):
                    await asyncio.sleep(0.2)
            assert await app.get("/api/scrape/runs") == []
            sweeps = await app.get("/api/scrape/runs?mode=sweep")
            assert {each["mode"] for each in sweeps} == {"sweep"}
        for bookmaker in sandbox.state()["bookmakers"].values():
            assert 0 < bookmaker["busiest_ten_seconds"] <= 10 * rate + rate
            assert bookmaker["detail_requests"] > 0


async def test_an_outage_of_one_bookmaker_makes_its_prices_older_and_nothing_else(tmp_path: Path) -> None:
    """Nothing is marked gone, the others stay fresh, and the bookmaker is back as soon as it answers."""
    with running_sandbox("--events", "16", "--markets", "12") as sandbox:
        async with running_app(tmp_path, sandbox.url, sweep_interval_seconds=2) as app:
            cache = app.parts.odds_service.cache

            def gone() -> list[str]:
                every = (each for event in cache.events.values() for each in event.odds.values())
                return [each.header.name for each in every if each.gone_at is not None]

            def ages(answer: Json) -> dict[str, float]:
                return {each["bookmaker"]: each["main"]["p50_seconds"] or 0.0 for each in answer["bookmakers"]}

            await until(app, "/api/freshness", lambda answer: all(each > 0 for each in ages(answer).values()))
            sandbox.strike("500", Platform.BETPAWA)
            answer = await until(app, "/api/freshness", lambda answer: ages(answer)["betpawa"] > 8)
            assert max(age for name, age in ages(answer).items() if name != "betpawa") < 8
            assert gone() == []
            sandbox.strike(None)
            await until(app, "/api/freshness", lambda answer: ages(answer)["betpawa"] < 5)


async def test_sweeps_alone_give_odds_where_lists_have_no_prices(tmp_path: Path) -> None:
    """Events that MSport's list names for the first time are fetched, without any full run."""
    with running_sandbox("--events", "8", "--markets", "12", "--bookmakers", "msport") as sandbox:
        rate = {"msport_requests_per_second": 20}
        async with running_app(tmp_path, sandbox.url, sweep_interval_seconds=2, bookmakers="msport", **rate) as app:
            cache = app.parts.odds_service.cache
            async with asyncio.timeout(60):
                while len(cache.events) < 5:
                    await asyncio.sleep(0.1)
            assert all(len(each.keys) for event in cache.events.values() for each in event.odds.values())
            assert await app.get("/api/scrape/runs") == []

"""The main job on a served app: start a scrape, watch it live in every way, and find its odds at the end."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from websockets.exceptions import ConnectionClosedError

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions, sandbox_process
from tests.platforms import FIRST_THREE
from tests.server.serving import SERVE, Server, acknowledged, at, curl, is_terminal, progress_of, served

Json = dict[str, Any]

SLOW_ENOUGH_MS = 60
"""The latency of the bookmakers with which a run lasts about a second: time to join in the middle."""


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client with a timeout of ten seconds."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as opened:
        yield opened


@contextlib.asynccontextmanager
async def served_app(folder: Path, *, events: int = 24, latency_ms: float = SLOW_ENOUGH_MS) -> AsyncIterator[Server]:
    """Run sandbox bookmakers, and a server that sends each at most two requests at once."""
    options = SandboxOptions(events=events, latency_ms=latency_ms, move=0, bookmakers=FIRST_THREE)
    async with sandbox_process(options) as sandbox:
        slowly = {f"{platform}_concurrency": 2 for platform in Platform}
        async with served(folder, at(sandbox.urls) | slowly) as server:
            yield server


async def late_client(server: Server) -> list[Json]:
    """Return what a client sees that joins in the middle of a run."""
    async with server.websocket("?topics=scrape_progress") as early:
        await acknowledged(early)
        async with asyncio.timeout(20):
            async for text in early:
                if orjson.loads(text)["data"]["current"] > 5:
                    break
    async with server.websocket("?topics=scrape_progress") as late:
        await acknowledged(late)
        return await progress_of(late)


def assert_whole_run(seen: list[Json], platforms: Collection[Platform] = FIRST_THREE) -> None:
    """Check for a whole run: from its first progress to its only terminal one, which is the last."""
    assert seen[0]["phase"] == "initializing"
    assert [is_terminal(each) for each in seen].count(True) == 1
    assert is_terminal(seen[-1])
    assert seen[-1]["phase"] == "completed"
    assert seen[-1]["error"] is None
    assert len({each["scrape_run_id"] for each in seen}) == 1
    assert {each["platform"] for each in seen} == {None, *platforms}
    elapsed = [each["elapsed_ms"] for each in seen]
    assert elapsed == sorted(elapsed)


async def test_curl_and_websockets_see_the_same_run_to_its_end(tmp_path: Path) -> None:
    """`curl -N` starts a run. A client that is already connected sees the same data, and a late one sees it end."""
    async with served_app(tmp_path) as server, server.websocket("?topics=scrape_progress") as first:
        ack = await acknowledged(first)
        assert ack["data"]["topics"] == ["scrape_progress"]
        by_curl, by_websocket, by_late = await asyncio.gather(
            curl(server, "/api/scrape/stream"), progress_of(first), late_client(server)
        )
        assert_whole_run(by_curl)
        assert by_websocket == by_curl
        assert by_late[-1] == by_curl[-1]
        assert 0 < len(by_late) < len(by_curl)
        # A late client gets the newest state, and then everything that follows, without a gap.
        assert all(each in by_curl for each in by_late[:4])
        assert by_late[4:] == by_curl[4 - len(by_late) :]


async def test_a_posted_run_is_reported_to_all_in_the_same_way(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """The answer is 202 with links. The run's stream and the WebSocket match, and a second start is a conflict."""
    async with served_app(tmp_path) as server, server.websocket("?topics=scrape_progress") as first:
        await acknowledged(first)
        async with session.post(f"{server.url}/api/scrape") as response:
            assert response.status == 202
            said = await response.json()
            assert response.headers["Location"] == said["links"]["self"]
        async with session.post(f"{server.url}/api/scrape", json={"platforms": ["betpawa"]}) as response:
            assert response.status == 409
            assert (await response.json())["scrape_run_id"] == said["scrape_run_id"]
        by_curl, by_websocket, by_late = await asyncio.gather(
            curl(server, said["links"]["progress"]), progress_of(first), late_client(server)
        )
        assert_whole_run(by_curl)
        assert by_websocket == by_curl
        assert by_late[-1] == by_curl[-1]
        async with session.get(f"{server.url}{said['links']['self']}") as response:
            row = await response.json()
        assert (row["status"], row["trigger"]) == ("completed", "api")
        assert row["events_scraped"] == by_curl[-1]["events_count"]


async def test_curl_attaches_to_a_run_that_is_going(tmp_path: Path) -> None:
    """Two requests at once get the same run, and both see it from its beginning."""
    async with served_app(tmp_path) as server:
        one, other = await asyncio.gather(curl(server, "/api/scrape/stream"), curl(server, "/api/scrape/stream"))
        assert_whole_run(one)
        assert one == other


async def test_a_signal_in_the_middle_of_a_run_ends_it_in_time(tmp_path: Path) -> None:
    """Streams are told to reconnect, the run is marked as interrupted, and the process ends within two seconds."""
    async with sandbox_process(SandboxOptions(events=60, latency_ms=500, bookmakers=FIRST_THREE)) as sandbox:
        settings = at(sandbox.urls) | {"drain_seconds": 0.2}
        async with served(tmp_path, settings) as server, server.websocket() as listener:
            await acknowledged(listener)
            stream = asyncio.create_task(curl(server, "/api/scrape/stream"))
            async with asyncio.timeout(10):
                await listener.recv()
            assert await server.stop(signal.SIGTERM) < 2
            published = await stream
            assert not any(is_terminal(each) for each in published)
            with contextlib.suppress(ConnectionClosedError):
                while True:
                    await listener.recv()
            assert listener.close_code == 1012
            assert listener.close_reason is not None
            assert listener.close_reason.startswith("retry_ms=")
        async with served(tmp_path, settings) as server:
            [progress] = await curl(server, "/api/scrape/runs/1/progress")
            assert progress["error"]["error_type"] == "interrupted"


async def test_a_recording_of_the_real_sites_gives_the_match_with_its_odds(
    tmp_path: Path, session: aiohttp.ClientSession, recorded: Path
) -> None:
    """The one match that all three recordings contain is shown side by side, with exact prices."""
    async with (
        sandbox_process(SandboxOptions(replay=recorded, bookmakers=FIRST_THREE)) as sandbox,
        served(tmp_path, at(sandbox.urls) | {"retry_wait_seconds": 0.05}) as server,
    ):
        published = await curl(server, "/api/scrape/stream")
        assert published[-1]["phase"] == "completed"
        async with session.get(f"{server.url}/api/events", params={"include_started": "true"}) as response:
            events = (await response.json())["events"]
        [event] = [each for each in events if each["sportradar_id"] == "68995116"]
        assert event["kickoff"] == "2026-05-06T11:00:00.000Z"
        assert event["home_team"].startswith("Wuhan Three Towns")
        assert event["away_team"].startswith("Qingdao Hainiu")
        async with session.get(f"{server.url}/api/events/{event['id']}") as response:
            detail = await response.json()
    expected = {
        "betpawa": {"3743": [2.41, 3.29, 3.02], "5000": [1.98, 1.83], "3795": [1.77, 2.06], "4693": [1.39, 1.35, 1.56]},
        "sportybet": {"3743": [2.4, 3.3, 3.0], "5000": [1.96, 1.81], "3795": [1.74, 2.0], "4693": [1.37, 1.34, 1.53]},
        "bet9ja": {"3743": [2.42, 3.1, 2.93], "5000": [1.9, 1.8], "3795": [1.67, 2.08], "4693": [1.34, 1.3, 1.48]},
    }
    names = {"3743": ["1", "X", "2"], "5000": ["Over", "Under"], "3795": ["Yes", "No"], "4693": ["1X", "12", "X2"]}
    listed = {each["bookmaker_slug"]: each["inline_odds"] for each in event["bookmakers"]}
    whole = {each["bookmaker_slug"]: each["markets"] for each in detail["markets_by_bookmaker"]}
    for bookmaker, markets in expected.items():
        for market, odds in markets.items():
            line = 2.5 if market == "5000" else None
            pairs = list(zip(names[market], odds, strict=True))
            [inline] = [each for each in listed[bookmaker] if each["market_id"] == market]
            assert inline["line"] == line
            assert [(each["name"], each["odds"]) for each in inline["outcomes"]] == pairs
            [full] = [each for each in whole[bookmaker] if each["betpawa_market_id"] == market and each["line"] == line]
            assert [(each["name"], each["odds"]) for each in full["outcomes"]] == pairs


async def test_the_sandbox_beside_the_server_has_all_bookmakers_and_most_events_at_each(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """`serve --sandbox` is a single command, with a separate database, and a run of sixty events."""
    async with served(tmp_path, None, [*SERVE, "--sandbox", "--latency-ms", "20"]) as server:
        published = await curl(server, "/api/scrape/stream")
        assert_whole_run(published, list(Platform))
        async with session.get(f"{server.url}/api/events", params={"page_size": 100}) as response:
            answer = await response.json()
        assert answer["total"] >= 30
        complete = [each for each in answer["events"] if all(b["has_odds"] for b in each["bookmakers"])]
        at_all = [each for each in complete if len(each["bookmakers"]) == len(Platform)]
        assert len(at_all) > len(answer["events"]) / 2
        assert await server.stop(signal.SIGINT) < 3


async def test_the_sandbox_keeps_a_database_of_its_own(tmp_path: Path) -> None:
    """Without a database setting, sandbox odds go to a different file than real ones."""
    command = [*SERVE, "--sandbox", "--latency-ms", "1", "--events", "5"]
    async with served(tmp_path, {"database_url": None}, command) as server:
        await server.stop()
    assert (tmp_path / "quart-odds-sandbox.db").is_file()
    assert not (tmp_path / "quart-odds.db").exists()


async def test_plain_hypercorn_serves_and_scrapes_as_well(tmp_path: Path) -> None:
    """With `hypercorn 'quart_odds:create_app()'` every client sees the same run, on the standard lane."""
    options = SandboxOptions(events=12, latency_ms=SLOW_ENOUGH_MS, move=0, bookmakers=FIRST_THREE)
    async with sandbox_process(options) as sandbox:
        command = [sys.executable, "-m", "hypercorn", "--bind", "127.0.0.1:0"]
        async with served(tmp_path, at(sandbox.urls), [*command, "quart_odds:create_app()"]) as server:
            async with server.websocket("?topics=scrape_progress") as first:
                await acknowledged(first)
                by_curl, by_websocket = await asyncio.gather(curl(server, "/api/scrape/stream"), progress_of(first))
            assert_whole_run(by_curl)
            assert by_websocket == by_curl

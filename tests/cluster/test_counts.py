"""What several processes do together, as any of them tells it: listeners, watched events, schedule and cursors."""

import asyncio
import sys
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions
from tests.apps import running_app
from tests.cluster.several import WAIT_SECONDS, Cluster, cluster
from tests.cluster.test_forwarding import send
from tests.odds.making import X1, header, mapped
from tests.platforms import FIRST_THREE
from tests.redis_servers import running_redis
from tests.server.serving import SERVE, Json, Server, acknowledged
from tests.server.test_two_servers import ask, scrape

NOWHERE = "http://127.0.0.1:9"
"""The discard port: no bookmaker is asked."""

LONG_AGO = "2000-01-01T00:00:00Z"

HURRIED = (
    sys.executable,
    "-c",
    "from quart_odds.scraping import polling\n"
    "polling.WATCHED_INTERVAL_SECONDS = polling.LEAST_AGE_SECONDS = 0.5\n"
    "from quart_odds.cli import main\n"
    "main()",
    *SERVE[3:],
)
"""Serves with the pace of watched events that fits a test."""


async def health(server: Server) -> Json:
    """Return the health report."""
    return dict((await ask(server, "/api/health"))[1])


async def metrics(server: Server) -> dict[str, float]:
    """Return the value of each series."""
    text = (await send(server, "GET", "/metrics"))[2].decode()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    }


async def until_all_say(processes: Cluster, *servers: Server, **numbers: object) -> Json:
    """Return what is said of the cluster once all these processes say the same, with these numbers in it."""
    said: list[Json | None] = []

    async def agree() -> bool:
        nonlocal said
        said = [(await health(each))["cluster"] for each in servers]
        return all(each == said[0] for each in said) and said[0] is not None and numbers.items() <= said[0].items()

    try:
        await processes.until(agree)
    except TimeoutError:
        raise AssertionError(f"{numbers} is not what they say: {said}") from None
    assert said[0] is not None
    return said[0]


async def changed(server: Server, cursor: str, tag: str = "") -> tuple[int, set[int], str, str]:
    """Return the status, the ids of the events that changed since a cursor, the next cursor, and the ETag."""
    headers = {"If-None-Match": tag} if tag else None
    path = f"/api/events?include_started=true&page_size=100&changed_since={cursor}"
    status, answered, body = await send(server, "GET", path, headers)
    ids = {each["id"] for each in orjson.loads(body)["events"]} if body else set()
    named = {name.lower(): value for name, value in answered.items()}
    return status, ids, named["odds-cursor"], named["etag"]


async def until_begun_anew(processes: Cluster, server: Server, cursor: str) -> None:
    """Wait until a process no longer takes a cursor."""

    async def has_begun() -> bool:
        return (await changed(server, LONG_AGO))[2].partition("-")[0] != cursor.partition("-")[0]

    await processes.until(has_begun)


@pytest.mark.postgres
async def test_every_process_tells_what_all_do_and_takes_the_cursors_of_all(tmp_path: Path, postgres: str) -> None:
    """Each tells its own numbers and those of all, the same ones everywhere. A dead process does not count.

    What changed since a cursor of `/api/events` is the same everywhere. After a take-over, all events are told again.
    """
    sandbox = SandboxOptions(events=8, latency_ms=20, move=0.3, markets=10, bookmakers=FIRST_THREE)
    async with cluster(tmp_path, postgres, 2, sandbox=sandbox, scrape_interval_minutes=60) as processes:
        writer, follower = processes.servers
        assert (await scrape(writer))["status"] == "completed"
        everything = set(await processes.same_events(writer, follower))
        event_id = min(everything)

        status, ids, cursor, tag = await changed(writer, LONG_AGO)
        assert (status, ids) == (200, everything)
        assert await changed(follower, LONG_AGO, tag) == (304, set(), cursor, tag)
        assert (await changed(follower, cursor))[:3] == (200, set(), cursor)
        found = await changed(writer, cursor)
        async with asyncio.timeout(WAIT_SECONDS):
            while not found[1]:
                await ask(follower, f"/api/events/{event_id}/refresh", "POST")
                found = await changed(writer, cursor)
        assert found[1] == {event_id}

        async def is_level() -> bool:
            nonlocal found
            found = await changed(writer, cursor)
            return await changed(follower, cursor) == found

        await processes.until(is_level)
        cursor = found[2]

        async with AsyncExitStack() as listeners:
            for server, query in (
                (writer, "?topics=odds_updates"),
                (follower, f"?topics=odds_updates,scrape_progress&watch={event_id},12345"),
                (follower, f"?topics=odds&event_id={event_id}"),
            ):
                await acknowledged(await listeners.enter_async_context(server.websocket(query)))
            said = await until_all_say(processes, writer, follower, active_count=3, watched_events=1)
            assert said["topic_counts"] == {
                "alerts": 0,
                "odds": 1,
                "odds_updates": 2,
                "opportunities": 0,
                "scrape_progress": 1,
            }
            assert (said["level"], said["connections"]) == (True, 3)
            for server, role, count in ((writer, "writer", 1), (follower, "follower", 2)):
                own = (await health(server))["process"]
                assert (own["role"], own["active_count"], own["pid"]) == (role, count, server.process.pid)
                assert own in said["processes"]
                values = await metrics(server)
                assert values["quart_odds_listeners"] == values["quart_odds_connections"] == count
                assert values["quart_odds_cluster_listeners"] == values["quart_odds_cluster_connections"] == 3
                assert values['quart_odds_cluster_subscribers{topic="odds_updates"}'] == 2
                assert values['quart_odds_cluster_processes{role="writer"}'] == 1
                assert values['quart_odds_cluster_processes{role="follower"}'] == 1
                assert values["quart_odds_cluster_watched_events"] == values["quart_odds_cluster_level"] == 1
                if role == "writer":
                    assert own["name"] == said["writer"]
            # Each process has a timer. What is told is the writer's.
            own, told = [(await ask(each, "/api/scheduler/status"))[1] for each in (writer, follower)]
            assert own == told
            assert own["jobs"][0]["next_run"] is not None
            for word in ("pause", "resume"):
                await ask(follower, f"/api/scheduler/{word}", "POST")
                own, told = [(await ask(each, "/api/scheduler/status"))[1] for each in (writer, follower)]
                assert (own, told["paused"]) == (told, word == "pause")

            writer.process.kill()
            await writer.process.wait()
            said = await until_all_say(processes, follower, active_count=2)
            assert [each["pid"] for each in said["processes"]] == [follower.process.pid]
            await until_all_say(processes, follower, writer=said["processes"][0]["name"])
        await until_all_say(processes, follower, active_count=0, watched_events=0)
        await until_begun_anew(processes, follower, cursor)
        assert (await changed(follower, cursor))[1] == everything


async def fetched(server: Server) -> dict[int, datetime]:
    """Return when BetPawa was last asked for each event itself, as opposed to a list."""
    page = (await ask(server, "/api/events?include_started=true&page_size=100"))[1]
    return {
        event["id"]: datetime.fromisoformat(each["snapshot_time"])
        for event in page["events"]
        for each in event["bookmakers"]
        if each["bookmaker_slug"] == "betpawa"
    }


async def test_what_is_watched_at_a_follower_is_watched_for_the_writer(tmp_path: Path) -> None:
    """As long as the client is there, and only what there is to fetch."""
    with running_redis() as redis:
        async with (
            running_app(tmp_path, NOWHERE, engine_url=redis.url) as writer,
            running_app(tmp_path, NOWHERE, engine_url=redis.url) as follower,
        ):
            assert [each.parts.role for each in (writer, follower)] == ["writer", "follower"]
            event = header(Platform.BETPAWA, "1", "11", kickoff=utc_now() + timedelta(hours=2))
            change = await writer.parts.odds_service.record(mapped(event, X1), utc_now())
            watched = writer.parts.watched
            async with asyncio.timeout(WAIT_SECONDS):
                async with follower.client.websocket(f"/api/ws?watch={change.event_id},7") as listener:
                    await listener.receive()
                    while change.event_id not in watched:
                        await asyncio.sleep(0.05)
                    assert 7 not in watched
                while change.event_id in watched:
                    await asyncio.sleep(0.05)


@pytest.mark.endurance
@pytest.mark.postgres
async def test_the_writer_fetches_what_is_watched_at_another_process(tmp_path: Path, postgres: str) -> None:
    """As often as if the client were its own, and no longer when that process is gone.

    The budget allows one or two events a round: the one that is watched, or those whose turn it is.
    """
    rates: dict[str, Any] = {f"{each}_requests_per_second": 1 for each in ("betpawa", "sportybet", "bet9ja")}
    sandbox = SandboxOptions(events=8, latency_ms=20, move=0, markets=10, bookmakers=FIRST_THREE)
    async with cluster(tmp_path, postgres, 2, sandbox=sandbox, command=HURRIED, **rates) as processes:
        writer, follower = processes.servers
        assert (await scrape(writer))["status"] == "completed"
        at = await fetched(writer)
        soon = utc_now() + timedelta(hours=3)
        page = (await ask(writer, "/api/events?page_size=100&min_bookmakers=3"))[1]["events"]
        watched = next(
            each["id"] for each in page if each["id"] in at and datetime.fromisoformat(each["kickoff"]) > soon
        )

        async def fetches(count: int, *, of_watched: bool) -> dict[int, int]:
            """Return how often each event was fetched, once the watched one, or others, were so many times."""
            last, found = await fetched(writer), dict.fromkeys(at, 0)
            async with asyncio.timeout(WAIT_SECONDS):
                while sum(n for event_id, n in found.items() if (event_id == watched) is of_watched) < count:
                    await asyncio.sleep(0.1)
                    now = await fetched(writer)
                    for event_id, moment in now.items():
                        found[event_id] += moment != last[event_id]
                    last = now
            return found

        async with follower.websocket(f"?topics=odds_updates&watch={watched}") as listener:
            await acknowledged(listener)
            await until_all_say(processes, writer, watched_events=1)
            assert (await send(writer, "PUT", "/api/settings", json={"sweepIntervalSeconds": 2}))[0] == 200
            await fetches(1, of_watched=True)
            found = await fetches(3, of_watched=True)
            assert max(count for event_id, count in found.items() if event_id != watched) <= 1, found
            follower.process.kill()
            await follower.process.wait()
        await until_all_say(processes, writer, watched_events=0)
        await fetches(1, of_watched=False)
        found = await fetches(4, of_watched=False)
        assert found[watched] <= 1, found

"""Several processes that are one server."""

import asyncio
from pathlib import Path

import pytest

from tests.cluster.conftest import Place
from tests.cluster.several import Listener, cluster
from tests.server.following import WebSocketFollower
from tests.server.serving import curl
from tests.server.test_two_servers import ask, ended, scrape, until_ready
from tests.websocket.copies import prices_of


@pytest.mark.postgres
async def test_every_process_serves_the_same_odds_and_tells_the_same_messages(tmp_path: Path, place: Place) -> None:
    """A run that is started at one that does not write is observed everywhere, with the same cursors."""
    async with cluster(tmp_path, place.postgres, 3, network=place.network) as processes:
        writing, one, other = processes.servers
        listeners = [Listener("scrape_progress,odds_updates,odds") for _ in processes.servers]
        for listener, server in zip(listeners, processes.servers, strict=True):
            await listener.listen(server)
        status, started = await ask(one, "/api/scrape", "POST")
        assert status == 202, started
        run_id = started["scrape_run_id"]
        progress = await curl(other, f"/api/scrape/runs/{run_id}/progress")
        assert progress[0]["phase"] == "initializing"
        assert (progress[-1]["platform"], progress[-1]["phase"]) == (None, "completed")
        assert progress == await curl(writing, f"/api/scrape/runs/{run_id}/progress")
        for listener in listeners:
            await listener.until(lambda listener=listener: bool(listener.ends))  # type: ignore[misc]
        shown = await processes.same_events(*processes.servers)
        assert len(shown) >= 12
        first, *rest = [
            [(each["id"], each["type"], each["data"]) for each in listener.messages] for listener in listeners
        ]
        assert len(first) > 50
        common = min(len(each) for each in (first, *rest))
        assert all(each[:common] == first[:common] for each in rest)
        for listener in listeners:
            await listener.leave()


@pytest.mark.postgres
async def test_a_listener_that_is_cut_resumes_at_another_process_without_gap_or_repeat(
    tmp_path: Path, place: Place
) -> None:
    """Again and again during a run, by its cursor alone."""
    async with cluster(tmp_path, place.postgres, 2, network=place.network) as processes:
        still, moving = Listener(), Listener()
        await still.listen(processes.servers[0])
        await moving.listen(processes.servers[1])
        _, started = await ask(processes.servers[1], "/api/scrape", "POST")
        for number in range(6):
            had = len(moving.messages)
            await moving.until(lambda had=had: len(moving.messages) > had or bool(still.ends))  # type: ignore[misc]
            await moving.leave()
            await moving.listen(processes.servers[number % 2])
        for each in (still, moving):
            await each.until(lambda each=each: (started["scrape_run_id"], "completed") in each.ends)  # type: ignore[misc]
        assert all(ack.get("recovered", True) for ack in moving.acks)
        progress = [
            [(each["id"], each["data"]) for each in listener.messages if each["type"] == "scrape_progress"]
            for listener in (still, moving)
        ]
        assert progress[0] == progress[1]
        await still.leave()
        await moving.leave()


@pytest.mark.endurance
@pytest.mark.postgres
async def test_two_starts_at_different_processes_make_one_run(tmp_path: Path, place: Place) -> None:
    """The second is told of the first."""
    async with cluster(tmp_path, place.postgres, 2, network=place.network) as processes:
        answers = await asyncio.gather(*(ask(each, "/api/scrape", "POST") for each in processes.servers))
        assert sorted(status for status, _ in answers) == [202, 409]
        assert len({body["scrape_run_id"] for _, body in answers}) == 1
        await ended(processes.servers[1], answers[0][1]["scrape_run_id"])


@pytest.mark.endurance
@pytest.mark.postgres
async def test_another_process_goes_on_when_the_writer_is_killed_in_a_run(tmp_path: Path, postgres: str) -> None:
    """It ends that run as interrupted, tells it on the log, and serves what was confirmed."""
    async with cluster(tmp_path, postgres, 2) as processes:
        writing, other = processes.servers
        assert (await scrape(writing))["status"] == "completed"
        confirmed = await processes.same_events(writing, other)
        listener = Listener()
        await listener.listen(other)
        _, started = await ask(other, "/api/scrape", "POST")
        run_id = started["scrape_run_id"]
        await listener.until(lambda: len(listener.messages) > 5)
        writing.process.kill()
        await writing.process.wait()
        await listener.until(lambda: (run_id, "failed") in listener.ends or (run_id, "interrupted") in listener.ends)
        row = await ended(other, run_id)
        assert row["status"] == "interrupted"
        assert (await scrape(other))["status"] == "completed"
        now = await processes.events(other)
        assert set(confirmed) <= set(now)
        third = await processes.start()
        assert await processes.same_events(other, third)
        await listener.leave()


@pytest.mark.endurance
@pytest.mark.postgres
async def test_redis_that_loses_everything_is_told_and_nothing_else_stops(tmp_path: Path, postgres: str) -> None:
    """Scraping goes on without Redis, /readyz is red, and everything resumes by itself.

    The end of a run is told although Redis was away, and although the writer was killed before it could tell it.
    """
    async with cluster(tmp_path, postgres, 2) as processes:
        writing, other = processes.servers
        assert (await scrape(writing))["status"] == "completed"
        listener = Listener("scrape_progress,odds_updates")
        await listener.listen(other)
        processes.redis.kill()

        await until_ready(other, 503)
        await listener.until(lambda: any(each["data"].get("code") == "degraded" for each in listener.messages))
        _, started = await ask(writing, "/api/scrape", "POST")
        assert (await ended(writing, started["scrape_run_id"]))["status"] == "completed"
        processes.redis.start()
        for each in processes.servers:
            await until_ready(each, 200)
        await listener.until(lambda: any(each["data"].get("code") == "gap" for each in listener.messages))
        shown = await processes.same_events(writing, other)
        assert shown
        await listener.until(lambda: (started["scrape_run_id"], "completed") in listener.ends)
        row = await scrape(other)
        await listener.until(lambda: (row["scrape_run_id"], "completed") in listener.ends)

        processes.redis.kill()
        row = await scrape(writing)
        await processes.kill(writing)
        processes.redis.start()
        await listener.until(lambda: (row["scrape_run_id"], "completed") in listener.ends)
        await listener.leave()


@pytest.mark.endurance
@pytest.mark.postgres
async def test_an_image_and_changes_at_a_process_equal_what_the_writer_serves(tmp_path: Path, place: Place) -> None:
    """A copy that is kept at a process that does not write, through runs."""
    async with cluster(tmp_path, place.postgres, 2, network=place.network) as processes:
        writing, other = processes.servers
        assert (await scrape(writing))["status"] == "completed"
        shown = await processes.same_events(writing, other)
        ids = sorted(shown)[:5]
        follower = WebSocketFollower(other.port, f"topics=odds&market=all&event_id={','.join(map(str, ids))}")
        following = asyncio.create_task(follower.follow())
        for each in (other, writing, other):
            assert (await scrape(each))["status"] == "completed"
        shown = await processes.same_events(writing, other)
        wanted = {each: prices_of(shown[each]["markets_by_bookmaker"]) for each in ids}

        async def is_equal() -> bool:
            return {each: copied.prices for each, copied in follower.copy.events.items()} == wanted

        await processes.until(is_equal)
        assert follower.changes > 0
        following.cancel()
        await asyncio.wait([following])

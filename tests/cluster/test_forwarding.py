"""Servers that share PostgreSQL and Redis: each takes every request, and the writer carries out what only it can."""

import asyncio
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from quart_odds.app import create_app
from quart_odds.routes.access.forwarding import CARRIED_OUT_BY_WRITER
from quart_odds.routes.access.same_origin import CHECKED
from quart_odds.sandbox import SandboxOptions
from quart_odds.settings import load_settings
from tests.apps import running_app, running_sandbox
from tests.cluster.several import cluster
from tests.platforms import FIRST_THREE
from tests.redis_servers import running_redis
from tests.server.serving import Json, Server
from tests.server.test_two_servers import ask, ended, until_ready

PATIENCE_SECONDS = 40
FOREIGN = {"Origin": "https://evil.example"}


def test_every_route_that_changes_something_is_for_the_writer() -> None:
    """A route that is guarded by `same_origin_only` is also forwarded, except those that are live connections.

    Targets of alerts, tokens, sessions and tickets, with their secrets, do not pass through Redis: any process may
    store them.
    """
    app = create_app(load_settings({}))
    guarded = {rule.rule for rule in app.url_map.iter_rules() if getattr(app.view_functions[rule.endpoint], CHECKED, 0)}
    forwarded = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if getattr(app.view_functions[rule.endpoint], CARRIED_OUT_BY_WRITER, 0)
    }
    kept_apart = ("/api/alerts/targets", "/alerts/targets", "/settings/tokens")
    targets = {path for path in guarded if path.startswith(kept_apart)}
    secret = targets | {"/login", "/logout", "/api/tickets"}
    assert guarded - forwarded - secret == {"/api/ws", "/api/scrape/stream"}
    assert secret <= guarded
    assert not forwarded & secret
    assert forwarded <= guarded


SANDBOX = SandboxOptions(events=6, latency_ms=60, move=0, bookmakers=FIRST_THREE)


async def send(
    server: Server, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any
) -> tuple[int, Mapping[str, str], bytes]:
    """Return status, headers and body of a response, without following redirects."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE_SECONDS)) as session,
        session.request(method, f"{server.url}{path}", headers=headers, allow_redirects=False, **options) as answer,
    ):
        return answer.status, dict(answer.headers), await answer.read()


async def role(server: Server) -> Json:
    """Return what a server says of its role."""
    health = (await ask(server, "/api/health"))[1]
    return {name: health[name] for name in ("role", "term", "holder", "writer")}


@pytest.mark.postgres
async def test_each_process_takes_every_request(tmp_path: Path, postgres: str) -> None:
    """A follower answers as the writer would; its own checks come first; of two starts at once, one makes a run."""
    async with cluster(tmp_path, postgres, 3, sandbox=SANDBOX, drain_seconds=0.2) as processes:
        writer, one, other = processes.servers
        told = [await role(each) for each in (writer, one, other)]
        assert [each["role"] for each in told] == ["writer", "follower", "follower"]
        assert len({(each["term"], each["holder"]) for each in told}) == 1
        metrics = (await send(one, "GET", "/metrics"))[2].decode()
        assert 'quart_odds_role{holder="' in metrics
        assert 'role="follower"} 1.0' in metrics
        assert (await until_ready(one, 200))["role"] == "follower"

        # Access checks and limits hold at the process that receives the request.
        for path in ("/api/scrape", "/runs", "/schedule/pause"):
            assert (await send(one, "POST", path, FOREIGN))[0] == 403
        assert (await send(one, "POST", "/api/scrape", data=b"x" * 70_000))[0] == 413
        assert (await ask(writer, "/api/scrape/runs"))[1] == []

        # The first of two starts makes a run, and the second gets the answer that it would get at one process.
        answers = await asyncio.gather(*(ask(each, "/api/scrape", "POST") for each in (one, other)))
        (accepted, started), (refused, problem) = sorted(answers, key=lambda answer: answer[0])
        assert (accepted, refused) == (202, 409)
        run_id = started["scrape_run_id"]
        assert problem["scrape_run_id"] == run_id
        assert problem["instance"] == "/api/scrape"
        assert (await ended(one, run_id))["status"] == "completed"

        # What the writer says of a request is what the client gets.
        said = [await send(each, "POST", "/api/scrape", json={"platforms": ["nobody"]}) for each in (writer, one)]
        assert said[0][0] == said[1][0] == 400
        assert said[0][2] == said[1][2]
        assert said[1][1]["Content-Type"] == "application/problem+json"
        assert (await ask(one, "/api/scrape/99/cancel", "POST"))[0] == 404
        status, refreshed = await ask(one, "/api/events/1/refresh", "POST")
        assert (status, refreshed["status"]) == (200, "completed")

        # Forms of pages, and settings, which other processes learn.
        status, headers, _ = await send(one, "POST", "/schedule/pause", {"Origin": one.url})
        assert (status, headers["Location"]) == (303, "/")
        status, _, _ = await send(other, "PUT", "/api/settings", json={"oddsRetentionDays": 17})
        assert status == 200
        async with asyncio.timeout(PATIENCE_SECONDS):
            for each in (writer, one, other):
                while not (
                    (await ask(each, "/api/settings"))[1]["oddsRetentionDays"] == 17
                    and (await ask(each, "/api/scheduler/status"))[1]["paused"]
                ):
                    await asyncio.sleep(0.05)

        # A stream at a follower starts the run at the writer.
        await send(one, "GET", "/api/scrape/stream")
        (newest, *_) = (await ask(writer, "/api/scrape/runs"))[1]
        assert (newest["id"], newest["trigger"]) == (run_id + 1, "api-stream")
        await ask(other, f"/api/scrape/{newest['id']}/cancel", "POST")
        assert (await ended(one, newest["id"]))["status"] in ("cancelled", "completed")

        processes.redis.kill()
        body = await until_ready(one, 503)
        assert body["status"] in ("not level", "no redis")
        assert body["role"] == "follower"
        status, headers, _ = await send(one, "POST", "/api/scrape")
        assert (status, headers["Retry-After"]) == (503, "2")
        await until_ready(writer, 503)


async def test_a_follower_tells_of_an_active_run_what_the_writer_knows(tmp_path: Path) -> None:
    """The database has only its start; phases and counts are in the memory of the writer."""
    with running_redis() as redis, running_sandbox("--events", "4") as bookmakers:
        bookmakers.strike("timeout", *FIRST_THREE)
        async with (
            running_app(tmp_path, bookmakers.url, engine_url=redis.url) as writer,
            running_app(tmp_path, bookmakers.url, engine_url=redis.url) as follower,
        ):
            run_id = await writer.start()
            path = f"/api/scrape/{run_id}"
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (phases := await writer.get(f"/api/scrape/runs/{run_id}/phases")):
                    await asyncio.sleep(0.01)
            assert await follower.get(f"/api/scrape/runs/{run_id}/phases") == phases
            own, told = await writer.get(path), await follower.get(path)
            assert (told["status"], told["platforms"]) == ("running", own["platforms"])
            assert (await follower.client.head(path)).status_code == 200
            # Without the writer, what is stored has to do.
            redis.kill()
            assert (await follower.get(path))["status"] == "running"
            await writer.ask("POST", f"{path}/cancel")
            await writer.published(run_id)


@pytest.mark.endurance
@pytest.mark.postgres
async def test_a_request_to_a_writer_that_hangs_is_answered_and_not_carried_out_later(
    tmp_path: Path, postgres: str
) -> None:
    """The client gets a 503 soon; the other process takes over; the former writer finds nothing to carry out."""
    async with cluster(tmp_path, postgres, 2, sandbox=SANDBOX, drain_seconds=0.2) as processes:
        writer, follower = processes.servers
        before = await role(writer)
        writer.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        status, headers, body = await send(follower, "POST", "/api/scrape")
        assert (status, headers["Content-Type"]) == (503, "application/problem+json")
        assert headers["Retry-After"] == "2"
        assert b"was not carried out" in body
        assert time.monotonic() - began < 15
        await until_ready(follower, 200)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (now := await role(follower))["role"] != "writer":
                await asyncio.sleep(0.05)
        assert now["term"] == before["term"] + 1
        status, started = await ask(follower, "/api/scrape", "POST")
        assert status == 202
        writer.process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await role(writer)) != {**now, "role": "follower", "writer": False}:
                await asyncio.sleep(0.05)
        assert (await ended(writer, started["scrape_run_id"]))["status"] == "completed"
        # Now the other way round.
        status, again = await ask(writer, "/api/scrape", "POST")
        assert status == 202
        assert (await ended(follower, again["scrape_run_id"]))["status"] == "completed"
        assert len((await ask(follower, "/api/scrape/runs"))[1]) == 2

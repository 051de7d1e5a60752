"""Failovers of Redis under load: Sentinel promotes a replica that is level, or lacks what was written last.

In the ordinary suite each kind happens once; under `endurance` fifty times. QUART_ODDS_TEST_SEED repeats the random
choices of a failure.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.audit import FIFTY, Audit, audited, chosen_seed
from tests.cluster.several import Cluster, Listener, cluster
from tests.sentinels import WatchedRedis, watched_redis
from tests.server.test_two_servers import scrape, until_ready

pytestmark = [pytest.mark.long, pytest.mark.postgres, pytest.mark.timeout(300)]

FAILOVERS = int(os.environ.get("QUART_ODDS_TEST_FAILOVERS") or 50)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a failover happens to."""

    processes: Cluster
    redis: WatchedRedis
    audit: Audit


Failover = Callable[[Scene], Awaitable[None]]


async def to_level_replica(scene: Scene) -> None:
    """The primary ends when the replica has everything. The log goes on, and nobody is told of a gap."""
    listeners = [Listener() for _ in scene.processes.servers]
    for listener, server in zip(listeners, scene.processes.servers, strict=True):
        await listener.listen(server)
    await asyncio.to_thread(scene.redis.fail_over, signal.SIGTERM)
    await _ready(scene)
    run_id = await scene.audit.load.run()
    for listener in listeners:
        await listener.until(lambda listener=listener: run_id in {each for each, _ in listener.ends})  # type: ignore[misc]
        told = [each["data"] for each in listener.messages if each["type"] == "error"]
        assert not [each for each in told if each["code"] == "gap"], told
        await listener.leave()


async def to_lagging_replica(scene: Scene) -> None:
    """The primary is killed, and the replica lacks what was written last. Everybody is told."""
    await asyncio.to_thread(scene.redis.let_replica_lag)
    run_id = await scene.audit.load.run()
    await scene.audit.pause(0, 1)
    await asyncio.to_thread(scene.redis.fail_over)
    assert run_id in scene.audit.load.runs


async def to_lagging_replica_without_writer(scene: Scene) -> None:
    """The writer is killed together with the primary, as on one machine. Another process knows less than was told."""
    await asyncio.to_thread(scene.redis.let_replica_lag)
    await scene.audit.load.run()
    await scene.audit.pause(0, 1)
    writing = await scene.processes.writer()
    await scene.processes.kill(writing)
    await asyncio.to_thread(scene.redis.fail_over)
    await scene.processes.writer()
    await scene.processes.start()


KINDS: tuple[Failover, ...] = (to_lagging_replica, to_level_replica, to_lagging_replica_without_writer)


async def _ready(scene: Scene) -> None:
    for each in scene.processes.servers:
        await until_ready(each, 200)


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param(KINDS, id="each-once"),
        *(pytest.param((kind,) * FAILOVERS, id=kind.__name__, marks=FIFTY) for kind in KINDS),
    ],
)
async def test_a_failover_loses_nothing_silently(tmp_path: Path, postgres: str, kinds: tuple[Failover, ...]) -> None:
    """The processes follow Sentinel by themselves. What the new primary lacks is told as a gap."""
    seed = chosen_seed()
    with watched_redis() as redis:
        async with cluster(tmp_path, postgres, 2, engine_url=redis.url) as processes:
            assert (await scrape(processes.servers[0]))["status"] == "completed"
            async with audited(processes, seed=seed) as audit:
                scene = Scene(processes, redis, audit)
                for each in audit.randomness.sample(kinds, len(kinds)):
                    await audit.pause()
                    await each(scene)
                    await audit.recovered()
                    await asyncio.to_thread(redis.mend)


async def test_without_sentinels_a_process_that_loses_its_connections_says_so_and_goes_on_when_they_are_back(
    tmp_path: Path, postgres: str
) -> None:
    """A new connection needs a sentinel. The first of the list is enough of them, or any other one."""
    with watched_redis() as redis:
        async with cluster(tmp_path, postgres, 2, engine_url=redis.url) as processes:
            listener = Listener()
            await listener.listen(processes.servers[1])
            for each in redis.sentinels:
                each.kill()
            with redis.primary.client() as client:
                client.execute_command("CLIENT", "KILL", "TYPE", "normal")
            for server in processes.servers:
                await until_ready(server, 503)
            await listener.until(lambda: any(each["data"].get("code") == "degraded" for each in listener.messages))
            await asyncio.to_thread(redis.sentinels[-1].start)
            for server in processes.servers:
                await until_ready(server, 200)
            assert (await scrape(processes.servers[1]))["status"] == "completed"
            await listener.until(lambda: bool(listener.ends))
            assert "gap" not in {each["data"].get("code") for each in listener.messages}
            await listener.leave()

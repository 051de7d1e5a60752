"""Chaos: processes, Redis and PostgreSQL are killed and suspended at random moments under load, again and again.

Nothing that was acknowledged is lost, nothing comes twice, and every gap is told: see `audit`. In the ordinary suite
each fault happens once, several kinds on one cluster; under `endurance` fifty times each, on a cluster of its
own. QUART_ODDS_TEST_SEED repeats the random choices of a failure.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.audit import FIFTY, Audit, audited, chosen_seed
from tests.cluster.several import Cluster, cluster
from tests.databases import PostgresServer
from tests.server.serving import SERVE, Json
from tests.server.several_workers import processes as workers
from tests.server.test_two_servers import ask, ended, scrape, until_ready

pytestmark = [pytest.mark.long, pytest.mark.postgres, pytest.mark.timeout(1800)]

ORDINARY, ENDURANCE = 1, 50


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault can happen to."""

    processes: Cluster
    postgres: PostgresServer
    audit: Audit


Fault = Callable[[Scene], Awaitable[None]]


async def follower_killed(scene: Scene) -> None:
    """A process that serves is killed, and another one is started."""
    writing = await scene.processes.writer()
    followers = [each for each in scene.processes.servers if each is not writing]
    await scene.processes.kill(scene.audit.randomness.choice(followers))
    await scene.audit.pause()
    await scene.processes.start()


async def writer_killed(scene: Scene) -> None:
    """The process that writes is killed in a run. Another one ends that run, and writes."""
    run_id = await scene.audit.load.run()
    writing = await scene.processes.writer()
    await scene.audit.pause(0, 0.8)
    await scene.processes.kill(writing)
    await ended(await scene.processes.writer(), run_id)
    await scene.processes.start()


async def writer_suspended(scene: Scene) -> None:
    """The process that writes is suspended past its lease, in a run. What it writes later is refused."""
    run_id = await scene.audit.load.run()
    writing = await scene.processes.writer()
    await scene.audit.pause(0, 0.8)
    writing.process.send_signal(signal.SIGSTOP)
    try:
        other = await scene.processes.writer()
        row = await _row(scene, run_id)
        assert other is not writing
        assert row["status"] != "running"
        await scene.audit.pause()
    finally:
        writing.process.send_signal(signal.SIGCONT)
    await until_ready(writing, 200)
    assert (await ask(writing, "/api/health"))[1]["role"] == "follower"
    assert await _row(scene, run_id) == row


async def _row(scene: Scene, run_id: int) -> Json:
    return dict((await ask(await scene.processes.writer(), f"/api/scrape/{run_id}"))[1])


async def redis_killed(scene: Scene) -> None:
    """Redis is killed, and started with its data."""
    scene.processes.redis.kill()
    await scene.audit.pause(0, 2)
    await asyncio.to_thread(scene.processes.redis.start)


async def redis_emptied(scene: Scene) -> None:
    """Redis is killed, and started without its data."""
    scene.processes.redis.kill()
    scene.processes.redis.forget()
    await scene.audit.pause(0, 2)
    await asyncio.to_thread(scene.processes.redis.start)


async def postgres_killed(scene: Scene) -> None:
    """All processes of PostgreSQL are killed, and it is started."""
    scene.postgres.kill()
    await scene.audit.pause(0, 2)
    await asyncio.to_thread(scene.postgres.start)


async def postgres_stopped(scene: Scene) -> None:
    """PostgreSQL stops immediately, and is started."""
    scene.postgres.stop(signal.SIGQUIT)
    await scene.audit.pause(0, 2)
    await asyncio.to_thread(scene.postgres.start)


async def worker_killed(scene: Scene) -> None:
    """One of the workers behind one address is killed. The supervisor replaces it."""
    (server,) = scene.processes.servers
    ready = sum("worker.ready" in line for line in server.said)
    pids = await workers(server)
    os.kill(scene.audit.randomness.choice(sorted(pids.values())), signal.SIGKILL)
    await scene.audit.until(
        lambda: sum("worker.ready" in line for line in server.said) > ready, lambda: "the worker is not replaced"
    )


def times(*kinds: Sequence[Fault]) -> list[object]:
    """Return the parameters of a test: groups of faults for the ordinary suite, and each alone for `endurance`."""
    names = ["-".join(each.__name__ for each in group) for group in kinds]
    ordinary = [pytest.param(group, ORDINARY, id=name) for group, name in zip(kinds, names, strict=True)]
    alone = [
        pytest.param((each,), ENDURANCE, id=f"{each.__name__}-endurance", marks=FIFTY)
        for group in kinds
        for each in group
    ]
    return [*ordinary, *alone]


async def chaos(processes: Cluster, postgres: PostgresServer, kinds: Sequence[Fault], count: int) -> None:
    """Let faults of these kinds happen in random order, each `count` times, and wait after each for the recovery."""
    seed = chosen_seed()
    assert (await scrape(processes.servers[0]))["status"] == "completed"
    async with audited(processes, seed=seed) as audit:
        faults = [each for each in kinds for _ in range(count)]
        audit.randomness.shuffle(faults)
        scene = Scene(processes, postgres, audit)
        for each in faults:
            await audit.pause()
            began = time.monotonic()
            await each(scene)
            await audit.recovered()
            print(f"{each.__name__}: {time.monotonic() - began:.1f} s, seed {seed}", flush=True)


@pytest.mark.parametrize(
    ("kinds", "count"),
    times(
        (follower_killed, writer_killed, writer_suspended),
        (redis_killed, redis_emptied, postgres_killed, postgres_stopped),
    ),
)
async def test_several_processes_keep_their_promises(
    tmp_path: Path, own_postgres: PostgresServer, kinds: Sequence[Fault], count: int
) -> None:
    """Through the end of each of them, and of what they stand on."""
    async with cluster(tmp_path, own_postgres.url, 2 if count == ORDINARY else 3, keeps_data=True) as processes:
        await chaos(processes, own_postgres, kinds, count)


@pytest.mark.parametrize(("kinds", "count"), times((worker_killed,)))
async def test_workers_behind_one_address_keep_their_promises(
    tmp_path: Path, own_postgres: PostgresServer, kinds: Sequence[Fault], count: int
) -> None:
    """Through the end of each of them, whether it writes or not."""
    command = (*SERVE, "--workers", "2")
    async with cluster(tmp_path, own_postgres.url, 1, command=command) as processes:
        await chaos(processes, own_postgres, kinds, count)

"""Processes that are cut from Redis while runs and listeners go on. What they send is lost, and nobody resets anything.

In the ordinary suite each kind of cut lasts until it is noticed; under `endurance` there are fifty of thirty seconds.
QUART_ODDS_TEST_SEED repeats the random choices of a failure.
"""

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.cluster.audit import Audit, audited, chosen_seed
from tests.cluster.conftest import Place
from tests.cluster.several import Cluster, Listener, cluster
from tests.hosts import Cut, Network
from tests.server.serving import Server
from tests.server.test_two_servers import ask, ended, scrape, until_ready

pytestmark = [pytest.mark.long, pytest.mark.postgres]

NOTICE_SECONDS = 15
"""Within this time a process knows that it is cut, and has told its listeners."""

CUTS = int(os.environ.get("QUART_ODDS_TEST_CUTS") or 50)


@pytest.mark.parametrize(
    ("count", "seconds"), [(3, 0.0), pytest.param(CUTS, 30.0, marks=pytest.mark.endurance)], ids=["short", "long"]
)
async def test_a_process_that_is_cut_from_redis_says_so_and_goes_on_by_itself(
    tmp_path: Path, two_hosts: Place, count: int, seconds: float
) -> None:
    """It is not ready, its listeners are told, the writer scrapes and stores, and nothing is missing or doubled."""
    seed = chosen_seed()
    async with cluster(tmp_path, two_hosts.postgres, 2, network=two_hosts.network) as processes:
        assert (await scrape(processes.servers[0]))["status"] == "completed"
        async with audited(processes, seed=seed) as audit:
            kinds = [(how, number) for number in (0, 1) for how in Cut]
            audit.randomness.shuffle(kinds)
            for at in range(count):
                how, number = kinds[at % len(kinds)]
                await audit.pause()
                began = time.monotonic()
                await _cut_off(processes, audit, two_hosts.network, number, how, seconds)
                await audit.recovered()
                print(f"{how.name} at {number}: {time.monotonic() - began:.1f} s, seed {seed}", flush=True)


async def _cut_off(processes: Cluster, audit: Audit, network: Network, number: int, how: Cut, seconds: float) -> None:
    """Cut a process for this long, and at least until it is noticed. Returns when it is ready again."""
    server, writer = processes.servers[number], await processes.writer()
    listener = Listener()
    await listener.listen(server)
    began = time.monotonic()
    with network.cut(network.hosts[number], how):
        async with asyncio.timeout(NOTICE_SECONDS):
            await until_ready(server, 503)
            await listener.until(lambda: "degraded" in _codes(listener))
        if server is writer:
            assert (await ended(writer, await _started(writer)))["status"] == "completed"
        else:
            await until_ready(writer, 200)
        while (rest := began + seconds - time.monotonic()) > 0:
            await audit.pause(0.1, min(1.5, 0.1 + rest))
            assert (await ask(server, "/readyz"))[0] == 503
    await until_ready(server, 200)
    run_id = await _started(writer)
    await listener.until(lambda: (run_id, "completed") in listener.ends)
    # The process has caught up in the same log: a cursor from before is as good as ever.
    assert "gap" not in _codes(listener)
    await listener.leave()


async def _started(writer: Server) -> int:
    """Start a run at the writer, once no other one is active."""
    async with asyncio.timeout(60):
        while (answer := await ask(writer, "/api/scrape", "POST"))[0] != 202:
            await asyncio.sleep(0.05)
    return int(answer[1]["scrape_run_id"])


def _codes(listener: Listener) -> set[str]:
    return {each["data"]["code"] for each in listener.messages if each["type"] == "error"}

"""The odds API under load, alone and during a scrape, and how soon a thousand clients receive a change.

Clients receive notices first, then the prices themselves, beside sweeps. `python -m benchmarks.api` stores 1,300 events
at three bookmakers, or as many as `--bookmakers` says, with prices as in the sandbox. The server, the stand-in
bookmakers and the thousand WebSocket clients run in separate processes. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

from benchmarks.api_load import Load, load
from benchmarks.fan_client import build_client
from benchmarks.matches import MATCHES, matches, renamed
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsService
from quart_odds.sandbox import SandboxOptions, sandbox_process
from quart_odds.sandbox.world.stand_ins import STAND_INS
from quart_odds.storage import open_store

HOST = "127.0.0.1"
PATH = "/api/events?page_size=50"
RATE = 200
SCRAPED_EVENTS = 300
"""Number of events at the stand-in bookmakers, which the scrapes fetch again and again."""

UPDATES = 30


async def prefill(database: str, events: int, bookmakers: Sequence[Platform]) -> None:
    """Store invented events at these bookmakers, with as many prices as real ones have."""
    store = await open_store(database)
    odds_service = OddsService(store)
    now = datetime.now(UTC)
    several = matches(min(events, MATCHES), bookmakers)
    for number in range(events):
        kickoff = now + timedelta(hours=1, seconds=400 * number)
        for mapped in several[number % len(several)]:
            await odds_service.record(renamed(mapped, number // len(several), kickoff), now)
        await asyncio.sleep(0)
    await odds_service.close()
    await store.aclose()


@asynccontextmanager
async def server(database: str, urls: dict[str, str], delay_ms: int) -> AsyncIterator[int]:
    """Run a server in a separate process and yield its port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QUART_ODDS_")}
    environment |= {"QUART_ODDS_DATABASE_URL": database, "QUART_ODDS_LOG_LEVEL": "warning"}
    # The same events are refreshed again and again.
    environment["QUART_ODDS_REFRESH_COOLDOWN_SECONDS"] = "0"
    environment |= {f"QUART_ODDS_{name.upper()}_URL": url for name, url in urls.items()}
    environment |= {f"QUART_ODDS_{name.upper()}_DELAY_MS": str(delay_ms) for name in urls}
    environment["QUART_ODDS_BOOKMAKERS"] = ",".join(urls)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "quart_odds", "serve", "--bind", f"{HOST}:{port}", env=environment, stdout=sys.stderr
    )
    try:
        async with asyncio.timeout(20), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"http://{HOST}:{port}/healthz"):
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def scrape(session: aiohttp.ClientSession, base: str, mode: str = "full") -> tuple[int, float]:
    """Make one run. Return the number of events fetched at all bookmakers together, and the duration in seconds."""
    started = time.perf_counter()
    async with session.post(f"{base}/api/scrape", json={"mode": mode}) as answer:
        run_id = (await answer.json())["scrape_run_id"]
    while True:
        async with session.get(f"{base}/api/scrape/{run_id}") as answer:
            run = await answer.json()
        if run["status"] != "running":
            if run["status"] != "completed":
                print(f"the run ended {run['status']}: {run['errors']}", file=sys.stderr)
            return sum(each["events_scraped"] for each in run["platforms"]), time.perf_counter() - started
        await asyncio.sleep(0.1)


async def beside(
    session: aiohttp.ClientSession, base: str, port: int, seconds: float, bookmakers: int
) -> tuple[Load, float]:
    """Generate the load while scrapes run. Return it with the rate of events that the scrapes fetched per second."""
    over = asyncio.Event()
    fetched, spent, deadline = 0, 0.0, time.perf_counter() + seconds

    async def scrapes() -> None:
        nonlocal fetched, spent
        while time.perf_counter() < deadline:
            events, took = await scrape(session, base)
            fetched, spent = fetched + events, spent + took
        over.set()

    running = asyncio.create_task(scrapes())
    found = await load(HOST, port, PATH, rate=RATE, seconds=3 * seconds, until=over)
    await running
    return found, fetched / bookmakers / spent


async def updates(session: aiohttp.ClientSession, base: str, sandbox: str, port: int, clients: int) -> Load:
    """Measure the time from the order to fetch a changed event until every client has the odds_update."""
    watcher = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.api_watch",
        HOST,
        str(port),
        str(clients),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    found = Load()
    try:
        ready = json.loads(await watcher.stdout.readline())
        if ready["open"] != clients:
            print(f"only {ready['open']} of {clients} clients were accepted", file=sys.stderr)
        async with session.post(f"{sandbox}/_sandbox/odds", json={"move": 0}) as answer:
            answer.raise_for_status()
        for _ in range(UPDATES):
            async with session.post(f"{sandbox}/_sandbox/odds", json={"changes": 1}) as answer:
                sportradar_id = (await answer.json())["changes"][0]["sportradar_id"]
            watcher.stdin.write(b"next\n")
            await asyncio.sleep(0.06)  # longer than the interval in which notices are coalesced
            started = time.monotonic()
            async with session.post(f"{base}/api/scrape/event/{sportradar_id}") as answer:
                await answer.read()
            moments = json.loads(await watcher.stdout.readline())
            found.latencies += [moment - started for moment in moments]
            found.errors += clients - len(moments)
    finally:
        watcher.kill()
        await watcher.wait()
    return found


async def main_prices(session: aiohttp.ClientSession, sandbox: str) -> list[dict[str, object]]:
    """Return prices of 1X2 at the stand-in bookmakers, each of another event. They have just been changed."""
    async with session.post(f"{sandbox}/_sandbox/odds", json={"changes": 20 * UPDATES, "move": 0}) as answer:
        changes = (await answer.json())["changes"]
    found = {each["sportradar_id"]: each for each in changes if each["slug"] == "1x2_ft" and not each["suspended"]}
    return [
        {name: each[name] for name in ("sportradar_id", "bookmaker", "market", "line", "outcome")}
        for each in list(found.values())[:UPDATES]
    ]


@dataclass(frozen=True)
class Changes:
    """How soon a thousand clients had changed prices, in milliseconds.

    `wrong` is by how many deliveries they got too few or too many.
    """

    p50_ms: float
    p99_ms: float
    wrong: int
    count: int
    sweeps: int


async def beside_sweeps(
    session: aiohttp.ClientSession, base: str, sandbox: str, port: int, clients: int, folder: Path
) -> Changes:
    """Measure how soon every client has changed prices while one sweep follows another.

    The time runs from when the message is made, which is right after the cache takes the change.
    """
    sweeps = 0

    async def sweep() -> None:
        nonlocal sweeps
        while True:
            async with session.get(f"{base}/api/scrape/stream?mode=sweep") as stream:
                await stream.read()
            sweeps += 1

    prices = await main_prices(session, sandbox)
    # Another sweep may have read some of the lists before the prices were changed.
    await scrape(session, base, "sweep")
    client = await asyncio.create_subprocess_exec(
        build_client(folder),
        *("ws", str(port), "/api/ws?topics=odds", str(clients), str(len(prices)), "5000"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "SAMPLE": "1", "ONLY": '"odds_change"'},
    )
    assert client.stdout is not None
    try:
        assert (await client.stdout.readline()).startswith(b"READY")
        sweeping = asyncio.create_task(sweep())
        try:
            for number, price in enumerate(prices):
                change = price | {"odds": 1.5 + number / 100}
                async with session.post(f"{sandbox}/_sandbox/odds", json=change) as answer:
                    answer.raise_for_status()
                # A sweep may find the change first. It makes one message all the same.
                async with session.post(f"{base}/api/scrape/event/{price['sportradar_id']}") as answer:
                    await answer.read()
                await asyncio.sleep(0.05)
            found = json.loads(await client.stdout.readline())
        finally:
            sweeping.cancel()
            await asyncio.wait([sweeping])
    finally:
        if client.returncode is None:
            client.kill()
        await client.wait()
    return Changes(
        found["latency_p50_ms"],
        found["latency_p99_ms"],
        abs(len(prices) * clients - found["delivered"]),
        len(prices),
        sweeps,
    )


async def measure(options: argparse.Namespace) -> dict[str, float]:
    """Run everything and return milliseconds."""
    began = time.perf_counter()
    bookmakers = STAND_INS[: options.bookmakers]
    with tempfile.TemporaryDirectory(prefix="quart-odds-bench-") as folder:
        database = f"sqlite:///{Path(folder) / 'odds.db'}"
        sandbox_options = SandboxOptions(
            events=SCRAPED_EVENTS, warm=True, body_kb=options.body_kb, move=0.02, bookmakers=bookmakers
        )
        async with sandbox_process(sandbox_options) as sandbox, aiohttp.ClientSession() as session:
            await prefill(database, options.events - SCRAPED_EVENTS, bookmakers)
            urls = {str(platform): url for platform, url in sandbox.urls.items()}
            async with server(database, urls, round(1000 / options.scrape_rate)) as port:
                base = f"http://{HOST}:{port}"
                await scrape(session, base)
                say(began, "stored")
                headers = "Accept-Encoding: gzip\r\n" if options.gzip else ""
                await load(HOST, port, PATH, rate=50, seconds=0.5, headers=headers)
                alone = await load(HOST, port, PATH, rate=RATE, seconds=options.seconds, headers=headers)
                say(began, f"alone: {len(alone.latencies)} answers of {alone.body_bytes} bytes")
                together, rate = await beside(session, base, port, options.seconds, len(bookmakers))
                say(began, f"during a scrape of {rate:.0f} events a second: {len(together.latencies)} responses")
                published = await updates(session, base, sandbox.url, port, options.clients)
                say(began, f"{len(published.latencies)} notices")
                changes = await beside_sweeps(session, base, sandbox.url, port, options.clients, Path(folder))
                say(began, f"{changes.count} changes of prices, beside {changes.sweeps} sweeps")
    return {
        "p50_ms": alone.percentile_ms(50),
        "p99_ms": alone.percentile_ms(99),
        "p50_beside_scrape_ms": together.percentile_ms(50),
        "p99_beside_scrape_ms": together.percentile_ms(99),
        "scrape_events_a_second": round(rate, 1),
        "update_p50_ms": published.percentile_ms(50),
        "update_p99_ms": published.percentile_ms(99),
        "odds_change_p50_ms": changes.p50_ms,
        "odds_change_p99_ms": changes.p99_ms,
        "errors": alone.errors + together.errors + published.errors + changes.wrong,
        "seconds": round(time.perf_counter() - began, 1),
    }


def say(began: float, what: str) -> None:
    """Print a line of progress."""
    print(f"{time.perf_counter() - began:5.1f} s  {what}", flush=True)


def main() -> None:
    """Print progress and, as the last line, JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1300)
    parser.add_argument("--bookmakers", type=int, choices=range(2, len(STAND_INS) + 1), default=3)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=6, help="duration of the load, alone and during a scrape")
    parser.add_argument(
        "--scrape-rate", type=float, default=130, help="requests per second to each bookmaker, lists included"
    )
    parser.add_argument("--body-kb", type=float, default=None, help="size of the bodies of the stand-in bookmakers")
    parser.add_argument("--gzip", action="store_true", help="request compressed responses")
    print(json.dumps(asyncio.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()

"""One scrape, measured inside the server's process. `benchmarks.scrape` starts a separate process per measurement."""

import asyncio
import math
import os
import sys
import tempfile
from contextlib import aclosing
from pathlib import Path

import aiohttp
import orjson

from benchmarks.processes import family, usage
from quart_odds import garbage
from quart_odds.app import create_app
from quart_odds.bookmakers.client_pool import open_client
from quart_odds.domain.platforms import Platform
from quart_odds.logs import configure_logging
from quart_odds.sandbox import SandboxOptions, sandbox_process
from quart_odds.sandbox.world.stand_ins import STAND_INS
from quart_odds.server.serve import run_in_loop
from quart_odds.services import EXTENSION, Services
from quart_odds.settings import Settings, load_settings

Figures = dict[str, object]


def bound_seconds(requests: dict[str, int], settings: Settings, latency_ms: float) -> float:
    """Return the bound by limits and latency: at the slowest bookmaker the competitions, then the rest in waves."""
    return max(
        (1 + math.ceil((requests[platform] - 1) / settings.concurrency(platform))) * latency_ms / 1000
        for platform in map(Platform, requests)
    )


async def measure(
    events: int, latency_ms: float, body_kb: float | None, decode_workers: int, bookmakers: int
) -> Figures:
    """Run one scrape and measure it."""
    options = SandboxOptions(
        events=events, latency_ms=latency_ms, body_kb=body_kb, move=0, warm=True, bookmakers=STAND_INS[:bookmakers]
    )
    with tempfile.TemporaryDirectory() as folder:
        async with sandbox_process(options) as sandbox, aiohttp.ClientSession() as session:
            settings = load_settings(
                {},
                database_url=f"sqlite:///{Path(folder) / 'bench.db'}",
                decode_workers=decode_workers,
                log_level="warning",
                bookmakers=",".join(sandbox.urls),
                **{f"{platform}_url": url for platform, url in sandbox.urls.items()},
            )
            configure_logging(settings)
            await _read_lists(settings)
            app = create_app(settings)
            parts: Services = app.extensions[EXTENSION]
            async with app.test_app():
                await parts.decoder.warm()
                garbage.settle()  # as the server does once it has started
                return await _scrape(parts, settings, sandbox.url, sandbox.process.pid, session, latency_ms)


async def _read_lists(settings: Settings) -> None:
    """Let the stand-ins write their lists, too: a real bookmaker has processors of its own."""
    for platform in settings.bookmakers:
        client = open_client(platform, settings)
        async with aclosing(client.discover()) as listed:
            async for _ in listed:
                pass
        await client.aclose()


async def _scrape(
    parts: Services,
    settings: Settings,
    sandbox_url: str,
    sandbox_pid: int,
    session: aiohttp.ClientSession,
    latency_ms: float,
) -> Figures:
    loop = asyncio.get_running_loop()
    requests_before = await _requests(session, sandbox_url)
    ours = family(os.getpid(), without=frozenset({sandbox_pid}))
    before, before_loop = usage(ours), usage([os.getpid()])
    parts.loop_lag.reset()
    began = loop.time()
    run = await parts.runs.start("benchmark")
    assert run.task is not None
    await run.task
    seconds = loop.time() - began
    lag = parts.loop_lag.quantile(0.99)
    ours = family(os.getpid(), without=frozenset({sandbox_pid}))
    after, after_loop = usage(ours), usage([os.getpid()])
    record = await parts.store.get_run(run.record.id)
    assert record is not None
    requests_after = await _requests(session, sandbox_url)
    requests = {str(platform): requests_after[platform] - requests_before[platform] for platform in requests_after}
    bound = bound_seconds(requests, settings, latency_ms)
    return {
        "status": str(record.status),
        "events": len(parts.odds_service.cache.events),
        "fetched": record.events_scraped,
        "failed": record.events_failed,
        "seconds": round(seconds, 3),
        "requests": requests,
        "concurrency": {str(platform): settings.concurrency(platform) for platform in map(Platform, requests)},
        "bound_seconds": round(bound, 3),
        "ratio": round(seconds / bound, 3),
        "cpu_ms_per_event_bookmaker": round((after.cpu_seconds - before.cpu_seconds) * 1000 / record.events_scraped, 3),
        "loop_cpu_ms_per_event_bookmaker": round(
            (after_loop.cpu_seconds - before_loop.cpu_seconds) * 1000 / record.events_scraped, 3
        ),
        "peak_mb": round(after.peak_mb, 1),
        "loop_lag_p99_ms": round(lag * 1000, 2),
        "errors": [f"{each.error_type}: {each.error_message} ({each.count})" for each in record.errors[:5]],
    }


async def _requests(session: aiohttp.ClientSession, url: str) -> dict[str, int]:
    async with session.get(f"{url}/_sandbox/state") as answer:
        state = await answer.json()
    return {name: int(each["requests"]) for name, each in state["bookmakers"].items()}


def main() -> None:
    """Measure with the options in the first argument, and print the figures as JSON."""
    options = orjson.loads(sys.argv[1])
    figures: Figures = {}

    async def work() -> None:
        figures.update(await measure(**options))

    run_in_loop(work)
    print(orjson.dumps(figures).decode())

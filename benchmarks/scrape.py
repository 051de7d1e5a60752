"""A whole scrape, storing included, against stand-in bookmakers in a process of their own.

    python -m benchmarks.scrape --events 1300 --latency-ms 100 [--body-kb 10] [--memory]

Prints the time, the bound (what the limits on concurrency and the latency alone allow) and their ratio, the CPU time an
event and bookmaker, the highest memory, and how late the server's loop was meanwhile. Last line: the same as JSON.
"""

import asyncio
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import aiohttp
import click
import orjson

from benchmarks.processes import family, usage
from quart_odds.app import create_app
from quart_odds.domain.platforms import Platform
from quart_odds.logs import configure_logging
from quart_odds.sandbox import SandboxOptions, sandbox_process
from quart_odds.server.serve import run_in_loop
from quart_odds.services import EXTENSION, Services
from quart_odds.settings import Settings, load_settings

Figures = dict[str, object]


def bound_seconds(requests: dict[str, int], settings: Settings, latency_ms: float) -> float:
    """What limits and latency allow: at the slowest bookmaker the list of competitions, then the rest in waves."""
    return max(
        (1 + math.ceil((requests[platform] - 1) / settings.concurrency(platform))) * latency_ms / 1000
        for platform in Platform
    )


async def measure(events: int, latency_ms: float, body_kb: float | None, decode_workers: int) -> Figures:
    """Run one scrape and see what it takes."""
    options = SandboxOptions(events=events, latency_ms=latency_ms, body_kb=body_kb, move=0, warm=True)
    with tempfile.TemporaryDirectory() as folder:
        async with sandbox_process(options) as sandbox, aiohttp.ClientSession() as session:
            settings = load_settings(
                {},
                database_url=f"sqlite:///{Path(folder) / 'bench.db'}",
                decode_workers=decode_workers,
                log_level="warning",
                **{f"{platform}_url": url for platform, url in sandbox.urls.items()},
            )
            configure_logging(settings)
            app = create_app(settings)
            parts: Services = app.extensions[EXTENSION]
            async with app.test_app():
                await parts.decoder.warm()
                return await _scrape(parts, settings, sandbox.url, sandbox.process.pid, session, latency_ms)


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
    before = usage(ours)
    parts.loop_lag.reset()
    began = loop.time()
    run = await parts.runs.start("benchmark")
    assert run.task is not None
    await run.task
    seconds = loop.time() - began
    lag = parts.loop_lag.quantile(0.99)
    ours = family(os.getpid(), without=frozenset({sandbox_pid}))
    after = usage(ours)
    record = await parts.store.get_run(run.record.id)
    assert record is not None
    requests_after = await _requests(session, sandbox_url)
    requests = {str(platform): requests_after[platform] - requests_before[platform] for platform in Platform}
    bound = bound_seconds(requests, settings, latency_ms)
    return {
        "status": str(record.status),
        "events": len(parts.desk.book.events),
        "fetched": record.events_scraped,
        "failed": record.events_failed,
        "seconds": round(seconds, 3),
        "requests": requests,
        "concurrency": {str(platform): settings.concurrency(platform) for platform in Platform},
        "bound_seconds": round(bound, 3),
        "ratio": round(seconds / bound, 3),
        "cpu_ms_per_event_bookmaker": round((after.cpu_seconds - before.cpu_seconds) * 1000 / record.events_scraped, 3),
        "peak_mb": round(after.peak_mb, 1),
        "loop_lag_p99_ms": round(lag * 1000, 2),
        "errors": [f"{each.error_type}: {each.error_message} ({each.count})" for each in record.errors[:5]],
    }


async def _requests(session: aiohttp.ClientSession, url: str) -> dict[str, int]:
    async with session.get(f"{url}/_sandbox/state") as answer:
        state = await answer.json()
    return {str(platform): int(state["bookmakers"][platform]["requests"]) for platform in Platform}


def _in_a_process_of_its_own(events: int, latency_ms: float, body_kb: float | None, decode_workers: int) -> Figures:
    """The highest memory of a process is for its whole life, so each measure has a process of its own."""
    words = [
        "--events",
        str(events),
        "--latency-ms",
        str(latency_ms),
        "--decode-workers",
        str(decode_workers),
        "--once",
    ]
    if body_kb is not None:
        words += ["--body-kb", str(body_kb)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scrape", *words], stdout=subprocess.PIPE, check=True, text=True
    )
    figures: Figures = orjson.loads(done.stdout.splitlines()[-1])
    return figures


@click.command()
@click.option("--events", default=1300, show_default=True)
@click.option("--latency-ms", default=100.0, show_default=True)
@click.option("--body-kb", type=float, help="Bodies of about this size; as large as real ones when left out.")
@click.option("--decode-workers", default=1, show_default=True)
@click.option("--memory", is_flag=True, help="Measure four times as many events too: memory should be flat.")
@click.option("--once", is_flag=True, help="Print the JSON alone.")
def main(events: int, latency_ms: float, body_kb: float | None, decode_workers: int, memory: bool, once: bool) -> None:
    """Measure a scrape."""
    if once:
        figures: Figures = {}

        async def work() -> None:
            figures.update(await measure(events, latency_ms, body_kb, decode_workers))

        run_in_loop(work)
        print(orjson.dumps(figures).decode())
        return
    figures = _in_a_process_of_its_own(events, latency_ms, body_kb, decode_workers)
    if memory:
        more = _in_a_process_of_its_own(4 * events, latency_ms, body_kb, decode_workers)
        figures["peak_mb_4x"] = more["peak_mb"]
        figures["seconds_4x"] = more["seconds"]
    size = f"{body_kb:g} KB" if body_kb else "real size"
    print(f"A scrape of {events} events at three bookmakers, {latency_ms:g} ms latency, bodies of {size}")
    for name, value in figures.items():
        print(f"  {name:28} {value}")
    print(orjson.dumps(figures).decode())


if __name__ == "__main__":
    main()

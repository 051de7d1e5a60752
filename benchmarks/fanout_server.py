"""The server that the fan-out measures: ours as shipped, without connection limits, plus a route that publishes.

    python -m benchmarks.fanout_server --bind 127.0.0.1:PORT
    python -m benchmarks.fanout_server --bind 127.0.0.1:PORT --workers 2 --engine-url redis://127.0.0.1:6379/0

`POST /bench/publish?messages=N&interval_ms=T` publishes N messages to `scrape_progress`, each of about 330 bytes and
stamped with its creation time, and yields to the event loop after each, or after each `group` of them. Of several
workers the writer publishes.
`GET /bench/process` answers with the process id, so that a benchmark can wait until all workers serve.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import click
from quart import Blueprint, Quart, Response, current_app, request

from quart_odds.app import create_app
from quart_odds.broadcast import SCRAPE_PROGRESS, current_registry
from quart_odds.logs import ProcessName, configure_logging
from quart_odds.routes.access.forwarding import carried_out_by_writer
from quart_odds.scraping.schemas import Platform, ScrapePhase, ScrapeProgress
from quart_odds.server import fast_lane
from quart_odds.server.channel import WorkerPlace
from quart_odds.server.serve import run_in_loop, serve
from quart_odds.server.sockets import listen_for_workers
from quart_odds.server.worker import SupervisorLink, serve_as_worker
from quart_odds.server.workers import Supervisor
from quart_odds.settings import PREFIX, Settings, load_settings
from quart_odds.websocket import scrape_progress_message

blueprint = Blueprint("bench", __name__)
BLUEPRINTS = [blueprint]
"""The routes that are added to those of the product."""


@blueprint.get("/bench/process")
async def process() -> str:
    """Return the process id."""
    return str(os.getpid())


@blueprint.post("/bench/publish")
@carried_out_by_writer
async def publish() -> Response:
    """Publish to all clients, in the background."""
    messages = request.args.get("messages", 1000, int)
    pause = request.args.get("interval_ms", 0.0, float) / 1000
    group = request.args.get("group", 1, int)
    registry = current_registry()

    async def work() -> None:
        for number in range(messages):
            progress = ScrapeProgress(
                platform=Platform.SPORTYBET,
                phase=ScrapePhase.SCRAPING,
                current=number,
                total=messages,
                events_count=number,
                message=f"t={time.monotonic():.6f} scraped {number} of {messages}",
                scrape_run_id=1,
                elapsed_ms=1234,
            )
            registry.broadcast(scrape_progress_message(progress), SCRAPE_PROGRESS)
            if (number + 1) % group == 0:
                await asyncio.sleep(pause)

    current_app.add_background_task(work)
    return Response("{}", content_type="application/json")


@click.command()
@click.option("--bind", default="127.0.0.1:0", show_default=True)
@click.option("--standard-lane", is_flag=True, help="Disable the fast lane.")
@click.option("--asyncio", "plain_loop", is_flag=True, help="Use asyncio's own event loop instead of uvloop.")
@click.option("--workers", default=1, show_default=True, help="Number of processes; more than one need --engine-url.")
@click.option("--engine-url", help="The address of Redis. Without it the log is in memory.")
@click.option("--as-worker", hidden=True, help="Be a worker of this supervisor's.")
def main(
    bind: str, standard_lane: bool, plain_loop: bool, workers: int, engine_url: str | None, as_worker: str | None
) -> None:
    """Serve until stopped."""
    if as_worker is not None:
        place = WorkerPlace.of_text(as_worker)
        link = SupervisorLink(place)
        app = _app(load_settings(), ProcessName(place.number), standard_lane=standard_lane)
        run_in_loop(lambda: serve_as_worker(app, link), use_uvloop=not plain_loop)
        return
    with tempfile.TemporaryDirectory() as folder:
        given = {
            "database_url": f"sqlite:///{Path(folder) / 'bench.db'}",
            "max_connections": 0,
            "max_connections_per_address": 0,
            "decode_workers": 0,
            "log_level": "warning",
            "engine_url": engine_url,
        }
        settings = load_settings({}, **given)
        if workers == 1:
            app = _app(settings, None, standard_lane=standard_lane)
            run_in_loop(lambda: serve(app, bind, on_ready=_announce), use_uvloop=not plain_loop)
            return
        configure_logging(settings, ProcessName())
        environ = {f"{PREFIX}{name.upper()}": str(value) for name, value in given.items()}
        asyncio.run(_supervise(bind, workers, environ, settings))


def _app(settings: Settings, name: ProcessName | None, *, standard_lane: bool) -> Quart:
    configure_logging(settings, name)
    app = create_app(settings)
    for each in BLUEPRINTS:
        app.register_blueprint(each)
    if standard_lane:
        fast_lane.KNOWN_HYPERCORN = ()
    return app


async def _supervise(bind: str, workers: int, environ: dict[str, str], settings: Settings) -> None:
    sockets = listen_for_workers(bind, settings.write_timeout_seconds, workers)
    options = [each for each in sys.argv[1:] if each in ("--standard-lane", "--asyncio")]
    command = [sys.executable, "-m", "benchmarks.fanout_server", *options, "--as-worker"]
    supervisor = Supervisor(
        sockets, command, {**os.environ, **environ}, drain_seconds=settings.drain_seconds, on_ready=_announce
    )
    sys.exit(await supervisor.run())


def _announce(address: str) -> None:
    print(address, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""The server that the fan-out measures: ours as shipped, without connection limits, plus a route that publishes.

    python -m benchmarks.fanout_server --bind 127.0.0.1:PORT

`POST /bench/publish?messages=N&interval_ms=T` publishes N messages to `scrape_progress`, each of about 330 bytes and
stamped with its creation time, and yields to the event loop after each.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import click
from quart import Blueprint, Response, current_app, request

from quart_odds.app import create_app
from quart_odds.broadcast import SCRAPE_PROGRESS, current_registry
from quart_odds.logs import configure_logging
from quart_odds.scraping.schemas import Platform, ScrapePhase, ScrapeProgress
from quart_odds.server import fast_lane
from quart_odds.server.serve import run_in_loop, serve
from quart_odds.settings import load_settings
from quart_odds.websocket import scrape_progress_message

blueprint = Blueprint("bench", __name__)
BLUEPRINTS = [blueprint]
"""The routes that are added to those of the product."""


@blueprint.post("/bench/publish")
async def publish() -> Response:
    """Publish to all clients, in the background."""
    messages = request.args.get("messages", 1000, int)
    pause = request.args.get("interval_ms", 0.0, float) / 1000
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
            await asyncio.sleep(pause)

    current_app.add_background_task(work)
    return Response("{}", content_type="application/json")


@click.command()
@click.option("--bind", default="127.0.0.1:0", show_default=True)
@click.option("--standard-lane", is_flag=True, help="Disable the fast lane.")
@click.option("--asyncio", "plain_loop", is_flag=True, help="Use asyncio's own event loop instead of uvloop.")
def main(bind: str, standard_lane: bool, plain_loop: bool) -> None:
    """Serve until stopped."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            {},
            database_url=f"sqlite:///{Path(folder) / 'bench.db'}",
            max_connections=0,
            max_connections_per_address=0,
            decode_workers=0,
            log_level="warning",
        )
        configure_logging(settings)
        app = create_app(settings)
        for each in BLUEPRINTS:
            app.register_blueprint(each)
        if standard_lane:
            fast_lane.KNOWN_HYPERCORN = ()
        run_in_loop(lambda: serve(app, bind, on_ready=_announce), use_uvloop=not plain_loop)


def _announce(address: str) -> None:
    print(address, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

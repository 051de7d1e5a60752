"""A host with Quart Odds below /odds. Run as a process, under our launcher or under Hypercorn.

python embedded_server.py launcher|hypercorn
"""

import asyncio
import sys

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from quart import Quart, Response, websocket

from quart_odds import QuartOdds
from quart_odds.broadcast import SCRAPE_PROGRESS, broadcast_registry
from quart_odds.server.serve import run_in_loop, serve

app = Quart(__name__)
odds = QuartOdds(app)


@app.before_serving
async def before() -> None:
    """Note that the host starts."""
    print("host starts", flush=True)


@app.after_serving
async def after() -> None:
    """Note that the host has stopped."""
    print("host stopped", flush=True)


@app.get("/state")
async def state() -> dict[str, object]:
    """Return how the listeners are served."""
    return {"sinks": sorted(type(each.sink).__name__ for each in broadcast_registry.flusher.subscribers)}


@app.post("/publish")
async def publish() -> Response:
    """Publish a message to all who listen below /odds."""
    broadcast_registry.broadcast({"type": "scrape_progress", "data": "from the host"}, SCRAPE_PROGRESS)
    return Response(b"", 204)


@app.get("/slow")
async def slow() -> str:
    """Answer after half a second."""
    print("host is slow", flush=True)
    await asyncio.sleep(0.5)
    return "late"


@app.websocket("/echo")
async def echo() -> None:
    """Send back what arrives."""
    while True:
        await websocket.send(await websocket.receive())


@app.errorhandler(404)
async def not_found(_: Exception) -> tuple[str, int]:
    """Answer in the host's own words."""
    return "the host has no such page", 404


def main() -> None:
    """Serve until stopped, and print the address."""
    if sys.argv[1] == "launcher":
        run_in_loop(
            lambda: serve(app, "127.0.0.1:0", on_ready=lambda address: print(f"Running on {address}", flush=True))
        )
        return
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 0.5
    asyncio.run(hypercorn_serve(app, config))


if __name__ == "__main__":
    main()

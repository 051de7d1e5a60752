"""A site with Quart Odds below /odds: hypercorn embedded:app, or python embedded.py 127.0.0.1:8000"""

import sys

from quart import Quart

from quart_odds import QuartOdds
from quart_odds.broadcast import broadcast_registry

app = Quart(__name__)
odds = QuartOdds(app, url_prefix="/odds")


@app.get("/")
async def home() -> str:
    return f'<p>{broadcast_registry.active_count} watching <a href="/odds/">the odds</a></p>'


@app.errorhandler(404)
async def not_found(_: Exception) -> tuple[str, int]:
    return "<p>This site has no such page.</p>", 404


if __name__ == "__main__":
    from quart_odds.server.serve import run_in_loop, serve

    # The launcher adds the fast lane, and a stop that tells every client when to come back.
    run_in_loop(lambda: serve(app, sys.argv[1], on_ready=lambda address: print(f"Running on {address}", flush=True)))

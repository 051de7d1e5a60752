"""The application under the launcher, with extra routes that show tests its internal state. Run as a process.

python -m tests.server.server [--standard-lane] [--asyncio] [setting=value …]
"""

import asyncio
import contextlib
import gc
import sys
import time

from quart import Blueprint, Response, current_app, request

from quart_odds.app import create_app
from quart_odds.broadcast import SCRAPE_PROGRESS, current_registry
from quart_odds.domain.runs import RunRecord
from quart_odds.logs import configure_logging
from quart_odds.server import fast_lane
from quart_odds.server.live_connections import live_connections
from quart_odds.server.serve import run_in_loop, serve
from quart_odds.services import services
from quart_odds.settings import load_settings

blueprint = Blueprint("probe", __name__)


@blueprint.post("/probe/publish")
async def publish() -> Response:
    """Publish messages in the background: as many and as large as requested, and stamped with the time."""
    messages, size = request.args.get("messages", 1, int), request.args.get("size", 0, int)
    pause = request.args.get("interval_ms", 0.0, float) / 1000
    is_stamped = request.args.get("stamp", 1, int)
    is_retained = request.args.get("retain", 0, int)
    registry = current_registry()

    async def work() -> None:
        for number in range(messages):
            published: dict[str, object] = {"type": "scrape_progress", "n": number, "x": "x" * size}
            if is_stamped:
                published["at"] = time.monotonic()
            registry.broadcast(published, SCRAPE_PROGRESS, retain=("probe", None) if is_retained else None)
            await asyncio.sleep(pause)

    current_app.add_background_task(work)
    return Response(b"", 202)


@blueprint.get("/probe/state")
async def state() -> dict[str, object]:
    """Return the state of the hub."""
    parts = services()
    sinks = [type(each.sink).__name__ for each in parts.registry.flusher.subscribers]
    return {
        "listening": len(sinks),
        "fast": sinks.count("LiveWebSocket") + sinks.count("LiveStream"),
        "places": parts.limits.count,
        "connections": len(live_connections),
        "cut": parts.registry.flusher.upkeep.cut_count,
        "unanswered_pings": parts.registry.flusher.upkeep.unanswered_pings,
        "next_seq": parts.registry.log.next_seq,
        "tasks": len(asyncio.all_tasks()),
        "in_progress": parts.unanswered - 1,
    }


@blueprint.get("/probe/objects")
async def objects() -> dict[str, int]:
    """Return what the garbage collector finds unreachable now, how many objects it then tracks, and the tasks.

    Objects that were there when the server started are not among them. With `collects=0`, it does not run by itself
    from now on.
    """
    unreachable = gc.collect()
    if request.args.get("collects", 1, int):
        gc.enable()
    else:
        gc.disable()
    return {"unreachable": unreachable, "tracked": len(gc.get_objects()), "tasks": len(asyncio.all_tasks())}


@blueprint.get("/probe/wait")
async def wait() -> Response:
    """Never answer, and take no notice of the first cancellation, as code that waits for Redis may."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()
    return Response(b"", 204)


@blueprint.get("/probe/slow")
async def slow() -> Response:
    """Answer after some time."""
    await asyncio.sleep(request.args.get("seconds", 1.0, float))
    return Response(b"late", 200)


@blueprint.post("/probe/hang")
async def hang() -> Response:
    """From now on, never store the end of a run: the database does not answer, or something blocks the loop."""
    holds_loop = request.args.get("loop", 0, int)

    async def never(record: RunRecord) -> bool:
        if holds_loop:
            time.sleep(60)
        await asyncio.sleep(60)
        return False

    services().store.finish_run = never  # type: ignore[method-assign]
    return Response(b"", 204)


def main() -> None:
    """Serve on a free port of this machine until stopped, and print the address."""
    options = [each for each in sys.argv[1:] if each.startswith("--")]
    given = dict(each.split("=", 1) for each in sys.argv[1:] if "=" in each)
    settings = load_settings({}, decode_workers=0, log_level="warning", **given)
    configure_logging(settings)
    app = create_app(settings)
    app.register_blueprint(blueprint)
    if "--standard-lane" in options:
        fast_lane.KNOWN_HYPERCORN = ()
    run_in_loop(
        lambda: serve(app, "127.0.0.1:0", on_ready=lambda address: print(address, flush=True)),
        use_uvloop="--asyncio" not in options,
    )


if __name__ == "__main__":
    main()

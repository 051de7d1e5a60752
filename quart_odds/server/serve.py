"""The launcher: one process, one loop, Hypercorn inside, and a shutdown that tells everyone and then really ends."""

import asyncio
import contextlib
import gc
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine

import structlog
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from quart import Quart

from quart_odds.app import create_app, drain
from quart_odds.domain.origins import parse_host
from quart_odds.errors import SettingsError
from quart_odds.server import fast_lane, hardening
from quart_odds.server.sockets import is_loopback, listen, raise_file_limit, split_bind
from quart_odds.services import EXTENSION, Services
from quart_odds.settings import Settings

STOP_SECONDS = 3.0
"""What a stop takes, at most, beside the wait for a run: then the process ends, whatever still holds it. With the
default wait of six seconds that is before a container's run-time kills it, after ten."""
CONFIRM_SECONDS = 1.3
"""How long a run that is cut short has to keep what it has, and to end its row."""
FAREWELL_SECONDS = 0.7
"""How long clients have, once they are told, to take their farewell."""
ABORT_SECONDS = 0.05
GIVE_UP_SECONDS = 0.7
"""How long Hypercorn has to end where the fast lane is out, so that we cannot cut the connections that hold it."""
INBOUND_BYTES = 64 * 1024
EXPOSED = (
    "start, cancel and retry scrapes, fetch events anew, change settings and the schedule, and remove history that is "
    "older than a day: there is no login"
)
"""What a server that can be reached lets anyone do."""

log = structlog.get_logger(__name__)


Ready = Callable[[str], None]


def run_in_loop(work: Callable[[], Coroutine[None, None, None]], *, use_uvloop: bool = True) -> None:
    """Run a coroutine to its end, in a loop of uvloop's where that is installed."""
    with asyncio.Runner(loop_factory=_uvloop_factory() if use_uvloop else None) as runner:
        runner.run(work())


async def serve_settings(
    settings: Settings, bind: str, *, open_to_network: bool = False, on_ready: Ready | None = None
) -> None:
    """Serve the application with these settings until SIGINT or SIGTERM. See `serve`."""
    host, _ = split_bind(bind)
    if (named := parse_host(host)) is not None and not named.is_address:
        # Who binds to a name asks by it.
        settings = settings.model_copy(update={"allowed_hosts": (*settings.allowed_hosts, named.name)})
    await serve(create_app(settings), bind, open_to_network=open_to_network, on_ready=on_ready)


async def serve(app: Quart, bind: str, *, open_to_network: bool = False, on_ready: Ready | None = None) -> None:
    """Serve an app in the running loop until SIGINT or SIGTERM.

    Raises SettingsError for an address beyond loopback unless `open_to_network` says that this is meant.
    """
    parts: Services = app.extensions[EXTENSION]
    sock = listen(bind, parts.settings.write_timeout_seconds)
    if not is_loopback(sock):
        if not open_to_network:
            sock.close()
            raise SettingsError(
                f"--bind {bind!r} can be reached from the network, and anyone there could {EXPOSED}. "
                "If that is meant, add --open-to-network; else bind to 127.0.0.1"
            )
        log.warning("server.open_to_network", bind=bind, reason=f"anyone who can reach this address can {EXPOSED}")
    hardening.install()
    can_cut = fast_lane.install()
    log.debug("server.files", limit=raise_file_limit())
    stop = asyncio.Event()
    _stop_on_signals(stop)
    host, port = sock.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    last_resort = _LastResort()
    cutter: asyncio.Task[None] | None = None
    is_given_up = False

    async def shutdown_trigger() -> None:
        nonlocal cutter
        warming = asyncio.create_task(parts.decoder.warm())
        # What has been made by now stays: a full collection that walks it too holds the loop for over 100 ms.
        gc.collect()
        gc.freeze()
        if on_ready is not None:
            on_ready(address)
        await stop.wait()
        last_resort.within(parts.settings.drain_seconds + STOP_SECONDS)
        warming.cancel()
        await asyncio.wait([warming])
        log.info("server.draining", connections=len(fast_lane.live_connections))
        draining = asyncio.create_task(drain(parts), name="drain")
        await asyncio.wait([draining], timeout=parts.settings.drain_seconds + CONFIRM_SECONDS)
        if draining.done():
            draining.result()
        else:
            log.warning("server.run_not_ended", reason="the end of the run is not stored yet; the next start ends it")
        last_resort.within(STOP_SECONDS)
        await _farewell()
        cutter = asyncio.create_task(_cut_the_rest() if can_cut else give_up())

    async def give_up() -> None:
        """End a server that does not end by itself: Hypercorn alone waits for a stalled peer without limit."""
        nonlocal is_given_up
        await asyncio.sleep(GIVE_UP_SECONDS)
        log.warning("server.given_up", reason="connections are still open, and the fast lane is out")
        is_given_up = True
        server.cancel()

    # Hypercorn makes a socket of its own from the number, and closes it.
    server = asyncio.create_task(hypercorn_serve(app, _config(sock.detach()), shutdown_trigger=shutdown_trigger))
    try:
        await asyncio.wait([server])
        if is_given_up:
            await app.shutdown()
        else:
            server.result()
    finally:
        server.cancel()
        if cutter is not None:
            cutter.cancel()
        last_resort.cancel()
    log.info("server.stopped")


class _LastResort:
    """Ends the process, and those it has started, when a stop takes longer than it may.

    It is a thread: what holds a stop may hold the loop. Nothing that was confirmed is lost by it, as by a kill.
    """

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None
        self._end_at = math.inf

    def within(self, seconds: float) -> None:
        """End it in so many seconds, or when it was to end before, whichever is sooner."""
        self.cancel()
        self._end_at = min(self._end_at, time.monotonic() + seconds)
        self._timer = threading.Timer(self._end_at - time.monotonic(), self._end)
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """Leave it alone."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        log.error("server.given_up", reason="the stop took longer than it may; the next start ends what was going")
        for process in multiprocessing.active_children():
            process.kill()
        os._exit(1)


async def _farewell() -> None:
    """Give streams time to end by themselves; idle and stalled connections do not count on it."""
    loop = asyncio.get_running_loop()
    until = loop.time() + FAREWELL_SECONDS
    quiet = 0
    before = len(fast_lane.live_connections)
    while before and loop.time() < until and quiet < 4:
        await asyncio.sleep(ABORT_SECONDS)
        now = len(fast_lane.live_connections)
        quiet = quiet + 1 if now == before else 0
        before = now


async def _cut_the_rest() -> None:
    """Abort what is left, and what still comes, until the server is gone: one stalled peer would hold it for ever."""
    while True:
        if count := fast_lane.live_connections.abort():
            log.info("server.cut", connections=count)
        await asyncio.sleep(ABORT_SECONDS)


def _config(file_number: int) -> Config:
    config = Config()
    config.bind = [f"fd://{file_number}"]
    config.backlog = 4096
    config.graceful_timeout = 0.5
    config.shutdown_timeout = 30.0
    config.websocket_max_message_size = INBOUND_BYTES
    config.keep_alive_timeout = 30.0
    config.keep_alive_max_requests = 1_000_000
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = None
    return config


def _stop_on_signals(stop: asyncio.Event) -> None:
    """The first signal drains; a second one does not wait."""

    def on_signal(number: int) -> None:
        if stop.is_set():
            sys.exit(128 + number)
        stop.set()

    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(name, on_signal, name)


def _uvloop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        log.warning("server.no_uvloop", effect="asyncio's own loop serves; it is slower")
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory

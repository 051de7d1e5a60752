"""The launcher: one process, one loop, Hypercorn inside, and a shutdown that notifies everyone and always ends."""

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
"""The maximum duration of a stop, apart from the wait for a run. Then the process ends, whatever holds it up.

With the default wait of six seconds, that is before a container runtime kills it after ten.
"""
CONFIRM_SECONDS = 1.3
"""How long a run that is cut short has to save what it has, and to complete its row."""
FAREWELL_SECONDS = 0.7
"""How long clients have to take their last message after the shutdown is announced."""
ABORT_SECONDS = 0.05
GIVE_UP_SECONDS = 0.7
"""How long Hypercorn has to end without the fast lane, when the launcher cannot cut the connections that hold it up."""
INBOUND_BYTES = 64 * 1024
EXPOSED = (
    "start, cancel and retry scrapes, fetch events anew, change settings and the schedule, and remove history that is "
    "older than a day: there is no login"
)
"""What anyone can do who can reach the server."""

log = structlog.get_logger(__name__)


Ready = Callable[[str], None]


def run_in_loop(work: Callable[[], Coroutine[None, None, None]], *, use_uvloop: bool = True) -> None:
    """Run a coroutine until it ends, in a uvloop loop if uvloop is installed."""
    with asyncio.Runner(loop_factory=_uvloop_factory() if use_uvloop else None) as runner:
        runner.run(work())


async def serve_settings(
    settings: Settings, bind: str, *, open_to_network: bool = False, on_ready: Ready | None = None
) -> None:
    """Serve the application with these settings until SIGINT or SIGTERM. See `serve`."""
    host, _ = split_bind(bind)
    if (named := parse_host(host)) is not None and not named.is_address:
        # A server that binds to a host name will be addressed by that name.
        settings = settings.model_copy(update={"allowed_hosts": (*settings.allowed_hosts, named.name)})
    await serve(create_app(settings), bind, open_to_network=open_to_network, on_ready=on_ready)


async def serve(app: Quart, bind: str, *, open_to_network: bool = False, on_ready: Ready | None = None) -> None:
    """Serve an app in the running loop until SIGINT or SIGTERM.

    Raises SettingsError for an address beyond loopback, unless `open_to_network` confirms it.
    """
    parts: Services = app.extensions[EXTENSION]
    sock = listen(bind, parts.settings.write_timeout_seconds)
    if not is_loopback(sock):
        if not open_to_network:
            sock.close()
            raise SettingsError(
                f"--bind {bind!r} can be reached from the network, and anyone there could {EXPOSED}. "
                "If that is intended, add --open-to-network; otherwise bind to 127.0.0.1"
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
        # Objects created by now stay alive. A full collection that includes them blocks the loop for over 100 ms.
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
            log.warning(
                "server.run_not_ended", reason="the end of the run is not stored yet; the next start ends the run"
            )
        last_resort.within(STOP_SECONDS)
        await _farewell()
        cutter = asyncio.create_task(_cut_the_rest() if can_cut else give_up())

    async def give_up() -> None:
        """End a server that does not end by itself: Hypercorn waits for a stalled peer without limit."""
        nonlocal is_given_up
        await asyncio.sleep(GIVE_UP_SECONDS)
        log.warning("server.given_up", reason="connections are still open, and the fast lane is not installed")
        is_given_up = True
        server.cancel()

    # Hypercorn creates its own socket from the file descriptor, and closes it.
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
    """Ends the process and its child processes if a stop takes too long.

    It uses a thread, because whatever holds up the stop may also block the loop. As with a kill, nothing that was
    confirmed is lost.
    """

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None
        self._end_at = math.inf

    def within(self, seconds: float) -> None:
        """End the process after this many seconds, or at the time set before, whichever is earlier."""
        self.cancel()
        self._end_at = min(self._end_at, time.monotonic() + seconds)
        self._timer = threading.Timer(self._end_at - time.monotonic(), self._end)
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        log.error("server.given_up", reason="the stop took too long; the next start ends what was in progress")
        for process in multiprocessing.active_children():
            process.kill()
        os._exit(1)


async def _farewell() -> None:
    """Give streams time to end by themselves. Stop waiting once the number of connections no longer falls."""
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
    """Abort remaining and new connections until the server ends: one stalled peer would hold it up forever."""
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
    """Drain on the first signal, and exit at once on the second."""

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
        log.warning("server.no_uvloop", effect="using asyncio's event loop, which is slower")
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory

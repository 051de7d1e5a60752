"""The launcher: one process, one loop, Hypercorn inside, and a shutdown that notifies everyone and always ends."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine

import structlog
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from quart import Quart

from quart_odds import garbage
from quart_odds.errors import QuartOddsError, SettingsError
from quart_odds.server import fast_lane, hardening
from quart_odds.server.accepting import Accepting
from quart_odds.server.connection import open_connections
from quart_odds.server.drain import drain
from quart_odds.server.live_connections import live_connections
from quart_odds.server.live_protocols import INBOUND_BYTES
from quart_odds.server.sockets import address_of, is_loopback, listen, raise_file_limit
from quart_odds.server.stop import LastResort, cut_the_rest, farewell, stop_on_signals
from quart_odds.server.waiting import KEEP_ALIVE_SECONDS, waiting_for
from quart_odds.services import EXTENSION, Services
from quart_odds.settings import Settings

STOP_SECONDS = 3.0
"""The maximum duration of a stop, apart from the wait for a run. Then the process ends, whatever holds it up.

With the default wait of six seconds, that is before a container runtime kills it after ten.
"""
CONFIRM_SECONDS = 1.3
"""How long a run that is cut short has to save what it has, and to complete its row."""
OTHER_FILES = 512
"""How many files are open besides live connections: the database, bookmakers, requests."""
GIVE_UP_SECONDS = 0.7
"""How long Hypercorn has to end without the fast lane, when the launcher cannot cut the connections that hold it up."""
log = structlog.get_logger(__name__)


Ready = Callable[[str], None]
HasToken = Callable[[], Awaitable[bool]]


def run_in_loop(work: Callable[[], Coroutine[None, None, None]], *, use_uvloop: bool = True) -> None:
    """Run a coroutine until it ends, in a uvloop loop if uvloop is installed."""
    with asyncio.Runner(loop_factory=_uvloop_factory() if use_uvloop else None) as runner:
        runner.run(work())


async def serve(app: Quart, bind: str, *, has_token: HasToken | None = None, on_ready: Ready | None = None) -> None:
    """Serve an app in the running loop until SIGINT or SIGTERM.

    Raises SettingsError for an address beyond loopback that nobody could use: see `check_reach`.
    """
    parts = parts_of(app)
    sock = listen(bind, parts.settings.write_timeout_seconds)
    try:
        await check_reach(sock, bind, parts.settings, has_token)
    except QuartOddsError:
        sock.close()
        raise
    stop = asyncio.Event()
    stop_on_signals(stop)
    with sock.dup() as waiting:
        accepting = Accepting({0: waiting}, 0)
        accepting.install()
        accepting.is_final = True
        await serve_socket(app, sock, stop, accepting, on_ready)


def parts_of(app: Quart) -> Services:
    """Return the parts of an app, or of the Quart Odds in it. Raises SettingsError unless it has exactly one."""
    parts: Services | None = app.extensions.get(EXTENSION)
    if parts is None:
        raise SettingsError(
            "this launcher serves an app with one Quart Odds: serve others with Hypercorn's own command"
        )
    return parts


async def check_reach(sock: socket.socket, bind: str, settings: Settings, has_token: HasToken | None) -> None:
    """Raise SettingsError for a socket beyond loopback, unless there is a token, or everybody may read.

    `has_token` returns whether the database has a token that can be used.
    """
    if is_loopback(sock) or settings.open_to_network or (has_token is not None and await has_token()):
        return
    raise SettingsError(
        f"--bind {bind!r} can be reached from the network, and nobody there could get in: there is no token yet. Make "
        "one with `quart-odds token create --name … --scope admin`, or add --open-to-network to let everybody read"
    )


def check_files(limit: int, most_connections: int) -> None:
    """Log a warning if the system allows fewer open files than the settings allow live connections (0: any number)."""
    log.debug("server.files", limit=limit)
    if most_connections + OTHER_FILES > limit:
        log.warning(
            "server.few_files",
            limit=limit,
            max_connections=most_connections,
            reason="connections beyond the limit of open files are not even refused: raise its hard limit "
            f"(LimitNOFILE=, ulimit -Hn) to {most_connections + OTHER_FILES}, or lower QUART_ODDS_MAX_CONNECTIONS",
        )


async def serve_socket(
    app: Quart, sock: socket.socket, stop: asyncio.Event, accepting: Accepting, on_ready: Ready | None = None
) -> None:
    """Serve an app on a bound socket until `stop` is set. The socket is closed at the end.

    `on_ready` gets the address once the app has started and connections are accepted.
    """
    parts = parts_of(app)
    hardening.install()
    can_cut = fast_lane.install()
    if can_cut:
        accepting.prepare = waiting_for
    check_files(raise_file_limit(), parts.settings.max_connections)
    address = address_of(sock)
    last_resort = LastResort()
    cutter: asyncio.Task[None] | None = None
    is_given_up = False

    async def shutdown_trigger() -> None:
        nonlocal cutter
        warming = asyncio.create_task(parts.decoder.warm())
        garbage.settle()
        if on_ready is not None:
            on_ready(address)
        await stop.wait()
        last_resort.within(parts.settings.drain_seconds + STOP_SECONDS)
        warming.cancel()
        await asyncio.wait([warming])
        log.info("server.draining", connections=len(live_connections))
        draining = asyncio.create_task(drain(parts), name="drain")
        await asyncio.wait([draining], timeout=parts.settings.drain_seconds + CONFIRM_SECONDS)
        if draining.done():
            draining.result()
        else:
            log.warning(
                "server.run_not_ended", reason="the end of the run is not stored yet; the next start ends the run"
            )
        last_resort.within(STOP_SECONDS)
        # From here on a proxy sends to other servers, and what has arrived gets its response.
        accepting.end()
        open_connections.hand_over()
        await farewell(lambda: open_connections.are_kept or bool(parts.unanswered))
        cutter = asyncio.create_task(cut_the_rest() if can_cut else give_up())

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


def _config(file_number: int) -> Config:
    config = Config()
    config.bind = [f"fd://{file_number}"]
    config.backlog = 4096
    config.graceful_timeout = 0.5
    config.shutdown_timeout = 30.0
    config.websocket_max_message_size = INBOUND_BYTES
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.keep_alive_max_requests = 1_000_000
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = None
    return config


def _uvloop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        log.warning("server.no_uvloop", effect="using asyncio's event loop, which is slower")
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory

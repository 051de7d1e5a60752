"""One of several workers: serves the app on sockets that it inherits, and answers to its supervisor."""

import asyncio
import contextlib
import math
import os
import select
import signal
import socket
import threading
from typing import Any

import structlog
from quart import Quart

from quart_odds.errors import QuartOddsError
from quart_odds.readiness import missing_part
from quart_odds.server.accepting import Accepting
from quart_odds.server.channel import MAX_REASON, REPORT_SECONDS, Lines, WorkerPlace, line_of
from quart_odds.server.connection import open_connections
from quart_odds.server.serve import STOP_SECONDS, serve_socket
from quart_odds.server.stop import LastResort, stop_on_signals
from quart_odds.services import EXTENSION, Services
from quart_odds.settings import Settings

CHECK_PAUSE_SECONDS = 0.2
SEND_SECONDS = 1.0

log = structlog.get_logger(__name__)


class SupervisorLink:
    """A worker's end of the channel."""

    def __init__(self, place: WorkerPlace) -> None:
        self.place = place
        for number in (place.channel, *place.sockets):
            os.set_inheritable(number, False)
        self._channel = socket.socket(fileno=place.channel)
        self._channel.settimeout(SEND_SECONDS)
        self.sockets = {number: socket.socket(fileno=each) for number, each in enumerate(place.sockets, 1)}

    def tell_ready(self) -> None:
        """Tell the supervisor that this worker serves."""
        self._send({"ready": True})

    def tell_reason(self, reason: str) -> None:
        """Tell the supervisor why this worker cannot start, or is not ready yet."""
        self._send({"reason": reason[:MAX_REASON]})

    def tell_alive(self) -> None:
        """Tell the supervisor that the loop runs. Never waits: a supervisor that does not read has reports enough."""
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLOUT)
        if poll.poll(0):
            self._send({"alive": True})

    def receive(self) -> bytes:
        """Return what has arrived; nothing if the supervisor is gone."""
        try:
            return self._channel.recv(4096)
        except ConnectionError:
            return b""

    def until_gone(self) -> None:
        """Block until the supervisor is gone."""
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLRDHUP)
        poll.poll()

    def fileno(self) -> int:
        """The descriptor of the channel."""
        return self._channel.fileno()

    def _send(self, message: dict[str, object]) -> None:
        # A supervisor that is gone needs no answer: the end of the channel stops this worker anyway.
        with contextlib.suppress(ConnectionError):
            self._channel.sendall(line_of(message))


def worker_share(settings: Settings, workers: int) -> Settings:
    """Return the settings of one of several workers: its share of the limits that all of them have together.

    A share is rounded up, so it is never 0, which would mean no limit.
    """
    names = ("max_connections", "max_connections_per_address")
    return settings.model_copy(update={name: math.ceil(getattr(settings, name) / workers) for name in names})


async def serve_as_worker(app: Quart, link: SupervisorLink) -> None:
    """Serve an app in the running loop until the supervisor or SIGTERM ends it, or the supervisor is gone."""
    parts: Services = app.extensions[EXTENSION]
    parts.worker = link.place.number
    stop = asyncio.Event()
    stop_on_signals(stop)
    # It is for the supervisor, and would end this process if someone sends it to all.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _end_with_supervisor(link, stop, parts.settings.drain_seconds)
    accepting = Accepting(link.sockets, link.place.number)
    accepting.install()
    loop = asyncio.get_running_loop()
    loop.add_reader(link.fileno(), _receiver(link, accepting, stop))
    tasks = [asyncio.create_task(_report_alive(link), name="report-alive")]

    def on_ready(_: str) -> None:
        tasks.append(asyncio.create_task(_report_ready(parts, link, accepting, stop), name="report-ready"))

    try:
        await serve_socket(app, link.sockets[link.place.number].dup(), stop, accepting, on_ready)
    finally:
        loop.remove_reader(link.fileno())
        accepting.accept_on(())
        for task in tasks:
            task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _receiver(link: SupervisorLink, accepting: Accepting, stop: asyncio.Event) -> Any:
    lines = Lines()

    def receive() -> None:
        data = link.receive()
        if not data:
            asyncio.get_running_loop().remove_reader(link.fileno())
            stop.set()
        for message in lines.feed(data):
            if "accept" in message:
                accepting.accept_on(message["accept"])
                if not message["accept"]:
                    open_connections.hand_over()
            if message.get("final"):
                accepting.is_final = True
            if message.get("stop"):
                stop.set()

    return receive


async def _report_alive(link: SupervisorLink) -> None:
    while True:
        link.tell_alive()
        await asyncio.sleep(REPORT_SECONDS)


async def _report_ready(parts: Services, link: SupervisorLink, accepting: Accepting, stop: asyncio.Event) -> None:
    """Tell the supervisor once this worker is ready, and until then what is missing."""
    try:
        accepting.check()
    except QuartOddsError:
        stop.set()
        raise
    told = None
    while not stop.is_set():
        missing = await missing_part(parts)
        if missing is None:
            link.tell_ready()
            return
        if missing.for_operator != told:
            told = missing.for_operator
            log.warning("worker.not_ready", reason=told)
            link.tell_reason(told)
        await asyncio.sleep(CHECK_PAUSE_SECONDS)


def _end_with_supervisor(link: SupervisorLink, stop: asyncio.Event, drain_seconds: float) -> None:
    """Drain when the supervisor is gone. In a thread, so that the process ends in time even if its loop is blocked."""
    loop = asyncio.get_running_loop()

    def watch() -> None:
        link.until_gone()
        LastResort().within(drain_seconds + STOP_SECONDS)
        # The loop may have ended already.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()

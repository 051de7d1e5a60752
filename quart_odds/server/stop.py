"""Stopping a server for good: signals, time for clients to leave, cutting the rest, and a last resort."""

import asyncio
import contextlib
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import structlog

from quart_odds.server.live_connections import live_connections

FAREWELL_SECONDS = 0.7
"""How long clients have to take their last message after the shutdown is announced."""
ABORT_SECONDS = 0.05

log = structlog.get_logger(__name__)


class LastResort:
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


async def farewell(is_expected: Callable[[], bool]) -> None:
    """Give streams time to end by themselves, and requests their responses: all that `is_expected` tells.

    Stop waiting once the number of connections no longer falls and nothing is expected.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + FAREWELL_SECONDS
    quiet = 0
    before = len(live_connections)
    while loop.time() < until and ((before and quiet < 4) or quiet < 2 or is_expected()):
        await asyncio.sleep(ABORT_SECONDS)
        now = len(live_connections)
        quiet = quiet + 1 if now == before else 0
        before = now


async def cut_the_rest() -> None:
    """Abort remaining and new connections until the server ends: one stalled peer would hold it up forever."""
    while True:
        if count := live_connections.abort():
            log.info("server.cut", connections=count)
        await asyncio.sleep(ABORT_SECONDS)


def stop_on_signals(stop: asyncio.Event) -> None:
    """Drain on the first signal, and exit at once on the second.

    A worker may have been told to stop before its first signal: a service manager may send SIGTERM to all processes.
    """
    had_signal = False

    def on_signal(number: int) -> None:
        nonlocal had_signal
        if had_signal:
            sys.exit(128 + number)
        had_signal = True
        stop.set()

    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(name, on_signal, name)

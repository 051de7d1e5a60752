"""Code that runs inside a decoding process: its initialisation and the decoding of one body."""

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import connection, parent_process
from typing import TypeVar, cast

from quart_odds import garbage
from quart_odds.bookmakers.bodies import RawBody, decompress
from quart_odds.bookmakers.lists import RawList
from quart_odds.bookmakers.registry import site_of
from quart_odds.domain.odds import MappedEvent
from quart_odds.errors import BookmakerError, MalformedBodyError

WORKER_BYTES = 2_000_000_000
"""The address space of a process, ten times what the most expensive accepted body needs."""

MAX_PRICES = 20_000
"""Maximum number of prices of one event. Real events have up to 2,000."""

NICENESS = 5
"""Where processors are scarce, the server's loop, which listeners wait for, goes first."""

PR_SET_PDEATHSIG = 1

Result = TypeVar("Result")
Raw = TypeVar("Raw", RawBody, RawList)


def decode(raw: RawBody) -> MappedEvent:
    """Decode a body into prices. Without side effects, so it can run in any process.

    Raises only BookmakerError, naming the event.
    """
    where = f"event {raw.header.external_id}"
    plain = decompress(raw.platform, raw.content, raw.content_encoding, raw.max_bytes, where)
    mapped = site_of(raw.platform).parse_event(plain, raw.header)
    if len(mapped.prices) > MAX_PRICES:
        raise MalformedBodyError(raw.platform, f"{len(mapped.prices)} prices, more than {MAX_PRICES}", where=where)
    return replace(mapped, fetched_at=raw.fetched_at)


Done = tuple[float, Result | None, BookmakerError | None]
"""Seconds spent on a body, and its result or error. An error passed as a value carries no traceback."""


def timed(task: tuple[Callable[[Raw], Result], Raw, str]) -> Done[Result]:
    """Run a task and measure the time. This is what a process executes per body."""
    began = time.perf_counter()
    value, error = None, None
    try:
        value = guarded(*task)
    except BookmakerError as exc:
        error = exc.bare()
    return time.perf_counter() - began, value, error


def unwrap(done: Done[Result]) -> Result:
    """Return the result, or raise the error that came instead."""
    _, value, error = done
    if error is not None:
        raise error
    return cast(Result, value)


def guarded(function: Callable[[Raw], Result], raw: Raw, where: str) -> Result:
    """Run a function that raises only BookmakerError, without any part of the body.

    Running out of memory or stack counts as a MalformedBodyError.
    """
    try:
        return function(raw)
    except BookmakerError as exc:
        fault = exc.bare()
    except (MemoryError, RecursionError) as exc:
        fault = MalformedBodyError(raw.platform, f"a body too costly to read ({type(exc).__name__})", where=where)
    raise fault


def nothing(_: None) -> None:
    """Do nothing. A process that returns from this is alive."""


def serve_tasks(parent: connection.Connection) -> None:
    """Run the tasks that arrive, pairs of a function and its argument, and send back what each returned or raised.

    This is what a decoding process does until its parent closes the connection.
    """
    start_worker()
    garbage.settle()
    while True:
        try:
            parent.send_bytes(_outcome(parent.recv_bytes()))
        except (EOFError, ConnectionError):
            return  # also with a result, for which nobody waits any more


def _outcome(task: bytes) -> bytes:
    try:
        function, argument = pickle.loads(task)  # noqa: S301 - from our own process
        return pickle.dumps((function(argument), None), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        # The traceback stays here, so its text goes along.
        error.add_note("".join(traceback.format_exception(error)))
        return pickle.dumps((None, error), pickle.HIGHEST_PROTOCOL)


def start_worker() -> None:
    """Initialise a decoding process: ignore Ctrl-C, limit its memory, and exit when the parent exits.

    Ctrl-C is left to the parent. A process that outlived its parent would wait for work forever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    parent = parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        import ctypes
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        if most == resource.RLIM_INFINITY or most > WORKER_BYTES:
            resource.setrlimit(resource.RLIMIT_AS, (WORKER_BYTES, WORKER_BYTES))
        # Lets the kernel kill a process that is stopped, or in a loop that never releases the GIL.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent.pid:
            os._exit(1)
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)

"""What runs inside a decoding process: its start, and the decoding of one body."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import connection, parent_process
from typing import TypeVar, cast

from quart_odds.bookmakers import bet9ja, betpawa, sportybet
from quart_odds.bookmakers.bodies import RawBody, decompress
from quart_odds.bookmakers.lists import RawList
from quart_odds.domain.odds import MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, MalformedBodyError

WORKER_BYTES = 2_000_000_000
"""Address space of a process: ten times what the costliest body that is let through takes."""

MAX_PRICES = 20_000
"""Prices of one event: real ones have up to 2,000."""

PR_SET_PDEATHSIG = 1

Result = TypeVar("Result")
Raw = TypeVar("Raw", RawBody, RawList)

_PARSERS = {
    Platform.BETPAWA: betpawa.parse_event,
    Platform.SPORTYBET: sportybet.parse_event,
    Platform.BET9JA: bet9ja.parse_event,
}


def decode(raw: RawBody) -> MappedEvent:
    """A raw body as prices: pure, and the same in any process. Raises BookmakerError naming the event, nothing else."""
    where = f"event {raw.header.external_id}"
    plain = decompress(raw.platform, raw.content, raw.content_encoding, raw.max_bytes, where)
    mapped = _PARSERS[raw.platform](plain, raw.header)
    if len(mapped.prices) > MAX_PRICES:
        raise MalformedBodyError(raw.platform, f"{len(mapped.prices)} prices, more than {MAX_PRICES}", where=where)
    return mapped


Done = tuple[float, Result | None, BookmakerError | None]
"""What came of a body, after how many seconds. An error travels as a value: it has no traceback then."""


def timed(task: tuple[Callable[[Raw], Result], Raw, str]) -> Done[Result]:
    """What a process does with a body."""
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
    """The result, or a BookmakerError that holds nothing of the body, also for one that is too costly to read."""
    try:
        return function(raw)
    except BookmakerError as exc:
        fault = exc.bare()
    except (MemoryError, RecursionError) as exc:
        fault = MalformedBodyError(raw.platform, f"a body too costly to read ({type(exc).__name__})", where=where)
    raise fault


def nothing(_: None) -> None:
    """What a process does to show that it is there."""


def start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends: a worker alone would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        import ctypes
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        if most == resource.RLIM_INFINITY or most > WORKER_BYTES:
            resource.setrlimit(resource.RLIMIT_AS, (WORKER_BYTES, WORKER_BYTES))
        # The kernel kills a worker that is stopped, or in a loop that lets no thread run.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent.pid:
            os._exit(1)
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)

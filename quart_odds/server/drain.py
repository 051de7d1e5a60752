"""The drain: refuse new clients, tell every stream when to come back, and let requests and the run end."""

import asyncio
import random
import time

from quart_odds.broadcast.flush import Flusher
from quart_odds.services import Services

RESTART = 1012
ANSWER_PAUSE_SECONDS = 0.02
LEAST_RETRY_MS = 500
MOST_RETRY_MS = 5000
RETRY_MS_EACH = 1.5
"""How much later the last client comes back for each client: a handshake costs the next process a millisecond."""


async def drain(parts: Services) -> None:
    """Refuse new clients, end all streams, and let the run end or interrupt it. Further calls wait for the first.

    Requests have as much time for their responses as the run has for its end.
    """
    if parts.is_draining:
        await parts.drained.wait()
        return
    parts.is_draining = True
    until = time.monotonic() + parts.settings.drain_seconds
    try:
        if parts.commands is not None:
            parts.commands.hurry()
        tell_restart(parts)
        await asyncio.sleep(0)
        await parts.runs.close(wait_seconds=parts.settings.drain_seconds)
        while parts.unanswered and time.monotonic() < until:
            await asyncio.sleep(ANSWER_PAUSE_SECONDS)
        # Clients that were admitted just before, and subscribed just after.
        tell_restart(parts)
    finally:
        parts.drained.set()


def tell_restart(parts: Services) -> None:
    """End every stream with a request to reconnect after a random delay: WebSocket by 1012, SSE by `retry:`."""
    flushers = _flushers(parts)
    clients = sum(len(each.subscribers) for each in flushers)
    most_ms = max(MOST_RETRY_MS, round(clients * RETRY_MS_EACH))
    for flusher in flushers:
        flusher.flush()
        for subscriber in list(flusher.subscribers):
            wait = random.randint(LEAST_RETRY_MS, most_ms)
            flusher.remove(subscriber, "drained")
            subscriber.end(RESTART, f"retry_ms={wait}")


def _flushers(parts: Services) -> list[Flusher]:
    return [parts.registry.flusher, *(each.flusher for each in parts.runs.broadcasters)]

"""Calls by the loop, in a context of their own.

By default a call has the context of whoever schedules it. What the hub does is for all listeners: it must not have the
ids of the request or the run that happened to schedule it, and a timer that goes on must not keep them for ever.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context


class OwnTimers:
    """Schedules calls in the running loop."""

    def __init__(self) -> None:
        self._context = Context()

    def soon(self, callback: Callable[[], object]) -> asyncio.Handle:
        """Call a function in the next turn of the loop."""
        return asyncio.get_running_loop().call_soon(callback, context=self._context)

    def later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call a function after so many seconds."""
        return asyncio.get_running_loop().call_later(seconds, callback, context=self._context)

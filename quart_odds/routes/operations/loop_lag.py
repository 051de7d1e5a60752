"""How late the loop is: anything that holds it for over five milliseconds is a fault to find."""

import asyncio
import time
from collections import deque

INTERVAL_SECONDS = 0.01
KEPT = 6000


class LoopLag:
    """Asks the loop to wake it each ten milliseconds, and keeps how much later it was woken, for the last minute."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=KEPT)
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def open(self) -> None:
        """Begin to measure, in the running loop."""
        self._due = time.monotonic() + INTERVAL_SECONDS
        self._timer = asyncio.get_running_loop().call_later(INTERVAL_SECONDS, self._wake)

    def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reset(self) -> None:
        """Forget what was measured so far."""
        self._seconds.clear()

    def quantile(self, share: float) -> float:
        """Seconds of lag that this share of the wakes did not exceed; 0 while nothing was measured."""
        ordered = sorted(self._seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    def _wake(self) -> None:
        now = time.monotonic()
        self._seconds.append(max(0.0, now - self._due))
        self.open()

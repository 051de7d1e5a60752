"""Event loop lag. Anything that blocks the loop for more than five milliseconds is a bug to find."""

import asyncio
import time
from collections import deque

INTERVAL_SECONDS = 0.01
KEPT = 6000


class LoopLag:
    """Asks the loop to wake it every ten milliseconds, and records how late it was woken, for the last minute."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=KEPT)
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def open(self) -> None:
        """Start to measure, in the running loop."""
        self._due = time.monotonic() + INTERVAL_SECONDS
        self._timer = asyncio.get_running_loop().call_later(INTERVAL_SECONDS, self._wake)

    def close(self) -> None:
        """Stop measuring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reset(self) -> None:
        """Discard all measurements."""
        self._seconds.clear()

    def quantile(self, share: float) -> float:
        """Return the lag in seconds that this share of the wake-ups did not exceed; 0 before the first measurement."""
        ordered = sorted(self._seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    def _wake(self) -> None:
        now = time.monotonic()
        self._seconds.append(max(0.0, now - self._due))
        self.open()

"""Yielding to the event loop during long computations."""

import time


class CooperativeYield:
    """Tells a long computation when it has held the event loop for `budget_seconds`."""

    def __init__(self, budget_seconds: float = 0.003) -> None:
        self._budget_seconds = budget_seconds
        self._since = time.perf_counter()

    @property
    def is_due(self) -> bool:
        """Whether it is time to `await sleep(0)`. If so, reading it starts the next period."""
        now = time.perf_counter()
        if now - self._since < self._budget_seconds:
            return False
        self._since = now
        return True

"""Long pieces of work that give the event loop its turns."""

import time


class CooperativeYield:
    """Gives the loop a turn when a piece of work has held it for `budget_seconds`."""

    def __init__(self, budget_seconds: float = 0.003) -> None:
        self._budget_seconds = budget_seconds
        self._since = time.perf_counter()

    @property
    def is_due(self) -> bool:
        """Whether it is time to `await sleep(0)`; asking starts the next turn."""
        now = time.perf_counter()
        if now - self._since < self._budget_seconds:
            return False
        self._since = now
        return True

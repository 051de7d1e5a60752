"""How far a price has moved within a period: from the prices that it had in it, the one at its beginning included."""

from collections import deque


class RecentPrices:
    """The prices of one outcome within the last `within_seconds`. They are in memory only."""

    def __init__(self, within_seconds: float) -> None:
        self._within_seconds = within_seconds
        self._prices: deque[tuple[float, float]] = deque()

    @property
    def latest(self) -> float | None:
        """The newest price, None before the first."""
        return self._prices[-1][1] if self._prices else None

    def add(self, odds: float, at: float) -> None:
        """Add a price that is there from `at` on, in seconds."""
        self._prices.append((at, odds))

    def percent(self, at: float) -> tuple[float, float]:
        """Return how far the newest price has risen and fallen at most within the period that ends at `at`.

        Both are at least 0. The price at the beginning of the period counts from then on.
        """
        while len(self._prices) > 1 and self._prices[1][0] <= at - self._within_seconds:
            self._prices.popleft()
        latest = self.latest
        if latest is None:
            return 0.0, 0.0
        changes = [100 * (latest / odds - 1) for _, odds in self._prices]
        return max(changes), -min(changes)

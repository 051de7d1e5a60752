"""Counts of the requests to a bookmaker: totals, requests under way, and the busiest seconds."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Window:
    """The largest number of requests in any window of `seconds`."""

    seconds: float
    most: int = 0
    _times: deque[float] = field(default_factory=deque)

    def add(self, now: float) -> None:
        """Count a request at a time in seconds. Times must not decrease."""
        while self._times and self._times[0] <= now - self.seconds:
            self._times.popleft()
        self._times.append(now)
        self.most = max(self.most, len(self._times))


@dataclass(slots=True)
class Traffic:
    """The requests to a bookmaker: totals, those under way, the most under way at once, and the busiest windows."""

    clock: Callable[[], float] = time.monotonic
    list_requests: int = 0
    detail_requests: int = 0
    active: int = 0
    most_active: int = 0
    second: Window = field(default_factory=lambda: Window(1))
    ten_seconds: Window = field(default_factory=lambda: Window(10))

    def enter(self, *, is_detail: bool) -> None:
        """Count the start of a request for an event's detail, or for a list or tree."""
        now = self.clock()
        self.second.add(now)
        self.ten_seconds.add(now)
        if is_detail:
            self.detail_requests += 1
        else:
            self.list_requests += 1
        self.active += 1
        self.most_active = max(self.most_active, self.active)

    def leave(self) -> None:
        """Count the end of a request."""
        self.active -= 1

    def as_json(self) -> dict[str, int]:
        """Return all counts by name."""
        return {
            "requests": self.list_requests + self.detail_requests,
            "list_requests": self.list_requests,
            "detail_requests": self.detail_requests,
            "active": self.active,
            "most_active": self.most_active,
            "busiest_second": self.second.most,
            "busiest_ten_seconds": self.ten_seconds.most,
        }

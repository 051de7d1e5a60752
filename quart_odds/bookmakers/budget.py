"""The request budget of one bookmaker: a rate that halves when it refuses or slows down, and recovers slowly."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from quart_odds.domain.platforms import Platform

Reason = Literal["refused", "slow"]
"""Why a budget was halved: the bookmaker refused a request, or its response times have grown."""

COOL_DOWN_SECONDS = 10.0
"""Minimum time between two halvings: the refusals of requests that were under way together count once."""

RECOVERY_SECONDS = 10.0
"""A halved budget recovers by one step each time that this long has passed without trouble."""

RECOVERY_SHARE = 0.05
"""One step, as a share of the configured rate."""

LEAST_SHARE = 1 / 16
"""The smallest rate, as a share of the configured one."""

SLOW_FACTOR = 3.0
"""Response times count as grown when their recent average is above the usual one times this factor."""

LEAST_SLOW_SECONDS = 0.5
"""Response times below this are never slow."""

RECENT_WEIGHT = 0.1
"""The weight of one answer in the recent average."""

USUAL_SECONDS = 300.0
"""How slowly the usual average follows: a lasting change becomes usual within minutes."""

MOST_USUAL_WEIGHT = 0.01
"""The largest weight of one answer in the usual average, after however long a silence."""

FIRST_ANSWERS = 10
"""So many answers of a kind only tell what is usual."""

METERED_SECONDS = 10.0
"""The period over which the rate of requests is measured."""

_ROUNDING = 1e-6
"""What a token may lack. Without this, a wait that was rounded down would be followed by another one."""


@dataclass(frozen=True, slots=True)
class RequestBudget:
    """The requests to a bookmaker, and its budget now.

    `requests_per_second` is measured over the last ten seconds. `budget_per_second` is None while there is no budget,
    because sweeps are off. `reason` tells why it is below `configured_per_second`; None if it is not.
    """

    platform: Platform
    requests_total: int
    requests_per_second: float
    budget_per_second: float | None
    configured_per_second: float
    reason: Reason | None


class Budget:
    """A token bucket. `rate` is in requests per second, `clock` in seconds.

    The bucket holds what one second brings, and at least one token. Requests in any period of t seconds are therefore
    at most `rate * t` plus one second's worth (or one request). Raises ValueError for a rate that is not positive.
    """

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self.last_reason: Reason | None = None
        self.halved_at: float | None = None
        self._clock = clock
        self._configured = _checked(rate)
        self._share = 1.0
        self._tokens = self._capacity()
        self._allowed = 0.0
        self._filled_at = clock()
        self._recovers_at = 0.0
        self._cools_until = float("-inf")
        self._response_times: dict[str, _ResponseTimes] = {}

    @property
    def configured(self) -> float:
        """The configured rate, which `rate` never exceeds."""
        return self._configured

    @property
    def rate(self) -> float:
        """The current rate."""
        self._fill()
        return self._rate()

    @property
    def allowed(self) -> float:
        """How many requests the rate has allowed since the budget was made, also those that nobody sent."""
        self._fill()
        return self._allowed

    @property
    def reason(self) -> Reason | None:
        """Why the rate is below the configured one; None if it is not. `last_reason` is kept after the recovery."""
        self._fill()
        return self.last_reason if self._share < 1 else None

    def configure(self, rate: float) -> None:
        """Change the configured rate. A halved budget stays at the same share of it."""
        if rate != self._configured:
            self._fill()
            self._configured = _checked(rate)
            self._tokens = min(self._tokens, self._capacity())

    def wait_seconds(self) -> float:
        """Return how long the next request has to wait at the current rate; 0 if it may be sent now."""
        self._fill()
        missing = 1 - self._tokens
        if missing <= _ROUNDING:
            return 0.0
        # A rate near the smallest number there is becomes zero when it is halved.
        return missing / self._rate() if self._rate() else float("inf")

    def take(self) -> None:
        """Take the token of a request that is sent now. If there is none, the next request waits longer."""
        self._fill()
        self._tokens -= 1

    def refused(self) -> bool:
        """Count a refusal. Returns whether it halved the rate."""
        return self._trouble("refused")

    def answered(self, seconds: float, kind: str = "") -> bool:
        """Count the response time of a request. Returns whether it halved the rate.

        Kinds of requests that differ in their answers are compared apart.
        """
        times = self._response_times.setdefault(kind, _ResponseTimes())
        return times.is_slow_after(seconds, self._clock()) and self._trouble("slow")

    def _trouble(self, reason: Reason) -> bool:
        """Halve the rate, unless it was halved within the cool-down; start to wait for the recovery anew."""
        self._fill()
        now = self._filled_at
        self._recovers_at = now + RECOVERY_SECONDS
        if now < self._cools_until:
            return False
        self._cools_until = now + COOL_DOWN_SECONDS
        self._share = max(LEAST_SHARE, self._share / 2)
        self._tokens = min(self._tokens, self._capacity())
        self.last_reason = reason
        self.halved_at = now
        return True

    def _rate(self) -> float:
        return self._configured * self._share

    def _capacity(self) -> float:
        return max(1.0, self._rate())

    def _fill(self) -> None:
        """Add the tokens since the last call, and the steps of the recovery, each at its time."""
        now = max(self._clock(), self._filled_at)
        while self._share < 1 and self._recovers_at <= now:
            self._fill_until(self._recovers_at)
            self._share = min(1.0, self._share + RECOVERY_SHARE)
            self._recovers_at += RECOVERY_SECONDS
        self._fill_until(now)

    def _fill_until(self, at: float) -> None:
        brought = (at - self._filled_at) * self._rate()
        self._allowed += brought
        self._tokens = min(self._capacity(), self._tokens + brought)
        self._filled_at = at


class RequestMeter:
    """Counts requests, in all and over the last seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.total = 0
        self._clock = clock
        self._sent_at: deque[float] = deque()

    def count(self) -> None:
        """Count a request that is sent now."""
        self.total += 1
        self._forget()
        self._sent_at.append(self._clock())

    @property
    def per_second(self) -> float:
        """Requests per second over the last ten seconds."""
        self._forget()
        return len(self._sent_at) / METERED_SECONDS

    def _forget(self) -> None:
        before = self._clock() - METERED_SECONDS
        while self._sent_at and self._sent_at[0] <= before:
            self._sent_at.popleft()


class _ResponseTimes:
    """The recent and the usual response time of one kind of request. Both are moving averages."""

    def __init__(self) -> None:
        self._count = 0
        self._recent = 0.0
        self._usual = 0.0
        self._at = 0.0

    def is_slow_after(self, seconds: float, now: float) -> bool:
        """Add a response time. Returns whether it is slow, and its predecessors have been on average.

        However slow an answer was, it counts for at most twice the limit, so one alone never lifts the average above
        it, and what is usual follows so slowly that it does not hide a slow-down.
        """
        since, self._at = max(0.0, now - self._at), now
        if self._count < FIRST_ANSWERS:
            self._count += 1
            self._usual += (seconds - self._usual) / self._count
            self._recent = self._usual
            return False
        limit = max(LEAST_SLOW_SECONDS, SLOW_FACTOR * self._usual)
        self._recent += RECENT_WEIGHT * (min(seconds, 2 * limit) - self._recent)
        self._usual += min(MOST_USUAL_WEIGHT, since / USUAL_SECONDS) * (min(seconds, limit) - self._usual)
        return seconds > limit and self._recent > limit


def _checked(rate: float) -> float:
    if not rate > 0:
        raise ValueError(f"a budget of {rate:g} requests per second lets no request through")
    return rate

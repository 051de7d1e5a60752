"""Requests that were not let in: counted by reason, and limited by address where they tried with something wrong."""

import time
from collections import Counter
from collections.abc import Callable

from quart_odds.routes.access.limits import Client, TokenBucket
from quart_odds.routes.access.problems import Problem
from quart_odds.routes.access.refusals import refusals

AT_ONCE = 20
A_SECOND = 0.2
MOST_ADDRESSES = 10_000

REASONS = ("none", "unknown", "revoked", "expired", "invalid", "scope", "csrf", "query", "limited")
"""What is counted: no credentials, a wrong or ended one, a missing scope, a form or an address that must not be."""


class Attempts:
    """The requests of one app that were not let in. `counts` has them by reason."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}

    def check(self, client: Client) -> None:
        """Raise a 429 if this address has tried too often with something wrong."""
        bucket = self._buckets.get(client.network)
        if bucket is not None and bucket.left < 1:
            self.counts["limited"] += 1
            raise Problem(
                429,
                "Too many attempts",
                "Too many requests from this address had a wrong token; wait before the next one.",
                headers={"Retry-After": str(round(1 / A_SECOND))},
            )

    def note(self, client: Client, reason: str) -> None:
        """Note that this address has tried with something wrong."""
        self.counts[reason] += 1
        refusals.tell("access.refused", reason, address=client.network, reason=reason)
        bucket = self._buckets.pop(client.network, None)
        if bucket is None:
            bucket = TokenBucket(A_SECOND, AT_ONCE, self._clock)
        if len(self._buckets) >= MOST_ADDRESSES:
            # Those that have tried last are at the end.
            del self._buckets[next(iter(self._buckets))]
        self._buckets[client.network] = bucket
        bucket.take()

"""Log lines about refusals and failures that a peer caused: a few of each kind, then a count."""

import time
from collections import Counter
from collections.abc import Callable

import structlog

from quart_odds.routes.access.limits import TokenBucket

LINES_AT_ONCE = 10
LINES_A_SECOND = 0.2
MAX_KINDS = 100
"""Kinds are names and statuses from our own code. If they ever came from peers, their number would still be limited."""
OTHER = "other"
"""The reason under which refusals are counted when there are MAX_KINDS reasons already."""

log = structlog.get_logger(__name__)


class Refusals:
    """Logs refusals by kind. Peers that cause them can neither fill the disk nor hide the rest of the log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        """All refusals by reason, those that are not logged included."""
        self._clock = clock
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def count(self, reason: str) -> None:
        """Count a refusal. The reason comes from our own code."""
        is_new = reason not in self.counts and len(self.counts) >= MAX_KINDS
        self.counts[OTHER if is_new else reason] += 1

    def tell(self, event: str, kind: str, **fields: object) -> None:
        """Log a line, unless too many of this event and kind were logged. The next line says how many were left out.

        A failure of the server (`exc_info` is given) is logged as an error, everything else as a warning.
        """
        key = event, kind if len(self._kinds) < MAX_KINDS or (event, kind) in self._kinds else ""
        known = self._kinds.get(key)
        if known is None:
            known = self._kinds[key] = _Kind(self._clock)
        if not known.bucket.take():
            known.left_out += 1
            return
        if known.left_out:
            fields["left_out"] = known.left_out
            known.left_out = 0
        (log.error if "exc_info" in fields else log.warning)(event, **fields)


class _Kind:
    def __init__(self, clock: Callable[[], float]) -> None:
        self.bucket = TokenBucket(LINES_A_SECOND, LINES_AT_ONCE, clock)
        self.left_out = 0


refusals = Refusals()
"""The refusals of this process."""

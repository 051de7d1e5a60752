"""Rows of the table of events, rendered once for all readers, and kept until their event changes or prices get old."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from quart_odds.domain.catalogue import Market
from quart_odds.domain.clock import utc_now
from quart_odds.odds.event import CachedEvent
from quart_odds.routes.pages.odds import event_row
from quart_odds.routes.pages.shell import rendered_now

KEPT_ROWS = 4000
"""Maximum number of cached rows, about 8 MB."""

Key = tuple[int, int, float | None]
"""(event, market number, line)."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A rendered row, and from when to when it is right: prices get old without a change of their event."""

    version: int
    rendered_at: datetime
    old_after: datetime | None
    html: Markup

    def is_right(self, version: int, now: datetime) -> bool:
        return self.version == version and self.rendered_at <= now and (self.old_after is None or now <= self.old_after)


class EventRows:
    """The rendered rows of one cache, kept by the version of their event. The cache uses each version once.

    Their links begin with `root_path`.
    """

    def __init__(
        self,
        *,
        stale_after: timedelta,
        root_path: str = "",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.stale_after = stale_after
        self._root_path = root_path
        self._clock = clock
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()

    def html(self, events: Sequence[CachedEvent], market: Market, line: float | None) -> list[Markup]:
        """Return the rows of these events with one market each. Rendering a row takes a fifth of a millisecond.

        Prices that were last seen more than `stale_after` ago are marked as old. Except for that, the rows do not
        depend on the time at which they are shown: the page's script computes ages.
        """
        kept, now, stale_after = self._kept, self._clock(), self.stale_after
        rows = []
        for event in events:
            key = (event.id, market.number, line)
            found = kept.get(key)
            if found is None or not found.is_right(event.version, now):
                row = event_row(event, market, line)
                values = {"row": row, "now": now, "stale_after": stale_after, "root": self._root_path}
                html = rendered_now("row.html", values)
                found = kept[key] = _Kept(event.version, now, row.old_after(now, stale_after), html)
            kept.move_to_end(key)
            rows.append(found.html)
        while len(kept) > KEPT_ROWS:
            kept.popitem(last=False)
        return rows

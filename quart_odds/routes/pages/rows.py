"""Rows of the table of events, rendered once for all readers and kept until their event changes."""

from collections import OrderedDict
from collections.abc import Sequence

from markupsafe import Markup

from quart_odds.domain.catalogue import Market
from quart_odds.odds.event import CachedEvent
from quart_odds.routes.pages.odds import event_row
from quart_odds.routes.pages.shell import rendered_now

KEPT_ROWS = 4000
"""Maximum number of cached rows, about 8 MB."""

Key = tuple[int, int, float | None]
"""(event, market number, line)."""


class EventRows:
    """The rendered rows of one cache, kept by the version of their event. The cache uses each version once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, tuple[int, Markup]] = OrderedDict()

    def html(self, events: Sequence[CachedEvent], market: Market, line: float | None) -> list[Markup]:
        """Return the rows of these events with one market each. Rendering a row takes a fifth of a millisecond.

        The rows do not depend on the time at which they are shown: the page's script computes ages.
        """
        kept = self._kept
        rows = []
        for event in events:
            key = (event.id, market.number, line)
            found = kept.get(key)
            if found is None or found[0] != event.version:
                found = (event.version, rendered_now("row.html", {"row": event_row(event, market, line)}))
                kept[key] = found
            kept.move_to_end(key)
            rows.append(found[1])
        while len(kept) > KEPT_ROWS:
            kept.popitem(last=False)
        return rows

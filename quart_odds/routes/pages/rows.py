"""Rows of the table of events, rendered once for all readers, and kept until their event changes or prices get old."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path

from markupsafe import Markup

from quart_odds.domain.catalogue import Market
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.offered_lines import offered_lines
from quart_odds.odds.recent_moves import NONE, RecentMoves
from quart_odds.odds.row_figures import figures_of
from quart_odds.routes.pages.moves import ShownMoves
from quart_odds.routes.pages.odds import event_row
from quart_odds.routes.pages.row_words import Worth, outcome_labels
from quart_odds.routes.pages.shell import rendered_now

KEPT_ROWS = 4000
"""Maximum number of cached rows, about 12 MB."""

Key = tuple[int, int, float | None, tuple[Platform, ...], str]
"""(event, market number, line, columns, chosen bookmakers)."""


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

    `moves` says how prices have moved; without it, rows do not tell that. Their links begin with `root_path`. A
    template in the folder `templates` replaces ours.
    """

    def __init__(
        self,
        *,
        stale_after: timedelta,
        root_path: str = "",
        templates: Path | None = None,
        moves: RecentMoves | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._moves = moves
        self.stale_after = stale_after
        self._root_path = root_path
        self._templates = templates
        self._clock = clock
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._lines: OrderedDict[tuple[int, int], tuple[int, frozenset[float]]] = OrderedDict()

    def html(
        self,
        events: Sequence[CachedEvent],
        market: Market,
        line: float | None,
        platforms: Iterable[Platform] = Platform,
        *,
        choice: str = "",
    ) -> list[Markup]:
        """Return the rows of these events with one market each. Rendering a row takes a third of a millisecond.

        They have a cell for each of the bookmakers. `choice` has those of the links, if any are chosen; then the events
        have these alone (`CachedEvent.among`).

        Prices that were last seen more than `stale_after` ago are marked as old, and fair odds do not come from them.
        Except for that, the rows do not depend on the time at which they are shown: the page's script computes ages.
        """
        kept, now, stale_after = self._kept, self._clock(), self.stale_after
        columns = tuple(platforms)
        query = f"?bookmakers={choice}" if choice else ""
        rows = []
        for event in events:
            key = (event.id, market.number, line, columns, choice)
            found = kept.get(key)
            if found is None or not found.is_right(event.version, now):
                row = event_row(event, market, line, columns)
                figures = figures_of(event, market, line, None, now, stale_after)
                moves = None if self._moves is None else self._moves.moves_of(event, market, line)
                row_labels = outcome_labels(market, line)
                values = {
                    "row": row,
                    "labels": row_labels,
                    "worth": Worth.of(figures),
                    "moves": [ShownMoves.of(each) for each in (moves.outcomes if moves else [NONE] * len(row_labels))],
                    "now": now,
                    "stale_after": stale_after,
                    "root": self._root_path,
                    "query": query,
                }
                html = rendered_now("row.html", values, self._templates)
                moments = [row.old_after(now, stale_after), figures.right_until]
                if moves is not None and moves.until < inf:
                    moments.append(datetime.fromtimestamp(moves.until, UTC) - timedelta.resolution)
                old_after = min((each for each in moments if each is not None), default=None)
                found = kept[key] = _Kept(event.version, now, old_after, html)
            kept.move_to_end(key)
            rows.append(found.html)
        while len(kept) > KEPT_ROWS:
            kept.popitem(last=False)
        return rows

    def lines(self, events: Iterable[CachedEvent], market: Market, shown: float | None) -> list[float]:
        """Return the lines of a market that bookmakers offer for these events, in order, and the one that is shown."""
        if shown is None:
            return []
        kept = self._lines
        found = {shown}
        for event in events:
            key = (event.id, market.number)
            version, here = kept.get(key, (None, frozenset[float]()))
            if version != event.version:
                here = offered_lines(event, market)
                kept[key] = event.version, here
            kept.move_to_end(key)
            found |= here
        while len(kept) > KEPT_ROWS:
            kept.popitem(last=False)
        return sorted(found)

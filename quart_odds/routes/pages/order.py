"""The order of the rows of odds, by figures of the market that they show. Each figure is kept until it may change."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from quart_odds.domain.catalogue import Market, pack_key
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import GONE
from quart_odds.odds.margin import best_values, market_margin
from quart_odds.odds.offers import offer_of
from quart_odds.odds.recent_moves import RecentMoves
from quart_odds.odds.row_figures import figures_of
from quart_odds.routes.api.cooperative_yield import CooperativeYield

FigureSort = Literal["margin", "value", "movement", "age", "-age"]
"""Lowest margin of the best prices first; highest value first; what moved most; newest, or oldest, prices first."""

KEPT_ORDERS = 16
"""Markets and choices of bookmakers whose figures are kept: some 200 KB each with 1,300 events."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What rows show: a market and line, and the bookmakers of a choice, none if all are compared."""

    market: Market
    line: float | None
    chosen: tuple[Platform, ...] = ()


@dataclass(frozen=True, slots=True)
class _Figure:
    """A figure by which rows are sorted, lowest first; None if there is none. It is right at most `until` a time."""

    version: int
    made_at: datetime
    until: datetime | None
    rank: float | None

    def is_right(self, version: int, now: datetime) -> bool:
        return self.version == version and self.made_at <= now and (self.until is None or now <= self.until)


_Made = tuple[float | None, datetime | None]


class EventOrder:
    """Sorts events by what their rows show. `stale_after` is how old a price may be that says what others are worth.

    `moves` are the movements, which are kept there: more of them is known when more of the history has been read.
    """

    def __init__(self, stale_after: timedelta, moves: RecentMoves | None = None) -> None:
        self._stale_after = stale_after
        self._moves = moves
        self._kept: OrderedDict[tuple[str, int, float | None, tuple[Platform, ...]], dict[int, _Figure]] = OrderedDict()

    async def sorted(
        self, events: Sequence[CachedEvent], sort: FigureSort, shown: Shown, now: datetime
    ) -> list[CachedEvent]:
        """Return the events by a figure; those that have none come last. Equal ones stay in their order.

        The first time, a figure takes up to a sixth of a millisecond. Other tasks run in between.
        """
        kept = self._figures("age" if sort == "-age" else sort, shown, len(events))
        make = self._makers[sort]
        turn = CooperativeYield()
        ranked: list[tuple[float, CachedEvent]] = []
        others: list[CachedEvent] = []
        for event in events:
            figure = kept.get(event.id)
            if figure is None or sort == "movement" or not figure.is_right(event.version, now):
                rank, until = make(self, event, shown, now)
                figure = kept[event.id] = _Figure(event.version, now, until, rank)
                if turn.is_due:
                    await asyncio.sleep(0)
            if figure.rank is None:
                others.append(event)
            else:
                ranked.append((-figure.rank if sort == "-age" else figure.rank, event))
        ranked.sort(key=lambda each: each[0])
        return [event for _, event in ranked] + others

    def _figures(self, name: str, shown: Shown, count: int) -> dict[int, _Figure]:
        """Return the kept figures of a kind by the id of their event."""
        key = (name, shown.market.number, shown.line, shown.chosen)
        kept = self._kept.setdefault(key, {})
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT_ORDERS:
            self._kept.popitem(last=False)
        if len(kept) > 4 * count + 1000:  # most are of events that are over
            kept.clear()
        return kept

    def _margin(self, event: CachedEvent, shown: Shown, now: datetime) -> _Made:
        return best_margin(event, shown), None

    def _value(self, event: CachedEvent, shown: Shown, now: datetime) -> _Made:
        figures = figures_of(event, shown.market, shown.line, None, now, self._stale_after)
        values = [each.value_percent for each in figures.outcomes if each.value_percent is not None]
        return -max(values) if values else None, figures.right_until

    def _movement(self, event: CachedEvent, shown: Shown, now: datetime) -> _Made:
        strength = None if self._moves is None else self._moves.moves_of(event, shown.market, shown.line).strength
        return None if strength is None else -strength, None

    def _age(self, event: CachedEvent, shown: Shown, now: datetime) -> _Made:
        seen_at = oldest_seen_at(event, shown)
        return None if seen_at is None else -seen_at.timestamp(), None

    _makers: Mapping[FigureSort, Callable[["EventOrder", CachedEvent, Shown, datetime], _Made]] = {
        "margin": _margin,
        "value": _value,
        "movement": _movement,
        "age": _age,
        "-age": _age,
    }


def best_margin(event: CachedEvent, shown: Shown) -> float | None:
    """Return the combined margin of the best prices in percent, as the row shows it. Takes some 15 µs."""
    keys = _keys(shown)
    offers = [offer_of(event_odds, shown.market, shown.line, keys) for event_odds in event.comparable_odds]
    return market_margin(shown.market, best_values(shown.market, offers))


def oldest_seen_at(event: CachedEvent, shown: Shown) -> datetime | None:
    """Return when the oldest of the prices that are compared was last seen; None if there are none."""
    keys = _keys(shown)
    moments = []
    for event_odds in event.comparable_odds:
        offer = offer_of(event_odds, shown.market, shown.line, keys)
        if not all(value & GONE for value in offer.values.values()):
            moments.append(event_odds.seen_at_of(next(iter(offer.keys.values()))))
    return min(moments, default=None)


def _keys(shown: Shown) -> list[int]:
    return [pack_key(shown.market.number, outcome.index, shown.line) for outcome in shown.market.outcomes]

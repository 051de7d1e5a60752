"""How the best prices of upcoming events have moved over an hour, a day and since they opened, from memory.

`odds.movement` has the rule, and `odds.day_prices` what it needs of each bookmaker's event. Changes are noted at once.
A task reads the stored history of what was there before, in pages with the loop free in between, and forgets events
that have kicked off or are gone.
"""

import asyncio
import contextlib
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

import structlog

from quart_odds.domain.catalogue import Market, pack_key
from quart_odds.domain.clock import utc_now
from quart_odds.errors import StorageError
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.day_prices import DayPrices
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.movement import DAY_SECONDS, HOUR_SECONDS, CurrentPrices, compare, percent
from quart_odds.odds.offers import offer_of
from quart_odds.odds.ports import StoredMoves

LOOK_SECONDS = 5.0
"""How often the task looks for events that are new, read again, or over."""

PACK_SECONDS = 3600.0
"""How often everything is packed again, so that what is over for a day is forgotten also where nothing changes."""

PAGE = 50
"""Event odds whose history is read at once."""

SLICE_SECONDS = 0.003
"""For how long the loop is held."""

REST = 3.0
"""How long the task rests after a slice, in slices. After a page was read it rests as long as that took."""

KEPT_ROWS = 4_000
"""Rows whose movement is kept until something of it changes, about 2 MB."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OutcomeMoves:
    """By how many percent the best price of an outcome is above that of an hour and a day before, and the opening one.

    Each compares bookmakers that had a price at both moments, and is None if none had. `median_hour` is the median of
    the bookmakers' own changes over an hour.
    """

    hour: float | None = None
    day: float | None = None
    opening: float | None = None
    median_hour: float | None = None


NONE = OutcomeMoves()


@dataclass(frozen=True, slots=True)
class RowMoves:
    """How the outcomes of a market and line have moved, in the order of the market.

    `strength` is what rows are sorted by: the greatest change over an hour, up or down, of any outcome, each measured
    as the median of the bookmakers' own changes, so that one bookmaker's mistake counts little among three or more.
    It is None if nothing is known. `until` is the epoch second from which on this is no longer right, also if nothing
    happens: what changed is then an hour or a day ago.
    """

    outcomes: tuple[OutcomeMoves, ...]
    strength: float | None
    until: float


_Key = tuple[int, int, float | None, tuple[str, ...]]
_Window = list[tuple[float, float]]
"""(price before, price now) of each bookmaker that has both."""


class RecentMoves:
    """The movements of the prices in a cache, for some markets. Call `note` with every change the cache took.

    `markets` are the numbers of the markets.
    """

    def __init__(
        self,
        cache: OddsCache,
        store: StoredMoves,
        markets: Collection[int],
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._cache = cache
        self._store = store
        self._markets = frozenset(markets)
        self._clock = clock
        self._kept: dict[int, DayPrices] = {}
        self._rows: OrderedDict[_Key, tuple[tuple[int, int], int, RowMoves]] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    # What happens.

    def note(self, change: EventChange) -> None:
        """Take a change that the cache has just taken."""
        event_odds = self._cache.event_odds(change.odds_id)
        event = self._cache.get(change.event_id)
        if event_odds is None or event is None or event.header.kickoff <= self._clock():
            self._kept.pop(change.odds_id, None)
        elif change.is_new:
            # All of its prices are first ones, and nothing of it is stored yet.
            self._kept[change.odds_id] = DayPrices(event_odds, change.moment, is_loaded=True)
        elif (kept := self._kept.get(change.odds_id)) is None or not kept.is_of(event_odds):
            self._wake.set()
        elif kept.event_odds is event_odds:
            kept.note(change, self._markets)
        else:
            kept.adopt(event_odds, self._markets)

    async def look(self) -> None:
        """Read the history of what is not known yet, and forget what has kicked off or is gone. Raises StorageError."""
        upcoming = self._upcoming()
        for odds_id in self._kept.keys() - upcoming.keys():
            del self._kept[odds_id]
        for odds_id, event_odds in upcoming.items():
            kept = self._kept.get(odds_id)
            if kept is None or not kept.is_of(event_odds):
                self._kept[odds_id] = DayPrices(event_odds)
            elif kept.event_odds is not event_odds:
                kept.adopt(event_odds, self._markets)
        missing = [odds_id for odds_id, kept in self._kept.items() if not kept.is_loaded]
        for start in range(0, len(missing), PAGE):
            await self._load(missing[start : start + PAGE])

    async def pack(self) -> None:
        """Forget what is over for a day."""
        began = time.perf_counter()
        for kept in list(self._kept.values()):
            kept.pack(self._second())
            began = await _free(began, REST)

    async def _load(self, odds_ids: Sequence[int]) -> None:
        """Read the history of event odds. Changes that are noted meanwhile are joined with it."""
        pending = {odds_id: self._kept[odds_id] for odds_id in odds_ids if odds_id in self._kept}
        began = time.perf_counter()
        past = await self._store.recent_prices(pending.keys(), self._markets, self._second() - DAY_SECONDS)
        await asyncio.sleep(time.perf_counter() - began)
        began = time.perf_counter()
        for odds_id, kept in pending.items():
            # It may have been dropped meanwhile, or have been read again: the next look sees to that.
            if self._kept.get(odds_id) is kept and self._cache.event_odds(odds_id) is kept.event_odds:
                first, changes = past.get(odds_id, ([], []))
                kept.load(first, changes, self._markets, self._second())
            began = await _free(began, REST)

    @property
    def kept_events(self) -> int:
        """Of how many bookmakers' events the prices are kept."""
        return len(self._kept)

    def _upcoming(self) -> dict[int, EventOdds]:
        events = self._cache.by_kickoff()
        first = bisect_right(events, self._clock(), key=lambda event: event.header.kickoff)
        return {each.id: each for event in events[first:] for each in event.odds.values()}

    def _second(self) -> int:
        return int(self._clock().timestamp())

    # Who asks.

    def moves_of(self, event: CachedEvent, market: Market, line: float | None) -> RowMoves:
        """Return how the outcomes of a market and line have moved among the bookmakers of an event.

        As everywhere, prices with the sides reversed and boosted ones are not compared. Nothing is known of events
        that have kicked off, of other markets, and of bookmakers whose history is not read yet. Takes some 200 µs, or
        3 if it was asked before and is still right.
        """
        now = self._second()
        key = (event.id, market.number, line, tuple(event.odds))
        loaded = sum((kept := self._kept.get(each.id)) is not None and kept.is_loaded for each in event.odds.values())
        state = (event.revision, loaded)
        found = self._rows.get(key)
        if found is None or found[0] != state or not found[1] <= now < found[2].until:
            found = self._rows[key] = (state, now, self._moves_of(event, market, line, now))
        self._rows.move_to_end(key)
        if len(self._rows) > KEPT_ROWS:
            self._rows.popitem(last=False)
        return found[2]

    def _moves_of(self, event: CachedEvent, market: Market, line: float | None, now: int) -> RowMoves:
        kickoff = int(event.header.kickoff.timestamp())
        windows: dict[tuple[int, str], _Window] = {}
        until: float = kickoff if now < kickoff else float("inf")
        if now < kickoff and market.is_comparable and market.number in self._markets:
            keys = [pack_key(market.number, outcome.index, line) for outcome in market.outcomes]
            for event_odds in event.comparable_odds:
                until = min(until, self._add(windows, event_odds, market, line, keys, kickoff, now))
        outcomes = tuple(
            OutcomeMoves(
                _best(windows.get((outcome.index, "hour"))),
                _best(windows.get((outcome.index, "day"))),
                _best(windows.get((outcome.index, "opening"))),
                _median(windows.get((outcome.index, "hour"))),
            )
            for outcome in market.outcomes
        )
        strength = max((abs(each.median_hour) for each in outcomes if each.median_hour is not None), default=None)
        return RowMoves(outcomes, strength, until)

    def _add(
        self,
        windows: dict[tuple[int, str], _Window],
        event_odds: EventOdds,
        market: Market,
        line: float | None,
        keys: Sequence[int],
        kickoff: int,
        now: int,
    ) -> float:
        """Add a bookmaker's prices to the windows. Returns until when they are right."""
        kept, ours = self._kept.get(event_odds.id), self._cache.event_odds(event_odds.id)
        if kept is None or not kept.is_loaded or ours is None or not kept.is_of(ours):
            return now + LOOK_SECONDS
        if kept.event_odds is not ours:
            kept.adopt(ours, self._markets)
        offer = offer_of(event_odds, market, line, keys)
        shown = offer.comparable_values()
        prices = {offer.keys[index]: (value, offer.changed[index]) for index, value in shown.items()}
        first, changes = kept.past(prices)
        found = compare(first, changes, CurrentPrices(prices, event_odds.gone_at is None), kickoff, now)
        hour = found.hour if now - HOUR_SECONDS >= kept.since else {}
        day = found.day if now - DAY_SECONDS >= kept.since else {}
        for index in shown:
            key = offer.keys[index]
            last = found.last.get(key)
            if last is None:
                continue
            opening = found.opening.get(key)
            for name, before in (
                ("hour", hour.get(key)),
                ("day", day.get(key)),
                ("opening", None if opening is None else opening.odds),
            ):
                if before is not None:
                    windows.setdefault((index, name), []).append((before, last))
        moments = {at for at, _, _ in (*first, *changes)}.union([kept.since] if kept.since else ())
        return min(
            (at + period for at in moments for period in (HOUR_SECONDS, DAY_SECONDS) if at + period > now),
            default=float("inf"),
        )

    # The task.

    def open(self) -> None:
        """Start to read what is stored."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="recent-moves")

    async def close(self) -> None:
        """Stop."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        packed_at = loop.time()
        while True:
            self._wake.clear()
            began = loop.time()
            try:
                await self.look()
                if loop.time() - packed_at >= PACK_SECONDS:
                    packed_at = loop.time()
                    await self.pack()
            except StorageError as error:
                log.debug("recent_moves.not_read", reason=error.for_operator)
            except Exception:
                log.exception("recent_moves.failed")
            # A process that does not write may have everything read again each second.
            await asyncio.sleep(REST * (loop.time() - began))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()


async def _free(began: float, rest: float) -> float:
    """Let other tasks run if the loop was held since `began` for too long. Returns since when it is held now."""
    took = time.perf_counter() - began
    if took < SLICE_SECONDS:
        return began
    await asyncio.sleep(rest * took)
    return time.perf_counter()


def _best(window: _Window | None) -> float | None:
    """Return by how many percent the best price now is above the best one before."""
    if not window:
        return None
    return percent(max(before for before, _ in window), max(now for _, now in window))


def _median(window: _Window | None) -> float | None:
    """Return the median of the bookmakers' own changes in percent."""
    if not window:
        return None
    return round(median((now / before - 1) * 100 for before, now in window), 2)

"""History of one market of an event, for the event page: the chart, how each price has moved, and the changes."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from quart_odds.domain.catalogue import Market, promotion_of
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import unpack_value
from quart_odds.domain.outcomes import outcome_words
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import promotion_name, promotion_number
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.history import MarketState, OddsHistory, market_states
from quart_odds.odds.margin import is_active_price, market_margin
from quart_odds.odds.movement import CurrentPrices, Movement, movements
from quart_odds.odds.offers import effective_key, price_keys
from quart_odds.routes.api.markets import check_promotion, keys_of
from quart_odds.routes.pages.chart import Chart, Series, Span, State, Step, chart_of, moment
from quart_odds.routes.pages.event_query import SPANS, EventPageQuery
from quart_odds.routes.pages.odds import Promotion, odds_text, sides_of
from quart_odds.routes.pages.worth import fair_steps
from quart_odds.services import services

MOST_CHANGES = 200
"""Maximum rows of the table, newest first. The chart has no such limit."""

FAIR = "fair"
"""The class of the line of fair odds."""

LEAST_GAP = timedelta(hours=1)
"""A time without runs that is longer than this is marked in the chart."""

NOTHING = OddsHistory(None, {}, ())

Kind = Literal["opened", "before", "changed", "confirmed"]


@dataclass(frozen=True, slots=True)
class Change:
    """The state at one bookmaker from `at` on. `odds` has the text ("gone", "suspended") and promotion per outcome.

    `kind` says why there is a row: the bookmaker opened the market, the state is that at the beginning of the range,
    something changed, or the same was seen again.
    """

    at: datetime
    platform: Platform
    odds: tuple[tuple[str, Promotion | None], ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Quoted:
    """A price and since when it was there."""

    odds: str
    thousandths: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Moved:
    """How the price of the chosen outcome has moved at one bookmaker.

    `odds` is the price now, None while there is none to bet on; `state` says why. `closing` is set after the kick-off.
    Percentages say by how much the price is above that of an hour and a day before, and above the opening.
    """

    platform: Platform
    state: State
    odds: str | None
    thousandths: int
    promotion: Promotion | None
    opening: Quoted | None
    closing: Quoted | None
    hour_percent: float | None
    day_percent: float | None
    since_opening_percent: float | None
    margin: float | None
    sides: str | None


@dataclass(frozen=True, slots=True)
class History:
    """History of a market and line, newest change first. If `promotion` is set, only that promotion's prices.

    `change_count` counts the changes, without openings and confirmations; `left_out` is how many rows are not in
    `rows`.
    """

    market: Market
    line: float | None
    promotion: Promotion | None
    outcome: str
    outcome_words: str
    rows: tuple[Change, ...]
    change_count: int
    left_out: int
    moved: tuple[Moved, ...]
    chart: Chart | None


@dataclass(frozen=True, slots=True)
class _Past:
    """What is known of a market at one bookmaker: its states in the range, and the key of each outcome's price now."""

    event_odds: EventOdds
    stored: OddsHistory = NOTHING
    states: Sequence[MarketState] = ()
    keys: Mapping[int, int] = field(default_factory=dict)

    @property
    def platform(self) -> Platform:
        return self.event_odds.header.platform


async def history_of(event: CachedEvent, query: EventPageQuery) -> History:
    """Return the past of the market that the query names. Raises a 400 for an unknown line, promotion or outcome."""
    market, index = query.market, query.outcome_index
    keys = keys_of(market, query.line)
    check_promotion(event, query.promotion)
    span = SPANS[query.range]
    # The range ends when the event was last seen, so that a match that is over has a last hour as well.
    since = None if span is None else min(utc_now(), event.seen_at) - span
    pasts = [await _past_of(event_odds, query, keys, since) for event_odds in event.odds.values()]
    rows = [_change(market, past, state, since) for past in pasts for state in past.states]
    rows.sort(key=lambda change: change.at, reverse=True)
    return History(
        market,
        query.line,
        Promotion.named(query.promotion),
        market.outcomes[index].name,
        outcome_words(market, market.outcomes[index], query.line),
        tuple(rows[:MOST_CHANGES]),
        sum(row.kind == "changed" for row in rows),
        max(0, len(rows) - MOST_CHANGES),
        tuple(_moved(event, market, past, index, has_margin=not query.promotion) for past in pasts if past.states),
        await _chart(event, query, pasts, index),
    )


async def _past_of(
    event_odds: EventOdds, query: EventPageQuery, keys: Mapping[int, int], since: datetime | None
) -> _Past:
    """Return the past at one bookmaker. The stored history is read together with the odds in memory: see `past_of`."""
    number = promotion_number(query.promotion, event_odds.promotions) if query.promotion else 0
    if promotion_name(number, event_odds.promotions) != query.promotion:
        return _Past(event_odds)
    wanted = price_keys(event_odds, keys)
    stored = await services().store.price_history(event_odds.id, wanted)
    states = market_states(event_odds, stored, wanted, since, promotion=number)
    if number:
        shown = {index: key for key, index in wanted.items() if promotion_of(key) == number}
    else:
        shown = {index: effective_key(event_odds, key) for key, index in keys.items()}
    return _Past(event_odds, stored, states, shown)


def _change(market: Market, past: _Past, state: MarketState, since: datetime | None) -> Change:
    words = past.event_odds.promotions
    odds: list[tuple[str, Promotion | None]] = []
    for outcome in market.outcomes:
        value = state.values.get(outcome.index, GONE)
        if not state.is_listed or value & GONE:
            odds.append(("gone", None))
        else:
            promotion = Promotion.named(promotion_name(state.promotions[outcome.index], words))
            odds.append((odds_text(value >> 1) if is_active_price(value) else "suspended", promotion))
    kind: Kind = "changed"
    if state.is_opening:
        kind = "opened"
    elif state.is_confirmed:
        kind = "confirmed"
    elif since is not None and state.at == since:
        kind = "before"
    return Change(state.at, past.platform, tuple(odds), kind)


def _moved(event: CachedEvent, market: Market, past: _Past, index: int, *, has_margin: bool) -> Moved:
    event_odds, key = past.event_odds, past.keys.get(index)
    state, value = past.states[-1], past.states[-1].values.get(index, GONE)
    moved = Movement() if key is None else _movement(event, past, key)
    opening, closing = _quoted(moved, "opening"), _quoted(moved, "closing")
    kind = _state_of(state, value)
    thousandths = value >> 1 if kind == "active" else 0
    return Moved(
        past.platform,
        kind,
        odds_text(thousandths) if thousandths else None,
        thousandths,
        Promotion.named(promotion_name(state.promotions.get(index, 0), event_odds.promotions)),
        opening,
        closing,
        moved.hour_percent,
        moved.day_percent,
        moved.opening_percent,
        market_margin(market, state.comparable_values()) if state.is_listed and has_margin else None,
        sides_of(event, event_odds),
    )


def _movement(event: CachedEvent, past: _Past, key: int) -> Movement:
    event_odds = past.event_odds
    place = event_odds.place_of(key)
    if place is None:
        return Movement()
    columns = event_odds.columns
    current = CurrentPrices(
        {key: (columns.values[place], columns.changed[place])}, is_listed=event_odds.gone_at is None
    )
    kickoff, now = int(event.header.kickoff.timestamp()), int(utc_now().timestamp())
    return movements(past.stored.first_prices([key]), past.stored.changes, current, kickoff, now).get(key, Movement())


def _quoted(moved: Movement, name: Literal["opening", "closing"]) -> Quoted | None:
    quote = moved.opening if name == "opening" else moved.closing
    if quote is None:
        return None
    thousandths = round(quote.odds * 1000)
    return Quoted(odds_text(thousandths), thousandths, datetime.fromtimestamp(quote.at, UTC))


def _state_of(state: MarketState, value: int) -> State:
    if not state.is_listed or value & GONE:
        return "gone"
    return "active" if is_active_price(value) else "suspended"


async def _chart(event: CachedEvent, query: EventPageQuery, pasts: Sequence[_Past], index: int) -> Chart | None:
    market = query.market
    is_margin = query.show == "margin"
    series = [_series(event, market, past, index, is_margin=is_margin) for past in pasts]
    what = "margin" if is_margin else outcome_words(market, market.outcomes[index], query.line)
    now = ", ".join(f"{each.name} {_last(each)}" for each in series)
    return chart_of(
        f"{market.name} {what} over time; now {now}. The table below lists every change.",
        series,
        None if is_margin or query.promotion else await _fair(event, market, pasts, index),
        value_text=(lambda value: f"{value:.1f}%") if is_margin else (lambda value: f"{value:.2f}"),
        least_height=1.0 if is_margin else 0.1,
        moments=[Span("kick-off", event.header.kickoff), *_kickoff_moves(pasts)],
        gaps=await _gaps([each.at for past in pasts for each in past.states]),
    )


def _kickoff_moves(pasts: Sequence[_Past]) -> list[Span]:
    """Return when the kick-off was moved. The same move at several bookmakers is one, of the first of them."""
    found: dict[tuple[datetime, datetime], tuple[datetime, list[str]]] = {}
    for past in pasts:
        moves = past.stored.former_kickoffs
        kickoffs = [datetime.fromtimestamp(minutes * 60, UTC) for _, _, minutes in moves]
        for (at, _, _), former, new in zip(
            moves, kickoffs, [*kickoffs, past.event_odds.header.kickoff][1:], strict=True
        ):
            moved_at = datetime.fromtimestamp(at, UTC)
            first, names = found.get((former, new), (moved_at, []))
            found[former, new] = min(first, moved_at), [*names, past.platform.display_name]
    return [
        Span(f"kick-off moved from {moment(former)} to {moment(new)} at {', '.join(names)}", at)
        for (former, new), (at, names) in found.items()
    ]


async def _gaps(times: Sequence[datetime]) -> list[Span]:
    """Return when nothing was fetched between the first and the last of these moments for longer than LEAST_GAP."""
    if not times:
        return []
    seen, until = min(times), max(times)
    found = []
    # A refresh of one event is no run, so what was seen counts as well.
    fetched = [*await services().store.run_periods(seen, until), *((at, at) for at in times)]
    for start, end in sorted(fetched):
        if start - seen > LEAST_GAP:
            found.append(Span(f"nothing was fetched from {moment(seen)} to {moment(start)}", seen, start))
        seen = max(seen, end)
    return found


def _series(event: CachedEvent, market: Market, past: _Past, index: int, *, is_margin: bool) -> Series:
    steps = [
        _margin_step(market, state) if is_margin else _step(past.event_odds, state, index) for state in past.states
    ]
    name = past.platform.display_name
    if event.is_reversed(past.platform):
        name += " (sides reversed)"
    return Series(past.platform.value, name, past.platform.letters, steps)


def _step(event_odds: EventOdds, state: MarketState, index: int) -> Step:
    value = state.values.get(index, GONE)
    kind = _state_of(state, value)
    if kind != "active":
        return Step(state.at, kind, None)
    promotion = Promotion.named(promotion_name(state.promotions[index], event_odds.promotions))
    words = odds_text(value >> 1) + ("" if promotion is None else f", {promotion.words},")
    return Step(state.at, kind, unpack_value(value)[0], words, is_marked=promotion is not None)


def _margin_step(market: Market, state: MarketState) -> Step:
    margin = market_margin(market, state.comparable_values()) if state.is_listed else None
    if margin is None:
        return Step(state.at, "suspended" if state.is_available else "gone", None)
    return Step(state.at, "active", margin, f"{margin:.1f}%")


def _last(series: Series) -> str:
    """Return what a line has at the end, or had last."""
    return next((step.words for step in reversed(series.steps) if step.value is not None), "none")


async def _fair(event: CachedEvent, market: Market, pasts: Sequence[_Past], index: int) -> Series | None:
    """Return the fair odds of the outcome over time, from the prices of the bookmakers that can be compared."""
    compared = {past.platform: past.states for past in pasts if not event.is_reversed(past.platform)}
    steps = await asyncio.to_thread(fair_steps, market, compared, index, event.header.kickoff)
    return Series(FAIR, "Fair", FAIR, steps) if steps else None

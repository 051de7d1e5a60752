"""The history of a market at one bookmaker: its states over time, from its first prices and the changes since."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

from quart_odds.domain.catalogue import Market, pack_key, promotion_of
from quart_odds.domain.promotions import is_comparable
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.offers import rank

GONE_ODDS = -1
"""In the history: the price was no longer there."""

LISTING_KEY = 0
"""In the history: the bookmaker no longer listed the event (odds -1), or listed it again (odds 0). No price has this
key."""

KICKOFF_KEY = 1
"""In the history: the bookmaker moved the kick-off. In place of odds is the former one, in minutes since 1970."""

_SECOND = timedelta(seconds=1)

_OPENING_SECONDS = 1
"""By how much first prices may be dated after their event odds were first seen: moments are whole seconds."""

Change = tuple[int, int, int]
"""(epoch second, key, packed odds or GONE_ODDS)."""


@dataclass(frozen=True, slots=True)
class OddsHistory:
    """The stored past of event odds: when they were first seen, their first prices, and the changes since, in order.

    `opened_later` has the first time of those prices in `opening` that came after `opened_at`, in epoch seconds.
    `opening` is empty if retention has removed it. `former_kickoffs` are the changes with KICKOFF_KEY, which are not in
    `changes`.
    """

    opened_at: int | None
    opening: Mapping[int, int]
    changes: tuple[Change, ...]
    opened_later: Mapping[int, int] = field(default_factory=dict)
    former_kickoffs: tuple[Change, ...] = ()

    def first_prices(self, keys: Iterable[int]) -> list[Change]:
        """Return the first price of each of these keys that has one, as changes in order."""
        if self.opened_at is None:
            return []
        at = self.opened_at
        return sorted((self.opened_later.get(key, at), key, self.opening[key]) for key in keys if key in self.opening)


@dataclass(frozen=True, slots=True)
class MarketState:
    """The state of a market from `at` on: packed values by outcome index, with their GONE bits.

    `promotions` has the number of the promotion of each outcome's price, 0 for a plain price. `is_listed` is False if
    the bookmaker did not list the event. `is_confirmed` is True if nothing changed at `at`, and the same state was seen
    again. `is_opening` is True if nothing changed either, because all that came at `at` were first prices.
    """

    at: datetime
    values: Mapping[int, int]
    promotions: Mapping[int, int]
    is_listed: bool = True
    is_confirmed: bool = False
    is_opening: bool = False

    @property
    def is_available(self) -> bool:
        """Whether any outcome had a price."""
        return self.is_listed and any(not value & GONE for value in self.values.values())

    def comparable_values(self) -> dict[int, int]:
        """Return the packed values that may be used in a margin."""
        return {index: value for index, value in self.values.items() if is_comparable(self.promotions[index])}


def market_keys(market: Market, line: float | None) -> dict[int, int]:
    """Return the outcome index of each plain key of a market and line. Raises ValueError for an invalid line."""
    return {pack_key(market.number, outcome.index, line): outcome.index for outcome in market.outcomes}


def market_states(
    event_odds: EventOdds,
    history: OddsHistory,
    keys: Mapping[int, int],
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    promotion: int = 0,
) -> list[MarketState]:
    """Return the states of the market with these keys between `since` and `until`, one for each moment of a change.

    `keys` has the outcome index of each key, including promoted ones (`offers.price_keys`). An outcome has its plain
    price, or a promoted one while there is no plain one. `promotion` selects the prices of that promotion alone. The
    first state is the one at `since`. The last one confirms the current state, if `until` reaches that far. The result
    is empty if `since` is after `until`.
    """
    if since is not None and until is not None and since > until:
        return []
    if promotion:
        keys = {key: index for key, index in keys.items() if promotion_of(key) == promotion}
    # Retention may have removed the beginning. What is left does not tell first prices from others then.
    is_whole = history.opened_at is not None and is_beginning(event_odds, history.opened_at)
    found = list(_changes(history, keys, is_whole=is_whole))
    now = _now(event_odds, keys)
    if now is not None and not found:
        # The prices are older than the history that is kept, or so new that none is stored yet.
        found.append(replace(now, is_opening=is_beginning(event_odds, int(now.at.timestamp()))))
    elif now is not None and not _same(found[-1], now) and (newest := _moment(event_odds.last_moment)) > found[-1].at:
        # Newer than what is committed. If memory is older, it lags behind the history that another process has written.
        found.append(now if now.at > found[-1].at else replace(now, at=newest))
    if found and found[-1].is_listed and event_odds.gone_at is None:
        # The keys are of one market and line, so they were seen at the same time.
        seen_at = event_odds.seen_at_of(next(iter(keys)))
        if seen_at >= found[-1].at + _SECOND:
            found.append(replace(found[-1], at=seen_at, is_confirmed=True, is_opening=False))
    if until is not None:
        found = [state for state in found if state.at <= until]
    return found if since is None else _from(found, since)


def is_beginning(event_odds: EventOdds, at: int) -> bool:
    """Whether an epoch second is when these event odds were first seen, so that no history is missing before it."""
    return at <= int(event_odds.first_seen_at.timestamp()) + _OPENING_SECONDS


def _changes(history: OddsHistory, keys: Mapping[int, int], *, is_whole: bool) -> Iterable[MarketState]:
    values: dict[int, int] = {}
    is_listed = True
    previous: MarketState | None = None
    past = sorted((*history.first_prices(keys), *history.changes), key=lambda change: change[0])
    for at, changes in groupby(past, key=lambda change: change[0]):
        is_opening = is_whole
        for _, key, odds in changes:
            if key == LISTING_KEY:
                is_listed = odds != GONE_ODDS
                is_opening = False
            elif key in keys:
                is_opening = is_opening and key not in values
                values[key] = values.get(key, 0) | GONE if odds == GONE_ODDS else odds
        if values:
            state = replace(_market_state(_moment(at), values, keys, is_listed), is_opening=is_opening)
            # If a promoted price moves while there is a plain one, the state stays the same.
            if previous is None or (state.values, state.promotions, is_listed) != (
                previous.values,
                previous.promotions,
                previous.is_listed,
            ):
                previous = state
                yield state


def _market_state(at: datetime, values: Mapping[int, int], keys: Mapping[int, int], is_listed: bool) -> MarketState:
    """Choose one price for each outcome: current prices before gone ones, then by `offers.rank`."""
    chosen: dict[int, int] = {}
    for key in sorted(values, key=lambda key: (bool(values[key] & GONE), rank(key))):
        chosen.setdefault(keys[key], key)
    return MarketState(
        at,
        {index: values[key] for index, key in sorted(chosen.items())},
        {index: promotion_of(key) for index, key in chosen.items()},
        is_listed,
    )


def _now(event_odds: EventOdds, keys: Mapping[int, int]) -> MarketState | None:
    places = {key: place for key in keys if (place := event_odds.place_of(key)) is not None}
    if not places:
        return None
    columns = event_odds.columns
    at = _moment(max(columns.changed[place] for place in places.values()))
    values = {key: columns.values[place] for key, place in places.items()}
    return _market_state(max(at, event_odds.gone_at or at), values, keys, event_odds.gone_at is None)


def _same(one: MarketState, other: MarketState) -> bool:
    """Whether both states are the same. The odds of gone prices do not count."""

    def prices_of(state: MarketState) -> dict[int, tuple[int, int]]:
        return {
            index: (GONE, 0) if value & GONE else (value, state.promotions[index])
            for index, value in state.values.items()
        }

    return one.is_listed == other.is_listed and prices_of(one) == prices_of(other)


def _from(found: list[MarketState], since: datetime) -> list[MarketState]:
    """Return the states from `since` on. The first is the state at `since`, even if nothing changed then."""
    earlier = [state for state in found if state.at <= since]
    later = [state for state in found if state.at > since]
    if not earlier:
        return later
    at_since = earlier[-1]
    is_opening = at_since.is_opening and at_since.at == since
    return [replace(at_since, at=since, is_confirmed=False, is_opening=is_opening), *later]


def _moment(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)

"""How a market stood over time at one bookmaker: its first prices and the changes since, put together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

from quart_odds.domain.catalogue import Market, pack_key, promotion_of
from quart_odds.domain.promotions import is_comparable
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.offers import rank

GONE_ODDS = -1
"""In the history: the price was not there any more."""

LISTING_KEY = 0
"""In the history: the whole event left (odds -1) or came back (odds 0) at the bookmaker. No price has this key."""

_SECOND = timedelta(seconds=1)

Change = tuple[int, int, int]
"""(epoch second, key, packed odds or GONE_ODDS)."""


@dataclass(frozen=True, slots=True)
class OddsHistory:
    """What is kept of a quote's past: when it was first seen, its prices then, and what changed since, in order.

    `opening` is empty once retention has removed it.
    """

    opened_at: int | None
    opening: Mapping[int, int]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class MarketState:
    """How a market stood from `at` on: packed values by outcome index, GONE bit and all.

    `promotions` numbers the promotion of each outcome's price, 0 for a plain one. `is_listed` False: the bookmaker did
    not list the event. `is_confirmed`: not a change, but seen like this again.
    """

    at: datetime
    values: Mapping[int, int]
    promotions: Mapping[int, int]
    is_listed: bool = True
    is_confirmed: bool = False

    @property
    def is_available(self) -> bool:
        """Whether any outcome was there."""
        return self.is_listed and any(not value & GONE for value in self.values.values())

    def comparable_values(self) -> dict[int, int]:
        """The packed values that may enter a margin."""
        return {index: value for index, value in self.values.items() if is_comparable(self.promotions[index])}


def market_keys(market: Market, line: float | None) -> dict[int, int]:
    """The outcome index of each plain key of a market and line. Raises ValueError for a line that is none."""
    return {pack_key(market.number, outcome.index, line): outcome.index for outcome in market.outcomes}


def standings(
    event_odds: EventOdds,
    history: OddsHistory,
    keys: Mapping[int, int],
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    promotion: int = 0,
) -> list[MarketState]:
    """How the market with these keys stood at each moment at which it changed, between `since` and `until`.

    `keys` has the outcome index of each key, promoted ones included (`offers.price_keys`). An outcome stands with its
    plain price, or with a promoted one while there is no plain one; `promotion` asks for the prices of one promotion
    alone. The first is how it stood at `since`; the last confirms how it stands, where `until` reaches that far. A
    window that ends before it begins has nothing.
    """
    if since is not None and until is not None and since > until:
        return []
    if promotion:
        keys = {key: index for key, index in keys.items() if promotion_of(key) == promotion}
    found = list(_changes(history, keys))
    now = _now(event_odds, keys)
    if now is not None and not found:
        found.append(now)  # older than the history that is kept
    elif now is not None and not _same(found[-1], now) and (newest := _moment(event_odds.last_moment)) > found[-1].at:
        # Newer than what is committed. A quote whose last change is older lags behind another process's history.
        found.append(now if now.at > found[-1].at else replace(now, at=newest))
    if found and found[-1].is_listed and event_odds.gone_at is None and event_odds.seen_at >= found[-1].at + _SECOND:
        found.append(replace(found[-1], at=event_odds.seen_at, is_confirmed=True))
    if until is not None:
        found = [standing for standing in found if standing.at <= until]
    return found if since is None else _from(found, since)


def _changes(history: OddsHistory, keys: Mapping[int, int]) -> Iterable[MarketState]:
    values = {key: history.opening[key] for key in keys if key in history.opening}
    is_listed = True
    told: MarketState | None = None
    if values and history.opened_at is not None:
        told = _market_state(_moment(history.opened_at), values, keys, True)
        yield told
    for at, changes in groupby(history.changes, key=lambda change: change[0]):
        for _, key, odds in changes:
            if key == LISTING_KEY:
                is_listed = odds != GONE_ODDS
            elif key in keys:
                values[key] = values.get(key, 0) | GONE if odds == GONE_ODDS else odds
        if values:
            standing = _market_state(_moment(at), values, keys, is_listed)
            # A promoted price that moved behind a plain one changed nothing that is told here.
            if told is None or (standing.values, standing.promotions, is_listed) != (
                told.values,
                told.promotions,
                told.is_listed,
            ):
                told = standing
                yield standing


def _market_state(at: datetime, values: Mapping[int, int], keys: Mapping[int, int], is_listed: bool) -> MarketState:
    """The prices by outcome: what is here before what is gone, then by `offers.rank`."""
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
    """Whether both say the same; the odds of what is gone do not count."""

    def told(standing: MarketState) -> dict[int, tuple[int, int]]:
        return {
            index: (GONE, 0) if value & GONE else (value, standing.promotions[index])
            for index, value in standing.values.items()
        }

    return one.is_listed == other.is_listed and told(one) == told(other)


def _from(found: list[MarketState], since: datetime) -> list[MarketState]:
    """The window from `since` on, beginning with how things stood then, whether or not anything changed in it."""
    earlier = [standing for standing in found if standing.at <= since]
    later = [standing for standing in found if standing.at > since]
    if not earlier:
        return later
    return [replace(earlier[-1], at=since, is_confirmed=False), *later]


def _moment(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)

"""How a market stood over time at one bookmaker: its first prices and the changes since, put together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from quart_odds.domain.catalogue import Market, pack_key
from quart_odds.odds.quote import GONE, Quote

GONE_ODDS = -1
"""In the history: the price was not there any more."""

LISTING_KEY = 0
"""In the history: the whole event left (odds -1) or came back (odds 0) at the bookmaker. No price has this key."""

_SECOND = timedelta(seconds=1)

Change = tuple[int, int, int]
"""(epoch second, key, packed odds or GONE_ODDS)."""


@dataclass(frozen=True, slots=True)
class QuoteHistory:
    """What is kept of a quote's past: when it was first seen, its prices then, and what changed since, in order.

    `opening` is empty once retention has removed it.
    """

    opened_at: int | None
    opening: Mapping[int, int]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a market stood from `at` on: packed values by outcome index, GONE bit and all.

    `is_listed` False: the bookmaker did not list the event. `is_confirmed`: not a change, but seen like this again.
    """

    at: datetime
    values: Mapping[int, int]
    is_listed: bool = True
    is_confirmed: bool = False

    @property
    def is_available(self) -> bool:
        """Whether any outcome was there."""
        return self.is_listed and any(not value & GONE for value in self.values.values())


def market_keys(market: Market, line: float | None) -> dict[int, int]:
    """The outcome index of each key of a market and line. Raises ValueError for a line that is none."""
    return {pack_key(market.number, outcome.index, line): outcome.index for outcome in market.outcomes}


def standings(
    quote: Quote,
    history: QuoteHistory,
    keys: Mapping[int, int],
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Standing]:
    """How the market with these keys stood at each moment at which it changed, between `since` and `until`.

    The first is how it stood at `since`; the last confirms how it stands, where `until` reaches that far.
    """
    found = list(_changes(history, keys))
    now = _now(quote, keys)
    if now is not None and (not found or not _same(found[-1], now)):
        found.append(now)  # older than the history that is kept, or newer than what is committed
    if found and found[-1].is_listed and quote.gone_at is None and quote.seen_at >= found[-1].at + _SECOND:
        found.append(Standing(quote.seen_at, found[-1].values, is_confirmed=True))
    if until is not None:
        found = [standing for standing in found if standing.at <= until]
    return found if since is None else _from(found, since)


def _changes(history: QuoteHistory, keys: Mapping[int, int]) -> Iterable[Standing]:
    values = {index: history.opening[key] for key, index in keys.items() if key in history.opening}
    is_listed = True
    if values and history.opened_at is not None:
        yield Standing(_moment(history.opened_at), dict(values))
    for at, changes in groupby(history.changes, key=lambda change: change[0]):
        for _, key, odds in changes:
            if key == LISTING_KEY:
                is_listed = odds != GONE_ODDS
            elif key in keys:
                values[keys[key]] = values.get(keys[key], 0) | GONE if odds == GONE_ODDS else odds
        if values:
            yield Standing(_moment(at), dict(values), is_listed)


def _now(quote: Quote, keys: Mapping[int, int]) -> Standing | None:
    places = {index: quote.place_of(key) for key, index in keys.items()}
    here = {index: place for index, place in places.items() if place is not None}
    if not here:
        return None
    at = _moment(max(quote.changed[place] for place in here.values()))
    values = {index: quote.values[place] for index, place in here.items()}
    return Standing(max(at, quote.gone_at or at), values, quote.gone_at is None)


def _same(one: Standing, other: Standing) -> bool:
    """Whether both say the same; the odds of what is gone do not count."""
    return one.is_listed == other.is_listed and {
        index: GONE if value & GONE else value for index, value in one.values.items()
    } == {index: GONE if value & GONE else value for index, value in other.values.items()}


def _from(found: list[Standing], since: datetime) -> list[Standing]:
    earlier = [standing for standing in found if standing.at < since]
    later = [standing for standing in found if standing.at >= since]
    if earlier and later:
        return [Standing(since, earlier[-1].values, earlier[-1].is_listed), *later]
    return later


def _moment(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)

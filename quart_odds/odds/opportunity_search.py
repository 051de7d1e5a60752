"""Finds the opportunities in the odds of one event.

A whole event is searched in two steps. The first reads every price once and names the few markets and lines that may
have an opportunity, by bounds. The second examines these: what is only there with prices that one
should not believe is listed apart, with the reasons. After a change, the markets and lines that changed are examined.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate, combinations

from quart_odds.domain.catalogue import CATALOGUE, Market, market_number_of, offer_code, plain_key, unpack_key
from quart_odds.domain.fair import CHANCE_UNIT, CHANCE_WIN_BITS, Chance
from quart_odds.domain.opportunities import (
    MOST_CREDIBLE_PERCENT,
    MOST_LOSS_PERCENT,
    REASONS,
    Kind,
    Reason,
    middle_percents,
)
from quart_odds.domain.platforms import Platform
from quart_odds.odds.chances import unpack_columns
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.fair_prices import FEEDS, are_of_market, chances_of_feed, without_margin
from quart_odds.odds.margin import gain_of, take_better
from quart_odds.odds.offers import perked_values
from quart_odds.odds.opportunity import Fair, Opportunity
from quart_odds.odds.opportunity_rows import (
    Book,
    Pick,
    Row,
    Table,
    books_of,
    comparable_market,
    keys_of,
    row_of,
    table_of,
)

_OUTCOMES = 0x3F << 16
_NO_OUTCOME = ~_OUTCOMES
_UNDER = 1 << 16
_ONE = 1000.0
"""Added for each outcome to the sum of a market's inverse odds, so that one number also counts the outcomes."""

_GAINS_BELOW = [0.0] * 512
"""By a market's number: its best prices gain if the sum, with _ONE for each outcome, is below."""

_TOTALS: dict[int, Market] = {}
"""The markets of over and under, by number: those that have a middle."""

for _market in CATALOGUE.markets:
    if comparable_market(_market.number) is not None:
        _GAINS_BELOW[_market.number] = _ONE * len(_market.outcomes) + _market.winning_outcomes
        if _market.line_kind == "total" and [each.name for each in _market.outcomes] == ["Over", "Under"]:
            _TOTALS[_market.number] = _market

_MOST_INVERSE = 1 / (1 - MOST_LOSS_PERCENT / 100)


class OpportunitySearch:
    """Searches an event as it is now. Prices last seen before `now - max_age` are too old to be believed.

    Only prices of the `chosen` bookmakers are backed; None stands for all. What is fair, and which prices are not to be
    believed, the prices of all bookmakers say.
    """

    def __init__(
        self, event: CachedEvent, now: datetime, max_age: timedelta, chosen: Collection[Platform] | None = None
    ) -> None:
        self._oldest = now - max_age
        self._chosen = chosen
        self._books = books_of(event)
        self._chances: dict[Platform, tuple[Sequence[int], Mapping[int, int]]] = {}
        self._tables: dict[int, Table | None] = {}

    def steps(self, offers: Collection[int] | None = None) -> Iterator[list[Opportunity]]:
        """Yield the opportunities in these markets and lines, and the middles of these markets; None stands for all.

        Each step takes some 100 µs and yields what it found, mostly nothing. The event must not change between steps.
        """
        yield from self._whole() if offers is None else self._among(offers)

    def whole(self) -> list[Opportunity]:
        """Return every opportunity in the event."""
        return [each for found in self.steps() for each in found]

    def among(self, offers: Collection[int]) -> list[Opportunity]:
        """Return the opportunities in these markets and lines, and the middles of these markets."""
        return [each for found in self.steps(offers) for each in found]

    def _whole(self) -> Iterator[list[Opportunity]]:
        best: dict[int, int] = {}
        for book in self._books:
            take_better(best, zip(*book.plain, strict=True))
            if book.has_promotions:
                take_better(best, perked_values(book.event_odds))
            yield []
        sums: dict[int, float] = {}
        sum_of = sums.get
        for key, value in best.items():
            offer = key & _NO_OUTCOME
            # A little less than the inverse odds, so that none is left out.
            sums[offer] = sum_of(offer, 0.0) + _ONE + 2000.0 / value
        yield []
        offers = {offer for offer, total in sums.items() if total < _GAINS_BELOW[offer >> 22]}
        lines: dict[int, list[int]] = {}
        for offer in sums:
            if offer >> 22 in _TOTALS:
                lines.setdefault(offer >> 22, []).append(offer)
        pairs = [pair for each in lines.values() for pair in _pairs(sorted(each), best)]
        for worth_more in self._worth_more(best) if len(self._books) > 1 else ():
            yield []
            offers |= worth_more
        yield from self._each(offers, pairs)

    def _among(self, offers: Collection[int]) -> Iterator[list[Opportunity]]:
        pairs: list[tuple[int, int]] = []
        for number in {offer >> 22 for offer in offers} & _TOTALS.keys():
            best: dict[int, int] = {}
            for book in self._books:
                take_better(best, _prices_of(book, number))
            pairs += _pairs(sorted({key & _NO_OUTCOME for key in best}), best)
            yield []
        yield from self._each(offers, pairs)

    def _each(self, offers: Iterable[int], pairs: Iterable[tuple[int, int]]) -> Iterator[list[Opportunity]]:
        for offer in offers:
            yield list(self._examined([offer]))
        for pair in pairs:
            yield list(self._middles([pair]))

    def again(self, found: Iterable[Opportunity]) -> list[Opportunity]:
        """Return the opportunities in the places of these: in their markets and lines, or their pairs of lines.

        Wherever chosen bookmakers have an opportunity, all together have one: their best prices are at least as good,
        and the reasons against them are the same.
        """
        offers: dict[int, None] = {}
        pairs: dict[tuple[int, int], None] = {}
        for each in found:
            first, *others = [offer_code(leg.key) for leg in each.legs]
            if each.kind == "middle":
                pairs[first, others[0]] = None
            else:
                offers[first] = None
        return [*self._examined(offers), *self._middles(pairs)]

    def _worth_more(self, best: Mapping[int, int]) -> Iterator[set[int]]:
        """Yield, step by step, the markets and lines in which a price may be worth more than it costs.

        Left out are those of which a bookmaker gives only some probabilities, so that prices have to tell what is fair.
        """
        unfed: list[set[int]] = []
        for book in self._books:
            keys, _ = book.plain
            if not book.event_odds.packed_chances:
                unfed.append({key & _NO_OUTCOME for key in keys})
                continue
            wins, refunds = self._chances_of(book)
            every = [*keys, *map(plain_key, book.columns.keys[len(keys) :])] if book.has_promotions else keys
            # Packed odds are 2000 times the odds, and 1.
            found = {
                key & _NO_OUTCOME
                for key, win in zip(every, wins, strict=True)
                if best.get(key, 0) * win > 2000 * CHANCE_UNIT
            }
            for place, refund in refunds.items():
                key = every[place]
                if best.get(key, 0) * wins[place] > 2000 * (CHANCE_UNIT - refund):
                    found.add(key & _NO_OUTCOME)
            if not all(wins):
                unfed.append({key & _NO_OUTCOME for key, win in zip(keys, wins, strict=False) if not win})
            yield found
        # Where two bookmakers give no probabilities, prices may tell what is fair.
        for one, other in combinations(unfed, 2):
            yield {offer for offer in one & other if not self._is_fed(offer)}

    def _is_fed(self, offer: int) -> bool:
        """Whether a bookmaker whose prices are to be believed gives the probabilities of a market and line."""
        market = comparable_market(market_number_of(offer))
        if market is None:
            return False
        keys = keys_of(market, offer)
        for book in self._books:
            if book.reason is not None or book.event_odds.header.platform not in FEEDS:
                continue
            given = self._given(keys, book)
            if given is None or not are_of_market(market, given):
                continue
            row = row_of(book, market, keys, self._oldest)
            if row is not None and row.is_full and not row.reasons:
                return True
        return False

    def _examined(self, offers: Iterable[int]) -> Iterator[Opportunity]:
        for offer in offers:
            table = self._table(offer)
            if table is not None:
                yield from _arbitrages(table, self._backed(table.rows))
                yield from self._values(table)

    def _values(self, table: Table) -> Iterator[Opportunity]:
        """Yield the prices that are worth more than they cost: those to believe, and better ones with the reasons."""
        compared = table.compared
        backed = self._backed(compared)
        if len(compared) < 2 or not backed:
            return
        fair = self._fair(table, compared)
        if fair is None:
            return
        chances, source, book, is_stale = fair
        for index, (chance, top) in enumerate(zip(chances, table.tops(backed), strict=True)):
            if chance.expected_value(top / 2000) <= 0:
                continue
            former = 0.0
            for is_clean in (True, False):
                pick = table.best(index, backed, is_clean=is_clean)
                if pick is None or sum(1 for row in compared if row.values[index]) < 2:
                    continue
                worth = round(100 * chance.expected_value((pick.value >> 1) / 1000), 2)
                if worth > former:
                    former = worth
                    said = Fair(chance, source, book.event_odds, table.keys[0])
                    made = _made("value", table.market, [pick], worth, stale_source=is_stale, fair=said)
                    yield made
                    if made.reasons:
                        break

    def _fair(self, table: Table, rows: Sequence[Row]) -> tuple[Sequence[Chance], str, Book, bool] | None:
        """Return the probabilities of all outcomes, their source, the odds that say so, and whether these are too old.

        Old ones count only if there are no others.
        """
        for is_stale in (False, True):
            fit = {
                row.book.event_odds.header.platform: row
                for row in rows
                if row.is_full and (not row.reasons or (is_stale and row.reasons == ("stale",)))
            }
            for platform in FEEDS:
                given = self._given(table.keys, fit[platform].book) if platform in fit else None
                chances = None if given is None else chances_of_feed(table.market, given)
                if chances is not None:
                    return chances, platform.value, fit[platform].book, is_stale
            found = without_margin(table.market, {platform: row.values for platform, row in fit.items()})
            if found is not None:
                platform, source, chances = found
                return chances, source, fit[platform].book, is_stale
        return None

    def _given(self, keys: Sequence[int], book: Book) -> list[int] | None:
        """Return the packed probabilities that a bookmaker gives for a full set; None if it does not."""
        if not book.event_odds.packed_chances:
            return None
        wins, refunds = self._chances_of(book)
        given: list[int] = []
        for key in keys:
            place = book.place_of(key)
            if place is None or not wins[place]:
                return None
            given.append(wins[place] | refunds.get(place, 0) << CHANCE_WIN_BITS)
        return given

    def _middles(self, pairs: Iterable[tuple[int, int]]) -> Iterator[Opportunity]:
        """Yield the middles of prices to believe, and better ones with the reasons, for pairs of lines."""
        for low, high in pairs:
            overs, unders = self._table(low), self._table(high)
            if overs is None or unders is None:
                continue
            former = -MOST_LOSS_PERCENT
            for is_clean in (True, False):
                backed = _apart(
                    overs.picks(0, self._backed(overs.compared), is_clean=is_clean),
                    unders.picks(1, self._backed(unders.compared), is_clean=is_clean),
                )
                if backed is None:
                    continue
                worst, best = _percents(backed)
                if worst > former:
                    former = worst
                    made = _made("middle", overs.market, backed, worst, best_case=best)
                    yield made
                    if made.reasons:
                        break

    def _backed(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows of the chosen bookmakers."""
        if self._chosen is None:
            return rows
        return [row for row in rows if row.book.event_odds.header.platform in self._chosen]

    def _table(self, offer: int) -> Table | None:
        if offer not in self._tables:
            self._tables[offer] = table_of(self._books, offer, self._oldest)
        return self._tables[offer]

    def _chances_of(self, book: Book) -> tuple[Sequence[int], Mapping[int, int]]:
        platform = book.event_odds.header.platform
        if platform not in self._chances:
            self._chances[platform] = unpack_columns(len(book.columns.keys), book.event_odds.packed_chances)
        return self._chances[platform]


def _prices_of(book: Book, number: int) -> Iterator[tuple[int, int]]:
    """Yield the plain prices of a market, and those with a perk."""
    keys, values = book.plain
    start = bisect_left(keys, number << 22)
    stop = bisect_left(keys, number + 1 << 22, start)
    yield from zip(keys[start:stop], values[start:stop], strict=True)
    if book.has_promotions:
        yield from (each for each in perked_values(book.event_odds) if market_number_of(each[0]) == number)


def _pairs(offers: Sequence[int], best: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of rising lines of a market that may be a middle."""
    unders = [best.get(offer | _UNDER, 0) for offer in offers]
    # The best under of each line and all higher ones. A line may have only a poor price where a higher one has a good
    # one, at another bookmaker.
    reachable = list(accumulate(reversed(unders), max))[::-1]
    for place, low in enumerate(offers):
        over = best.get(low)
        if over is None or not _line(low) > 0:
            continue
        left = _MOST_INVERSE - 2000.0 / over
        for at in range(place + 1, len(offers)):
            if reachable[at] * left < 2000.0:
                break
            if unders[at] * left >= 2000.0:
                yield low, offers[at]


def _arbitrages(table: Table, rows: Sequence[Row]) -> Iterator[Opportunity]:
    """Yield the arbitrage of prices to believe in these rows, and a better one with the reasons not to believe it."""
    tops = table.tops(rows)
    if not rows or not all(tops) or gain_of(table.market, tops) <= 0:
        return
    former = 0.0
    for is_clean in (True, False):
        picks = [table.best(index, rows, is_clean=is_clean) for index in range(len(table.keys))]
        backed = [pick for pick in picks if pick is not None]
        if len(backed) < len(picks):
            continue
        gain = gain_of(table.market, [pick.value for pick in backed])
        if gain > former:
            former = gain
            made = _made("arbitrage", table.market, backed, gain)
            yield made
            if made.reasons:
                break


def _apart(overs: Sequence[Pick], unders: Sequence[Pick]) -> list[Pick] | None:
    """Return the best over and under that are not at the same bookmaker; None if there are none."""
    pairs = [[over, under] for over in overs for under in unders if over.row.book is not under.row.book]
    return min(pairs, key=lambda pair: sum(1000 / (pick.value >> 1) for pick in pair), default=None)


def _line(key: int) -> float:
    return unpack_key(key)[2] or 0.0


def _percents(backed: Sequence[Pick]) -> tuple[float, float]:
    over, under = backed
    odds = (over.value >> 1) / 1000, (under.value >> 1) / 1000
    worst, best = middle_percents(odds, (_line(over.key), _line(under.key)))
    return round(worst, 2), round(best, 2)


def _made(
    kind: Kind,
    market: Market,
    picks: Sequence[Pick],
    margin: float,
    *,
    stale_source: bool = False,
    fair: Fair | None = None,
    best_case: float | None = None,
) -> Opportunity:
    against: set[Reason] = {reason for pick in picks for reason in pick.reasons}
    if stale_source:
        against.add("stale")
    if margin > MOST_CREDIBLE_PERCENT:
        against.add("too_good")
    reasons = tuple([each for each in REASONS if each in against])
    return Opportunity(kind, market, tuple([pick.leg(market) for pick in picks]), margin, reasons, fair, best_case)

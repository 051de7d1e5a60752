"""A plain search for opportunities at some bookmakers, which looks at every price: what the real one is held to."""

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

from quart_odds.domain.catalogue import offer_code, unpack_key
from quart_odds.domain.fair import Chance, pack_chance
from quart_odds.domain.opportunities import MOST_CREDIBLE_PERCENT, MOST_LOSS_PERCENT, middle_percents
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.fair_prices import FEEDS, chances_of_feed, without_margin
from quart_odds.odds.margin import gain_of
from quart_odds.odds.opportunities import Track
from quart_odds.odds.opportunity_rows import Row, Table, books_of, table_of
from tests.odds.making import NOW, STALE_AFTER
from tests.odds.test_opportunity_search import CHANCES, PLACES

FED = FEEDS[:2]
"""The bookmakers that give probabilities, if any does."""

Shape = tuple[str, tuple[int, ...], float, frozenset[str], tuple[tuple[int, tuple[str, ...]], ...]]
"""Kind, keys, margin, the reasons against it, and the price and the bookmakers of each leg."""

Backed = tuple[int, tuple[str, ...], tuple[Platform, ...]]
"""A price, the reasons against it, and the bookmakers that have it."""


def shape(track: Track) -> Shape:
    """Return an opportunity without its history."""
    found = track.opportunity
    legs = tuple((leg.value, tuple(leg.platforms)) for leg in found.legs)
    return found.kind, tuple(leg.key for leg in found.legs), found.margin, frozenset(found.reasons), legs


def searched_from_scratch(event: CachedEvent, chosen: Collection[Platform], *, is_fed: bool) -> Iterator[Shape]:
    """Yield every opportunity at these bookmakers, by looking at every price of each market and pair of lines."""
    tables: dict[int, Table] = {}
    for offer in {offer_code(each) for each in PLACES}:
        table = table_of(books_of(event), offer, NOW - STALE_AFTER)
        if table is not None:
            tables[offer] = table
            yield from arbitrages(table, chosen)
            yield from values(table, chosen, is_fed=is_fed)
    for low, high in combinations(sorted(tables), 2):
        if low >> 22 == high >> 22 and unpack_key(low)[2]:
            yield from middles(tables[low], tables[high], chosen)


def arbitrages(table: Table, chosen: Collection[Platform]) -> Iterator[Shape]:
    """Yield the arbitrage of prices to believe, and that of all prices if it is worth more."""
    former = 0.0
    for is_clean in (True, False):
        backed = [best(table.rows, index, chosen, is_clean=is_clean) for index in range(len(table.keys))]
        legs = [each for each in backed if each is not None]
        gain = gain_of(table.market, [value for value, _, _ in legs]) if len(legs) == len(backed) else 0.0
        if gain > former:
            former = gain
            yield (made := shaped("arbitrage", table.keys, legs, gain))
            if made[3]:
                return


def values(table: Table, chosen: Collection[Platform], *, is_fed: bool) -> Iterator[Shape]:
    """Yield the value bets of prices to believe, and those of all prices that are worth more."""
    fair = fair_of(table, is_fed=is_fed)
    for index, plain in enumerate(table.keys if fair is not None else ()):
        former = 0.0
        for is_clean in (True, False):
            leg = best(table.compared, index, chosen, is_clean=is_clean)
            if fair is None or leg is None or sum(bool(row.values[index]) for row in table.compared) < 2:
                continue
            worth = round(100 * fair[0][index].expected_value((leg[0] >> 1) / 1000), 2)
            if worth > former:
                former = worth
                yield (made := shaped("value", [plain], [leg], worth, *(["stale"] if fair[1] else [])))
                if made[3]:
                    break


def middles(overs: Table, unders: Table, chosen: Collection[Platform]) -> Iterator[Shape]:
    """Yield the middle of prices to believe, and that of all prices if it is worth more."""
    lines = unpack_key(overs.keys[0])[2] or 0.0, unpack_key(unders.keys[1])[2] or 0.0
    former = -MOST_LOSS_PERCENT
    for is_clean in (True, False):
        pairs = [
            (over, under)
            for over in prices(overs.compared, 0, chosen, is_clean=is_clean)
            for under in prices(unders.compared, 1, chosen, is_clean=is_clean)
            if over[2] != under[2]
        ]
        if pairs:
            pair = min(pairs, key=lambda each: sum(1000 / (value >> 1) for value, _, _ in each))
            odds = (pair[0][0] >> 1) / 1000, (pair[1][0] >> 1) / 1000
            worst = round(middle_percents(odds, lines)[0], 2)
            if worst > former:
                former = worst
                yield (made := shaped("middle", [overs.keys[0], unders.keys[1]], pair, worst))
                if made[3]:
                    return


def fair_of(table: Table, *, is_fed: bool) -> tuple[Sequence[Chance], bool] | None:
    """Return what is fair by the prices and feeds of all bookmakers, and whether it is old."""
    for told in ((), ("stale",)):
        full = {
            row.book.event_odds.header.platform: row
            for row in table.compared
            if all(row.values) and row.reasons in ((), told)
        }
        if is_fed and any(platform in full for platform in FED):
            chances = chances_of_feed(table.market, [pack_chance(Chance(CHANCES[each])) for each in table.keys])
            assert chances is not None
            return chances, bool(told)
        found = without_margin(table.market, {platform: row.values for platform, row in full.items()})
        if found is not None:
            return found[2], bool(told)
    return None


def prices(rows: Sequence[Row], index: int, chosen: Collection[Platform], *, is_clean: bool) -> list[Backed]:
    """Return the price of an outcome at each of these bookmakers."""
    return [
        (row.values[index], tuple(row.reasons_at(index)), (platform,))
        for row in rows
        if (platform := row.book.event_odds.header.platform) in chosen
        if row.values[index] and not (is_clean and row.reasons_at(index))
    ]


def best(rows: Sequence[Row], index: int, chosen: Collection[Platform], *, is_clean: bool) -> Backed | None:
    """Return the best price of an outcome at these bookmakers, with all that have it."""
    every = prices(rows, index, chosen, is_clean=is_clean)
    if not every:
        return None
    value, reasons, _ = min(every, key=lambda each: (-each[0], len(each[1])))
    return value, reasons, tuple(platform for *same, (platform,) in every if same == [value, reasons])


def shaped(kind: str, keys: Sequence[int], legs: Sequence[Backed], margin: float, *more: str) -> Shape:
    """Return an opportunity as `shape` does."""
    reasons = {*more, *(reason for _, against, _ in legs for reason in against)}
    if margin > MOST_CREDIBLE_PERCENT:
        reasons.add("too_good")
    backed = tuple((value, tuple(platforms)) for value, _, platforms in legs)
    return kind, tuple(keys), margin, frozenset(reasons), backed

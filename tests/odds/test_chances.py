"""The probabilities that bookmakers give: kept beside the prices, through lists, bodies and restarts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from quart_odds.domain.catalogue import promoted_key
from quart_odds.domain.fair import Chance, pack_chance
from quart_odds.domain.odds import MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import KNOWN, TWO_UP
from quart_odds.errors import StorageError
from quart_odds.odds import OddsCache, OddsService
from quart_odds.odds.chances import NO_CHANCES, pack_chances, unpack_chances
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.operation_codec import decode, encode
from quart_odds.odds.operations import Recorded, carry_out
from quart_odds.odds.snapshots import decode_snapshot, take
from quart_odds.odds.views import bookmaker_markets, image_event
from quart_odds.storage import Store, open_store
from quart_odds.storage.tables import quote_prices
from tests.odds.making import NOW, OVER_UNDER, X1, header, key, listed, mapped

HOME, DRAW, AWAY = X1
OVER, UNDER = OVER_UNDER
CHANCES = {HOME: pack_chance(Chance(0.395)), DRAW: pack_chance(Chance(0.29)), AWAY: pack_chance(Chance(0.315))}
MORE = CHANCES | {OVER: pack_chance(Chance(0.48, 0.1)), UNDER: pack_chance(Chance(0.42, 0.1))}
PACKED = st.builds(
    lambda win, refund: pack_chance(Chance(win / 1e6, min(refund, 1_000_000 - win) / 1e6)),
    st.integers(1, 1_000_000),
    st.integers(0, 999_999),
)


def at(seconds: float) -> datetime:
    """A time of a fetch."""
    return NOW + timedelta(seconds=seconds)


def with_chances(event: MappedEvent, chances: dict[int, int]) -> MappedEvent:
    """The same fetch with these probabilities."""
    return replace(event, chances=chances)


def odds_of(cache: OddsCache) -> EventOdds:
    """The only event odds of a cache."""
    [event] = cache.events.values()
    [event_odds] = event.odds.values()
    return event_odds


@given(st.dictionaries(st.integers(0, (1 << 32) - 1), st.none() | PACKED, max_size=40))
def test_packed_chances_are_the_same_when_unpacked(given_chances: dict[int, int | None]) -> None:
    """Some prices have none."""
    keys = sorted(given_chances)
    chances = {each: chance for each, chance in given_chances.items() if chance is not None}
    packed = pack_chances(keys, chances)
    assert unpack_chances(keys, packed) == chances
    assert bool(packed) is bool(chances)


def test_packed_chances_of_other_prices_are_refused() -> None:
    """As is anything else that was not packed here."""
    packed = pack_chances([1, 2], {1: pack_chance(Chance(0.5, 0.2))})
    for keys in ([1, 2, 3, 4, 5], [1]):
        with pytest.raises(ValueError, match=r"probabilities of|belongs to no price"):
            unpack_chances(keys, packed)
    with pytest.raises(ValueError, match=r"incorrect|Error"):
        unpack_chances([1], b"nonsense")


def test_a_body_replaces_all_of_them_and_a_list_those_of_its_markets() -> None:
    """Also if no price changes. What comes late changes nothing."""
    cache = OddsCache()
    cache.apply(with_chances(mapped(), MORE), NOW)
    assert odds_of(cache).chances() == MORE
    later = {HOME: pack_chance(Chance(0.4)), DRAW: pack_chance(Chance(0.3))}
    assert cache.apply(with_chances(listed(), later), at(10)).changed == ()
    assert odds_of(cache).chances() == {OVER: MORE[OVER], UNDER: MORE[UNDER], **later}
    cache.apply(with_chances(mapped(), MORE), at(5), at(15))
    assert odds_of(cache).chances() == {OVER: MORE[OVER], UNDER: MORE[UNDER], **later}
    cache.apply(with_chances(mapped(), MORE), at(20))
    assert odds_of(cache).chances() == MORE
    cache.apply(mapped(), at(30))
    assert odds_of(cache).chances() == {}


def test_they_stay_with_their_prices_when_others_come_and_go() -> None:
    """The prices are kept in order, and a new one moves those behind it."""
    cache = OddsCache()
    cache.apply(with_chances(mapped(odds=X1), CHANCES), NOW)
    cache.apply(listed(odds={key("double_chance_ft", "1X"): 1.3} | OVER_UNDER), at(10))
    assert odds_of(cache).chances() == CHANCES
    cache.apply(with_chances(listed(odds={HOME: 2.5}), {HOME: MORE[OVER]}), at(20))
    assert odds_of(cache).chances() == {HOME: MORE[OVER]}


def test_a_promoted_price_has_its_own() -> None:
    """Though its promotion gets another number here than in the body."""
    cache = OddsCache()
    word, other = "lucky", "unlucky"
    first, second = len(KNOWN), len(KNOWN) + 1
    both = replace(mapped(odds=X1 | {promoted_key(HOME, first): 2.6}), promotions=(other,))
    cache.apply(both, NOW)
    body = replace(
        mapped(odds=X1 | {promoted_key(HOME, first): 2.7, promoted_key(AWAY, TWO_UP): 3.0}), promotions=(word,)
    )
    chances = CHANCES | {promoted_key(HOME, first): MORE[OVER], promoted_key(AWAY, TWO_UP): MORE[UNDER]}
    cache.apply(with_chances(body, chances), at(10))
    kept = odds_of(cache)
    assert kept.promotions == (other, word)
    assert kept.chances() == CHANCES | {promoted_key(HOME, second): MORE[OVER], promoted_key(AWAY, TWO_UP): MORE[UNDER]}


def test_the_detail_has_them_and_live_images_do_not() -> None:
    """No `odds_change` renews them, so a live copy would keep those of its image for ever."""
    cache = OddsCache()
    chances = {each: pack_chance(Chance(0.25)) for each in X1}
    cache.apply(with_chances(mapped(odds=X1), chances), NOW)
    [event] = cache.events.values()
    detail: Any = bookmaker_markets(event, odds_of(cache))
    [market] = detail["markets"]
    assert [each["probability"] for each in market["outcomes"]] == [0.25] * 3
    image: Any = image_event(event)
    [[market]] = [each["markets"] for each in image["markets_by_bookmaker"]]
    assert [each.keys() & {"probability", "refund_probability"} for each in market["outcomes"]] == [set()] * 3


def test_every_process_has_them() -> None:
    """By an operation, and by a snapshot."""
    writer, follower, late = OddsCache(), OddsCache(), OddsCache()
    operation = Recorded(with_chances(mapped(), MORE), NOW, NOW)
    carry_out(writer, operation)
    carry_out(follower, decode(encode(operation)))
    decode_snapshot(take(writer, {}).encode()).restore(late)
    assert odds_of(follower).chances() == odds_of(late).chances() == odds_of(writer).chances() == MORE


async def test_they_are_there_after_a_restart(database_url: str) -> None:
    """Beside the prices with which they were stored."""
    async with opened(database_url) as service:
        await service.record(with_chances(mapped(header(Platform.BETPAWA)), MORE), NOW)
        await service.record(mapped(header(Platform.BET9JA)), NOW)
        await service.confirm()
    async with opened(database_url) as service:
        [event] = service.cache.events.values()
        assert event.odds[Platform.BETPAWA].chances() == MORE
        assert event.odds[Platform.BET9JA].packed_chances == NO_CHANCES


async def test_a_damaged_blob_is_an_error_of_the_database(store: Store) -> None:
    """It is found at the start, not when somebody asks for a price."""
    service = OddsService(store, clock=lambda: NOW)
    await service.load()
    await service.record(with_chances(mapped(), MORE), NOW)
    await service.confirm()
    for blob in (b"nonsense", pack_chances([1], {1: MORE[OVER]})):
        async with store.database.writing() as connection:
            await connection.execute(update(quote_prices).values(chances=blob))
        with pytest.raises(StorageError, match="probabilities"):
            await store.load(NOW)
    await service.close()


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[OddsService]:
    """Run an odds service on a database."""
    store = await open_store(database_url)
    service = OddsService(store, clock=lambda: NOW)
    try:
        await service.load()
        yield service
    finally:
        await service.close()
        await store.aclose()

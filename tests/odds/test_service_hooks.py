"""Whom the odds service tells what: every change at once, what comes back from the database, and a new beginning."""

from datetime import timedelta

from quart_odds.odds import CachedEvent, EventChange, OddsService
from quart_odds.odds.service import KEEP
from quart_odds.storage import Store
from tests.odds.making import KICKOFF, NOW, header, mapped

LATER = NOW + timedelta(minutes=1)


async def test_every_change_is_told_when_the_cache_has_it_and_before_it_is_worth_a_notice(store: Store) -> None:
    """Also of a header alone, or of nothing but the time."""
    told: list[str] = []
    odds_service = OddsService(store, clock=lambda: LATER, on_change=lambda _: told.append("notice"))

    def applied(change: EventChange) -> None:
        assert odds_service.cache.event_odds(change.odds_id) is not None
        assert not change.is_header_changed or change.former == header()
        told.append("new" if change.is_new else "header" if change.is_header_changed else "seen")

    odds_service.on_applied = applied
    await odds_service.record(mapped(), NOW)
    await odds_service.record(mapped(header(home="Arsenal London")), LATER)
    await odds_service.record(mapped(header(home="Arsenal London")), LATER)
    assert told == ["new", "notice", "header", "seen"]
    await odds_service.close()


async def test_events_that_only_the_database_had_are_told_before_their_changes(store: Store) -> None:
    """Whoever follows the cache does not know them."""
    now = NOW
    odds_service = OddsService(store, clock=lambda: now)
    await odds_service.record(mapped(), NOW)
    now = KICKOFF + KEEP + timedelta(seconds=1)
    assert await odds_service.archive() == 1
    told: list[tuple[str, int]] = []

    def recalled(event: CachedEvent) -> None:
        assert odds_service.cache.get(event.id) is event
        told.append(("recalled", event.id))

    odds_service.on_recalled = recalled
    odds_service.on_applied = lambda change: told.append(("applied", change.event_id))
    await odds_service.record(mapped(header(kickoff=now + timedelta(days=1))), now)
    assert told == [("recalled", 1), ("applied", 1)]
    await odds_service.close()


async def test_a_cache_that_is_read_again_is_told_when_it_is_full(store: Store) -> None:
    """It has all that was stored by then."""
    odds_service = OddsService(store, clock=lambda: NOW)
    await odds_service.record(mapped(), NOW)
    await odds_service.close()
    again = OddsService(store, clock=lambda: NOW)
    told: list[list[int]] = []
    again.on_reloaded = lambda: told.append(list(again.cache.events))
    await again.load()
    assert told == [[1]]
    await again.close()

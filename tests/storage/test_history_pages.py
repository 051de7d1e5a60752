"""The events and the whole history of their odds, as exports read them, in both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest

from quart_odds.domain.catalogue import promoted_key
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import BOOSTED
from quart_odds.domain.runs import RunStatus
from quart_odds.errors import StorageError
from quart_odds.odds import OddsService
from quart_odds.odds.history import Change
from quart_odds.storage import Store, history_rows, open_migrated
from tests.export.preparing import HOME, lived
from tests.odds.making import OVER_UNDER, X1, header, mapped
from tests.odds.serving import fill


async def test_events_and_histories_are_read_in_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages follow each other without a gap and without a repetition, also of promoted prices, whose keys are high."""
    start = utc_now().replace(microsecond=0) - timedelta(hours=1)
    service = OddsService(store)
    await fill(service, start)
    await lived(service, start)
    event = header(Platform.BETPAWA, "betpawa-1", "11", kickoff=start + timedelta(hours=2), home="Arsenal")
    boosted = promoted_key(HOME, BOOSTED)
    for minute, odds in ((45, 3.0), (46, 3.1)):
        prices = X1 | {boosted: odds, HOME: odds - 1} | OVER_UNDER
        await service.record(mapped(event, prices), start + timedelta(minutes=minute))
    await service.close()
    assert await store.event_ids() == [3, 1, 2, 4]
    assert await store.event_ids(kickoff_from=start, kickoff_to=start + timedelta(hours=3), among=[1, 2, 3]) == [1]
    [stored] = await store.stored_events([9, 1])
    odds_id = stored.odds[Platform.BETPAWA].id
    whole = await store.changes_after(odds_id, None)
    assert len(whole) > 8
    assert {boosted, HOME} <= {key for _, key, _ in whole}
    assert [at for at, _, _ in whole] == sorted(at for at, _, _ in whole)
    assert {(at, value) for at, _, value in await store.first_prices(odds_id)} >= {
        (int(start.timestamp()), 2400 << 1 | 1)
    }
    for most in (1, 3):
        monkeypatch.setattr(history_rows, "CHANGES_AT_ONCE", most)
        read: list[Change] = []
        while page := await store.changes_after(odds_id, read[-1] if read else None):
            assert len(page) <= most
            read += page
        assert read == whole
    assert (await store.first_prices(999), await store.changes_after(999, None)) == ([], [])


async def test_a_database_is_opened_as_it_is(database_url: str) -> None:
    """Without tables it is refused, and none are made."""
    for _ in range(2):
        with pytest.raises(StorageError, match=r"migrate|there is no database"):
            await open_migrated(database_url)


async def test_moves_of_the_kick_off_are_kept_beside_the_changes_of_prices(store: Store) -> None:
    """Each has the former kick-off, and nobody who reads changes of prices sees it."""
    start = utc_now().replace(microsecond=0) - timedelta(hours=1)
    service = OddsService(store)
    first = start + timedelta(hours=3)
    for minute, kickoff in ((0, first), (5, first + timedelta(hours=1)), (9, first + timedelta(hours=1)), (12, first)):
        await service.record(mapped(header(kickoff=kickoff), X1), start + timedelta(minutes=minute))
    await service.close()
    past = await store.price_history(1, [HOME])
    epoch = int(start.timestamp())
    assert [(at - epoch, minutes * 60) for at, _, minutes in past.former_kickoffs] == [
        (300, int(first.timestamp()) // 60 * 60),
        (720, int((first + timedelta(hours=1)).timestamp()) // 60 * 60),
    ]
    assert past.changes == ()
    assert await store.changes_after(1, None) == []


async def test_periods_of_runs_are_known_in_order(store: Store) -> None:
    """One that goes on lasts until the end that was asked for, and one from before is left out."""
    await store.take_writer_lock()
    now = utc_now()
    hours = [now - timedelta(hours=each) for each in (9, 4, 2)]
    for started_at in hours:
        number = await store.create_run(trigger="api", platforms=[Platform.BETPAWA], started_at=started_at)
        record = await store.get_run(number)
        assert record is not None
        if started_at != hours[-1]:
            ended = replace(record, status=RunStatus.COMPLETED, completed_at=started_at + timedelta(minutes=1))
            assert await store.finish_run(ended)
    assert await store.run_periods(now - timedelta(hours=5), now) == [
        (hours[1], hours[1] + timedelta(minutes=1)),
        (hours[2], now),
    ]

"""One process writes at a time."""

from datetime import timedelta

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.errors import StorageError
from quart_odds.storage import OddsDesk, open_store
from tests.odds.making import NOW, header, mapped
from tests.storage.test_desk import desk_at


async def test_a_second_writer_is_refused_until_the_first_has_gone(database_url: str) -> None:
    """It reads, its scrapes are told why they cannot store, and it takes over with all that was written meanwhile."""
    first, second = await open_store(database_url), await open_store(database_url)
    writing, reading = desk_at(first), desk_at(second)
    await writing.load()
    await writing.record(mapped(header(external_id="a", sportradar_id="1")), NOW)
    await writing.confirm()
    await reading.load()
    assert list(reading.book.events) == [1]
    with pytest.raises(StorageError, match="another process writes"):
        await reading.record(mapped(header(external_id="b", sportradar_id="2")), NOW)
    with pytest.raises(StorageError, match="another process writes"):
        await reading.mark_missing(Platform.BETPAWA, [], NOW)
    await writing.record(mapped(header(external_id="c", sportradar_id="3")), NOW)
    await writing.close()
    await first.aclose()
    change = await reading.record(mapped(header(external_id="b", sportradar_id="2")), NOW)
    assert change.event_id == 3
    assert list(reading.book.events) == [1, 2, 3]
    await reading.close()
    await second.aclose()


async def test_runs_of_a_process_that_lives_are_not_interrupted(database_url: str) -> None:
    """A second process that starts leaves them alone; one that starts after the first has gone ends them."""
    first = await open_store(database_url)
    desk = OddsDesk(first)
    await desk.load()
    run_id = await first.create_run(trigger="api", platforms=list(Platform), started_at=NOW)
    second = await open_store(database_url)
    assert await second.interrupt_running(NOW + timedelta(minutes=1)) == []
    await desk.close()
    await first.aclose()
    assert [run.id for run in await second.interrupt_running(NOW + timedelta(minutes=1))] == [run_id]
    await second.aclose()

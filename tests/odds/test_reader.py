"""Reading the odds of a database that another process writes: what is committed is seen, and nothing is written."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.errors import StorageError
from quart_odds.odds import OddsService
from quart_odds.odds.ports import StoredOdds
from quart_odds.odds.reader import OddsReader
from quart_odds.storage import Store, open_migrated, open_store
from tests.odds.making import header, mapped
from tests.odds.serving import fill


class CountingStore:
    """A store that counts how often everything is read, and that can fail."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.loads = 0
        self.error: StorageError | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def load(self, since: object) -> StoredOdds:
        """Read everything."""
        self.loads += 1
        if self.error is not None:
            raise self.error
        return await self._store.load(since)  # type: ignore[arg-type]


async def test_what_is_committed_is_seen_and_read_once(tmp_path: Path) -> None:
    """Everything is read at the first question, and again only when something was committed."""
    url = f"sqlite:///{tmp_path / 'odds.db'}"
    written = await open_store(url)
    service = OddsService(written)
    await service.load()
    await fill(service, now := utc_now())
    read = CountingStore(await open_migrated(url))
    reader = OddsReader(read, rest=0)  # type: ignore[arg-type]
    await asyncio.gather(reader.refresh(), reader.refresh())
    assert (read.loads, sorted(reader.cache.events)) == (1, [1, 2, 3, 4])
    event = header(Platform.BETPAWA, "new", "99", kickoff=now + timedelta(hours=3), home="Kano", away="Rivers")
    await service.record(mapped(event), now)
    await service.confirm()
    await reader.refresh()
    assert (read.loads, sorted(reader.cache.events)) == (2, [1, 2, 3, 4, 5])
    assert service.is_writer, "the reader took nothing from the writer"
    assert await written.take_writer_lock()
    await service.close()
    await read.aclose()  # type: ignore[operator]
    await written.aclose()


async def test_reading_rests(tmp_path: Path) -> None:
    """However much is committed, reading takes a share of the time at most."""
    url = f"sqlite:///{tmp_path / 'odds.db'}"
    written = await open_store(url)
    service = OddsService(written)
    await service.load()
    read = CountingStore(await open_migrated(url))
    reader = OddsReader(read, rest=1e6)  # type: ignore[arg-type]
    await reader.refresh()
    await fill(service, utc_now())
    await reader.refresh()
    assert (read.loads, len(reader.cache.events)) == (1, 0)
    await service.close()
    await read.aclose()  # type: ignore[operator]
    await written.aclose()


async def test_what_was_read_stays_when_the_database_fails(tmp_path: Path) -> None:
    """A question gets the error, and the next one everything."""
    url = f"sqlite:///{tmp_path / 'odds.db'}"
    written = await open_store(url)
    service = OddsService(written)
    await service.load()
    read = CountingStore(await open_migrated(url))
    reader = OddsReader(read, rest=0)  # type: ignore[arg-type]
    await reader.refresh()
    await fill(service, utc_now())
    read.error = StorageError("the database is locked")
    with pytest.raises(StorageError):
        await reader.refresh()
    assert len(reader.cache.events) == 0
    read.error = None
    await reader.refresh()
    assert len(reader.cache.events) == 4
    await service.close()
    await read.aclose()  # type: ignore[operator]
    await written.aclose()

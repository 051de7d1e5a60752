"""The bytes of an export while they are made."""

from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from quart_odds.errors import StorageError
from quart_odds.export import stream
from quart_odds.export.columns import Wanted
from quart_odds.export.formats import FORMATS
from quart_odds.export.kinds import KINDS
from quart_odds.export.stream import Export, chosen_events
from quart_odds.odds.event import CachedEvent
from quart_odds.storage import Store, open_migrated
from tests.export.preparing import Prepared


@pytest.fixture
async def store(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """The prepared database, opened for reading, of which exports read one event at a time and send every row."""
    monkeypatch.setattr(stream, "EVENTS_AT_ONCE", 1)
    monkeypatch.setattr(stream, "PART_BYTES", 1)
    opened = await open_migrated(prepared.url)
    yield opened
    await opened.aclose()


async def started(
    store: Store, kind: str = "history", shape: str = "csv"
) -> tuple[Export, AsyncGenerator[bytes, None]]:
    """Return an export of all events, and its parts."""
    export = Export(KINDS[kind], FORMATS[shape], Wanted(), store)
    return export, export.parts(chosen_events((), store, await store.event_ids(), lambda event: event.id != 3))


def open_connections(store: Store) -> int:
    """Return how many connections for reading are in use."""
    return int(store.database._reader.pool.checkedout())  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["current", "history"])
@pytest.mark.parametrize("shape", FORMATS)
async def test_no_transaction_is_open_while_a_part_is_taken(kind: str, shape: str, store: Store) -> None:
    """A reader may take as long as it wants: the database is read only while a part is made."""
    export, parts = await started(store, kind, shape)
    taken = []
    async for part in parts:
        taken.append(part)
        assert open_connections(store) == 0
    assert len(taken) > (1 if shape != "parquet" else 0)
    assert export.told.events == 4
    assert export.told.rows >= 7 * 5


async def test_an_export_that_is_closed_closes_what_it_reads(store: Store) -> None:
    """The events that it would have read next are not read."""
    is_closed = False

    async def events() -> AsyncGenerator[CachedEvent, None]:
        nonlocal is_closed
        try:
            while True:
                yield (await store.stored_events([1]))[0]
        finally:
            is_closed = True

    parts = Export(KINDS["history"], FORMATS["jsonl"], Wanted(), store).parts(events())
    await anext(parts)
    await parts.aclose()
    assert is_closed
    assert open_connections(store) == 0


async def test_an_export_that_fails_raises(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not end as if it were complete."""

    async def fail(*_: object) -> list[CachedEvent]:
        raise StorageError("the database is gone")

    _, parts = await started(store)
    await anext(parts)
    monkeypatch.setattr(store, "stored_events", fail)
    with pytest.raises(StorageError, match="is gone"):
        async for _ in parts:
            pass


async def test_memory_does_not_grow_with_the_number_of_events(store: Store) -> None:
    """Of many events, as many are read as are sent."""
    read = 0

    async def events() -> AsyncGenerator[CachedEvent, None]:
        nonlocal read
        [event] = await store.stored_events([1])
        while True:
            read += 1
            yield event

    parts = Export(KINDS["current"], FORMATS["csv"], Wanted(), store).parts(events())
    for _ in range(3 * 5):
        await anext(parts)
    assert read <= 6
    await parts.aclose()

"""The writer lease: a process that holds the lock and does not renew is replaced, and writes nothing afterwards."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PhaseRecord, RunRecord, RunStatus, ScrapePhase
from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds import lease
from quart_odds.odds.lease import renewing
from quart_odds.odds.retention import CleanUpState
from quart_odds.storage import Store, open_store, writer_lease
from quart_odds.storage.odds_rows import EncodedBatch
from quart_odds.storage.tables import writer
from tests.databases import PostgresServer, make_database
from tests.odds.making import NOW, mapped
from tests.odds.test_service import odds_service_at

LEASE_SECONDS = 0.8


@pytest.fixture(autouse=True)
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let leases expire soon. The statements' own limits stay as they are."""
    monkeypatch.setattr(writer_lease, "LEASE_SECONDS", LEASE_SECONDS)
    monkeypatch.setattr(writer_lease, "MARGIN_SECONDS", 0.2)
    monkeypatch.setattr(writer_lease, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)


@asynccontextmanager
async def stores(url: str, count: int) -> AsyncIterator[list[Store]]:
    """Open several stores on one database, as several processes would."""
    opened = [await open_store(url) for _ in range(count)]
    try:
        yield opened
    finally:
        for each in opened:
            await each.aclose()


async def taken(*candidates: Store) -> Store:
    """Return the first of these that gets the lease."""
    async with asyncio.timeout(20):
        while True:
            for each in candidates:
                if await each.take_writer_lock():
                    return each
            await asyncio.sleep(0.02)


async def row_of(store: Store) -> tuple[int, str | None, bool]:
    """Return term, holder, and whether the holder has the lock."""
    async with store.database.reading() as connection:
        row = (await connection.execute(select(writer))).one()
    return row.term, row.holder, row.is_locked


async def state_of(store: Store) -> object:
    """Return everything that a late write of a former writer could change."""
    runs = await store.list_runs(limit=9)
    phases = [await store.phases(run.id) for run in runs]
    revision = await store.odds_revision()
    return (
        (await row_of(store))[:2],
        runs,
        phases,
        revision,
        await store.get_value("name"),
        await store.clean_up_state(),
    )


def ended(run_id: int) -> RunRecord:
    """Return a run that has completed."""
    return RunRecord(
        run_id, RunStatus.COMPLETED, "api", (Platform.BETPAWA,), NOW, completed_at=NOW + timedelta(seconds=1)
    )


async def test_an_expired_lease_is_taken_though_its_holder_keeps_the_lock(database_url: str) -> None:
    """Every late write of the former holder is refused, its run is ended, and then it gives up its lock."""
    async with stores(database_url, 2) as (older, newer):
        assert await older.take_writer_lock()
        run_id = await older.create_run(trigger="api", platforms=[Platform.BETPAWA], started_at=NOW)
        assert not await newer.take_writer_lock()
        term = older.term
        assert await taken(newer) is newer
        assert newer.term == (term or 0) + 1
        async with renewing(newer):
            assert [each.id for each in await newer.interrupt_running(NOW)] == [run_id]
            assert (await row_of(newer))[2] is False  # the lock is still that of the older process
            before = await state_of(newer)
            refused = 0
            for late in (
                older.write(EncodedBatch([], [], [], [], [], {}, [], [], [], []), term),
                older.remove_old(NOW + timedelta(days=9), NOW + timedelta(days=9), term),
                older.create_run(trigger="api", platforms=[Platform.BETPAWA], started_at=NOW),
                older.save_phases(run_id, [PhaseRecord(ScrapePhase.COMPLETED, NOW)]),
                older.finish_run(ended(run_id)),
                older.set_value("name", "value"),
                older.save_clean_up_state(CleanUpState(revision="0001")),
            ):
                with pytest.raises(NotWriterError):
                    await late
                refused += 1
            assert refused == 7
            assert await state_of(newer) == before
            async with asyncio.timeout(20):
                while not (await row_of(newer))[2]:
                    await asyncio.sleep(0.02)
            await newer.set_value("name", "kept")
            assert await older.get_value("name") == "kept"


async def test_of_several_that_take_an_expired_lease_one_wins(database_url: str) -> None:
    """The term grows by one, and the others see who has it."""
    async with stores(database_url, 4) as (holder, *others):
        assert await holder.take_writer_lock()
        for each in others:
            assert not await each.take_writer_lock()
        await asyncio.sleep(LEASE_SECONDS + 0.1)
        results = await asyncio.gather(*(each.take_writer_lock() for each in others))
        assert sorted(results) == [False, False, True]
        winner = others[results.index(True)]
        assert (await row_of(winner))[:2] == (2, winner.database.lease.holder)
        for each in others:
            assert each.writer_row == winner.writer_row


async def test_a_free_lock_is_no_right_while_its_writer_has_only_the_lease(database_url: str) -> None:
    """The process that held the lock dies after it was replaced: its successor keeps writing, and gets the lock."""
    async with stores(database_url, 3) as (dead, successor, third):
        assert await dead.take_writer_lock()
        assert await taken(successor) is successor
        await dead.database._writer_lock.release()
        assert not await third.take_writer_lock()
        async with renewing(successor), asyncio.timeout(20):
            while not (await row_of(successor))[2]:
                assert not await third.take_writer_lock()
            assert not await third.take_writer_lock()
        assert (await row_of(successor))[:2] == (2, successor.database.lease.holder)


async def test_a_lease_that_is_given_back_is_free_at_once(database_url: str) -> None:
    """The next process does not wait for the end of the lease."""
    async with stores(database_url, 1) as (second,):
        first = await open_store(database_url)
        assert await first.take_writer_lock()
        assert not await second.take_writer_lock()
        await first.aclose()
        began = time.monotonic()
        assert await second.take_writer_lock()
        assert time.monotonic() - began < LEASE_SECONDS


async def test_writes_renew_the_lease(database_url: str) -> None:
    """A process that writes without pause keeps it, though nothing else renews it."""
    async with stores(database_url, 2) as (writing, other):
        assert await writing.take_writer_lock()
        until = time.monotonic() + 2 * LEASE_SECONDS
        while time.monotonic() < until:
            await writing.set_value("at", str(time.monotonic()))
            assert writing.holds_lease
            assert not await other.take_writer_lock()
            await asyncio.sleep(0.05)


@pytest.mark.postgres
async def test_a_writer_that_is_busy_with_one_transaction_is_not_replaced(postgres: str) -> None:
    """The lease expires meanwhile. It is taken only if it stays expired for a while after the transaction."""
    async with stores(await make_database(postgres), 2) as (writing, other):
        assert await writing.take_writer_lock()
        assert not await other.take_writer_lock()
        async with writing.database.writing_as(writing.term) as connection:
            for _ in range(4):
                await connection.execute(text(f"SELECT pg_sleep({LEASE_SECONDS / 3})"))
            taking = asyncio.create_task(other.take_writer_lock())
            await asyncio.sleep(0.2)
            assert not taking.done()
        assert not await taking
        assert await writing.take_writer_lock()
        assert writing.term == 1


@pytest.mark.postgres
async def test_a_process_that_is_suspended_in_a_transaction_holds_up_nobody(own_postgres: PostgresServer) -> None:
    """PostgreSQL ends the transaction after the length of a lease, and the next process takes over."""
    async with stores(await make_database(own_postgres.url), 2) as (suspended, other):
        assert await suspended.take_writer_lock()
        assert not await other.take_writer_lock()

        async def write_half() -> None:
            async with suspended.database.writing_as(suspended.term) as connection:
                await connection.execute(text("INSERT INTO notes VALUES ('half', 'written')"))
                async with asyncio.timeout(20):
                    while not await _tried(other):
                        await asyncio.sleep(0.05)
                await connection.execute(text("SELECT 1"))

        with pytest.raises(StorageError):
            await write_half()
        assert await other.get_value("half") is None


@pytest.mark.postgres
async def test_a_process_that_is_suspended_in_a_statement_holds_up_nobody(own_postgres: PostgresServer) -> None:
    """To PostgreSQL its transaction is not idle: it waits for the rest of the statement. The next process ends it."""
    async with stores(await make_database(own_postgres.url), 2) as (suspended, other):
        assert await suspended.take_writer_lock()
        assert not await other.take_writer_lock()

        async def nothing_before_the_take_over() -> AsyncIterator[bytes]:
            async with asyncio.timeout(20):
                while not await _tried(other):
                    await asyncio.sleep(0.05)
            yield b"late\twritten\n"

        async def write_half() -> None:
            async with suspended.database.writing_as(suspended.term) as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                await driver.copy_to_table("notes", source=nothing_before_the_take_over())

        with pytest.raises(StorageError):
            await write_half()
        assert other.term == 2
        assert await other.get_value("late") is None


async def _tried(store: Store) -> bool:
    try:
        return await store.take_writer_lock()
    except StorageError:
        return False


@pytest.mark.postgres
async def test_a_writer_that_cannot_renew_stops_before_its_lease_ends(
    own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops by its own clock while the server hangs. When the server is back it goes on, and nothing is lost."""
    monkeypatch.setattr(writer_lease, "STATEMENT_SECONDS", 0.3)
    async with stores(await make_database(own_postgres.url), 2) as (store, other):
        odds_service = odds_service_at(store, confirm_seconds=20)
        await odds_service.load()
        await odds_service.take_over()
        renewed = time.monotonic()
        own_postgres.send(signal.SIGSTOP)
        try:
            assert odds_service.is_writer
            while odds_service.is_writer:
                await asyncio.sleep(0.01)
            assert time.monotonic() - renewed < LEASE_SECONDS
            assert odds_service.read_only_reason is not None
            recording = asyncio.create_task(odds_service.record(mapped(), NOW))
            await asyncio.sleep(0.5)
            assert not recording.done()
        finally:
            own_postgres.send(signal.SIGCONT)
        change = await recording
        await odds_service.confirm()
        assert odds_service.is_writer
        assert (await other.load(NOW)).events[0].event.id == change.event_id
        await odds_service.close()

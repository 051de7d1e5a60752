"""Only one process writes at a time, and rows that a former writer still holds are never written."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from unittest.mock import AsyncMock

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import select, text, update

from quart_odds.domain.odds import MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunStatus
from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds import OddsService
from quart_odds.odds import service as service_module
from quart_odds.odds.ownership import Recording, recording_for
from quart_odds.storage import Store, open_store
from quart_odds.storage.tables import events, quotes, writer
from quart_odds.storage.writer_lock import WRITER_LOCK
from tests.databases import PostgresServer, make_database
from tests.odds.making import NOW, X1, header, key, mapped, odds_at
from tests.odds.test_service import odds_service_at, store_of

HOME = key("1x2_ft", "1")


async def test_a_second_writer_is_refused_until_the_first_has_gone(database_url: str) -> None:
    """The second one can read, but recording raises an error. Once it takes over, it has read all that was written."""
    first, second = await open_store(database_url), await open_store(database_url)
    writing, reading = odds_service_at(first), odds_service_at(second)
    await writing.load()
    await writing.record(mapped(header(external_id="a", sportradar_id="1")), NOW)
    await writing.confirm()
    await reading.load()
    assert list(reading.cache.events) == [1]
    with pytest.raises(StorageError, match="another process writes"):
        await reading.record(mapped(header(external_id="b", sportradar_id="2")), NOW)
    with pytest.raises(StorageError, match="another process writes"):
        await reading.mark_missing(Platform.BETPAWA, {}, NOW)
    await writing.record(mapped(header(external_id="c", sportradar_id="3")), NOW)
    await writing.close()
    await first.aclose()
    change = await reading.record(mapped(header(external_id="b", sportradar_id="2")), NOW)
    assert change.event_id == 3
    assert list(reading.cache.events) == [1, 2, 3]
    await reading.close()
    await second.aclose()


async def test_runs_of_a_process_that_lives_are_not_interrupted(database_url: str) -> None:
    """A second process interrupts the runs only after the first process has ended."""
    first = await open_store(database_url)
    odds_service = OddsService(first)
    await odds_service.load()
    run_id = await first.create_run(trigger="api", platforms=list(Platform), started_at=NOW)
    second = await open_store(database_url)
    assert await second.interrupt_running(NOW + timedelta(minutes=1)) == []
    await odds_service.close()
    await first.aclose()
    assert [run.id for run in await second.interrupt_running(NOW + timedelta(minutes=1))] == [run_id]
    await second.aclose()


def fetched(name: str) -> MappedEvent:
    """Return a fetch of an event that matches no other event."""
    return mapped(header(external_id=name, sportradar_id=None, home=name))


async def kept(store: Store) -> list[tuple[int, int, str]]:
    """Return event id, odds id and external id of all odds in the database, after checking that each event has one."""
    async with store.database.reading() as connection:
        rows = (await connection.execute(select(quotes.c.event_id, quotes.c.id, quotes.c.external_id))).all()
        ids = (await connection.scalars(select(events.c.id))).all()
    assert sorted(row.event_id for row in rows) == sorted(ids)
    return sorted((row.event_id, row.id, row.external_id) for row in rows)


async def lose_lock(store: Store) -> None:
    """End the connection that holds the lock on the server, as some servers do with idle connections."""
    async with store.database.writing() as connection:
        # With a timeout, so that it waits: the lock is held until the server process is gone.
        ended = "SELECT pg_terminate_backend(pid, 30000) FROM pg_locks"
        lock = f"{ended} WHERE locktype = 'advisory' AND objid = :key AND granted"
        await connection.execute(text(lock), {"key": WRITER_LOCK})


@contextlib.asynccontextmanager
async def two_services(url: str) -> AsyncIterator[tuple[OddsService, OddsService]]:
    """Open an odds service that writes, with one confirmed event, and one that only reads."""
    first, second = await open_store(url), await open_store(url)
    writing, reading = odds_service_at(first), odds_service_at(second)
    await writing.load()
    await reading.load()
    await writing.record(fetched("shared"), NOW)
    await writing.confirm()
    try:
        yield writing, reading
    finally:
        for each in (writing, reading):
            await each.close(0.1)
            await store_of(each).aclose()


@pytest.mark.postgres
async def test_no_id_is_given_twice_in_the_database_after_a_lost_lock(postgres: str) -> None:
    """The former writer's rows are refused, its recording gets an error, and it then reads what the other one wrote."""
    async with two_services(await make_database(postgres)) as (older, newer):
        await lose_lock(store_of(newer))
        await newer.record(fetched("newer"), NOW)
        await newer.confirm()
        with recording_for(Recording()):
            await older.record(fetched("older"), NOW)
            with pytest.raises(NotWriterError, match="taken over"):
                await older.confirm()
        assert not older.is_writer
        with pytest.raises(NotWriterError, match="another process writes"):
            await older.record(fetched("older"), NOW)
        assert await kept(store_of(newer)) == [(1, 1, "shared"), (2, 2, "newer")]
        await newer.close()
        await store_of(newer).aclose()
        change = await older.record(fetched("older"), NOW)
        assert change.event_id == 3
        await older.confirm()
        assert await kept(store_of(older)) == [(1, 1, "shared"), (2, 2, "newer"), (3, 3, "older")]


@pytest.mark.postgres
async def test_a_lock_that_is_got_back_before_anyone_wrote_costs_nothing(postgres: str) -> None:
    """The term continues: nothing is read again, and what waits is written."""
    async with two_services(await make_database(postgres)) as (writing, reading):
        epoch, term = writing.cache.epoch, store_of(writing).database.term
        await lose_lock(store_of(reading))
        await writing.record(fetched("waiting"), NOW)
        await writing.take_over()
        await writing.confirm()
        assert (writing.cache.epoch, store_of(writing).database.term) == (epoch, term)
        with pytest.raises(NotWriterError):
            await reading.take_over()
        assert await kept(store_of(writing)) == [(1, 1, "shared"), (2, 2, "waiting")]


@pytest.mark.postgres
async def test_a_restart_of_the_server_makes_no_second_writer(own_postgres: PostgresServer) -> None:
    """The process that takes the lock first is the writer, the other one is refused, and confirmed odds are kept."""
    async with two_services(await make_database(own_postgres.url)) as (older, newer):
        own_postgres.stop()
        own_postgres.start()
        await newer.record(fetched("newer"), NOW)
        await newer.confirm()
        await older.record(fetched("older"), NOW)
        with pytest.raises(NotWriterError):
            await older.confirm()
        assert await kept(store_of(newer)) == [(1, 1, "shared"), (2, 2, "newer")]


@pytest.mark.postgres
async def test_a_transaction_that_was_open_during_a_take_over_is_whole_or_nothing(postgres: str) -> None:
    """The process that takes over waits for its end, so it reads everything that was committed."""
    async with two_services(await make_database(postgres)) as (older, newer):
        async with store_of(older).database.writing_as(store_of(older).database.term) as connection:
            await connection.execute(text("UPDATE events SET home_team = 'changed'"))
            await lose_lock(store_of(newer))
            taking = asyncio.create_task(newer.take_over())
            for _ in range(20):
                await asyncio.sleep(0.01)
            assert not taking.done()
        await taking
        event = newer.cache.get(1)
        assert event is not None
        async with store_of(newer).database.reading() as connection:
            assert (await connection.scalars(select(events.c.home_team))).all() == ["changed"]


async def test_a_term_that_is_over_writes_nothing_on_any_database(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transactions check the term even if the lock seems held: for odds, clean-up and the end of other runs."""
    odds_service = odds_service_at(store, confirm_seconds=5)
    await odds_service.load()
    await odds_service.record(mapped(), NOW)
    await odds_service.confirm()
    run_id = await store.create_run(trigger="api", platforms=[Platform.BETPAWA], started_at=NOW)
    async with store.database.writing() as connection:
        await connection.execute(update(writer).values(term=writer.c.term + 1))
    await odds_service.record(mapped(odds=X1 | {HOME: 2.5}), NOW + timedelta(minutes=1))
    with pytest.raises(NotWriterError):
        await odds_service.confirm()
    with pytest.raises(NotWriterError):
        await store.remove_old(NOW + timedelta(days=9), NOW + timedelta(days=9), odds_service._term)
    with monkeypatch.context() as patched:
        patched.setattr(store.database, "take_writer_lock", AsyncMock(return_value=True))
        patched.setattr(store.database, "term", odds_service._term)
        with pytest.raises(NotWriterError):
            await store.interrupt_running(NOW)
    store.database.term = None
    run = await store.get_run(run_id)
    assert run is not None
    assert run.status is RunStatus.RUNNING
    assert (await store.price_history(1, [HOME])).changes == ()
    await odds_service.record(mapped(odds=X1 | {HOME: 2.6}), NOW + timedelta(minutes=2))
    await odds_service.confirm()
    assert [odds >> 1 for _, _, odds in (await store.price_history(1, [HOME])).changes] == [2600]
    await odds_service.close()


async def test_a_reader_follows_what_the_writer_commits_and_takes_over_when_it_is_gone(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The epoch changes each time it reads again, which invalidates old cursors and ETags."""
    monkeypatch.setattr(service_module, "FOLLOW_SECONDS", 0.02)
    async with two_services(database_url) as (writing, reading):
        recovered: list[int] = []

        async def recover() -> None:
            recovered.append(len(reading.cache.events))

        reading.on_take_over = recover
        reading.follow()
        assert not reading.is_writer
        assert (
            reading.read_only_reason
            == "another process writes to this database: this one takes over when that one ends"
        )
        epoch = reading.cache.epoch
        await writing.record(mapped(header(external_id="late", sportradar_id=None)), NOW)
        await writing.confirm()
        async with asyncio.timeout(20):
            while odds_at(reading.cache, Platform.BETPAWA, "late") is None:
                await asyncio.sleep(0.01)
            assert reading.cache.epoch != epoch
            assert not reading.is_writer
            await writing.close()
            await store_of(writing).aclose()
            while not reading.is_writer:
                await asyncio.sleep(0.01)
        assert (recovered, reading.read_only_reason) == ([2], None)


async def test_nobody_sees_a_book_that_is_half_read(store: Store) -> None:
    """Reading again replaces the whole content of the cache without yielding to the event loop."""
    odds_service = odds_service_at(store)
    await odds_service.load()
    for number in range(450):
        await odds_service.record(mapped(header(external_id=f"e{number}", sportradar_id=None)), NOW)
    await odds_service.confirm()
    sizes = set()
    filling = asyncio.create_task(odds_service._fill())
    while not filling.done():
        sizes.add(len(odds_service.cache.events))
        await asyncio.sleep(0)
    assert sizes == {450}
    await odds_service.close()


async def test_a_database_that_takes_no_writes_can_be_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that starts on a full disk serves the stored odds and says why it does not write."""
    odds_service = odds_service_at(store)
    await odds_service.record(mapped(), NOW)
    await odds_service.close()
    await store.database.lease.release()
    await store.database._writer_lock.release()

    async def full() -> bool:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(store.database.lease, "_take_over", full)
        again = odds_service_at(store)
        await again.load()
        assert (len(again.cache.events), again.is_writer, again.read_only_reason) == (1, False, "the disk is full")
    await again.record(mapped(), NOW + timedelta(minutes=1))
    assert again.is_writer
    await again.close()


@pytest.fixture
def pooler(postgres: str) -> Iterator[str]:
    """Return the URL, without a database name, of a PgBouncer in transaction mode in front of the server."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("PgBouncer is not installed in CI")
        pytest.skip("PgBouncer is not installed")
    folder = Path(tempfile.mkdtemp(prefix="quart-odds-pooler-"))
    port = asyncio.run(_free_port())
    server = postgres.rpartition(":")[2]
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host=127.0.0.1 port={server} user=test\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
        f"logfile = {folder}/log\npidfile = {folder}/pid\n"
    )
    folder.chmod(0o777)
    prefix = ["setpriv", "--reuid=nobody", "--clear-groups", "--"] if Path.home() == Path("/root") else []
    process = subprocess.Popen([*prefix, program, str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"postgresql://test@127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


async def _free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


@pytest.mark.postgres
async def test_a_transaction_pooler_is_refused_with_what_to_do(postgres: str, pooler: str) -> None:
    """Each attempt creates nothing in the database, because a lock that is held through a pooler protects nothing."""
    direct = await make_database(postgres)
    url = f"{pooler}/{direct.rpartition('/')[2]}"
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                await (await asyncpg.connect(url, statement_cache_size=0)).close()
                break
            await asyncio.sleep(0.05)
    for _ in range(3):
        with pytest.raises(StorageError, match="connect to PostgreSQL directly"):
            await open_store(url)
    connection = await asyncpg.connect(direct)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    await connection.close()

"""Tests of opening, migrating and losing a database."""

import asyncio
import contextlib
import errno
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from quart_odds.errors import StorageError
from quart_odds.storage import engines, migrate, open_store
from quart_odds.storage.database import Database
from quart_odds.storage.engines import async_url
from quart_odds.storage.tables import metadata


async def test_migrations_make_exactly_the_tables_that_the_code_knows(database_url: str) -> None:
    """Alembic finds no difference between a migrated database and the tables in the code."""
    await migrate(database_url)
    database = Database(database_url)

    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []
    await database.aclose()


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    """Every start migrates, and simultaneous starts do not conflict."""
    first = await migrate(database_url)
    assert set(await asyncio.gather(migrate(database_url), migrate(database_url))) == {first}


async def test_two_first_starts_at_once_make_one_database(database_url: str) -> None:
    """The second start waits for the first."""
    first, second = await asyncio.gather(migrate(database_url), migrate(database_url))
    assert first == second


async def test_first_starts_at_once_wait_while_the_file_becomes_one_of_wal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite answers "locked" at once then, and not after a while. Whoever holds it for too long is told of."""
    path = tmp_path / "odds.db"
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    ending = threading.Timer(0.3, holder.rollback)
    ending.start()
    store = await open_store(f"sqlite:///{path}")
    await store.aclose()
    ending.join()
    other = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(other, isolation_level=None)) as holding:
        holding.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(engines, "BUSY_SECONDS", 0.1)
        with pytest.raises(StorageError, match="locked"):
            await open_store(f"sqlite:///{other}")
    holder.close()


async def test_a_transaction_that_fails_leaves_nothing(database_url: str) -> None:
    """Rows that were written before the error are rolled back."""
    store = await open_store(database_url)

    async def write_and_fail() -> None:
        async with store.database.writing() as connection:
            await connection.execute(text("INSERT INTO notes (name, value) VALUES ('a', 'b')"))
            await connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    with pytest.raises(StorageError):
        await write_and_fail()
    assert await store.get_value("a") is None
    await store.aclose()


async def test_the_sqlite_file_is_in_wal_mode_and_every_commit_is_on_the_disk(tmp_path: Path) -> None:
    """Reading is possible during a write, and committed data survives a power failure."""
    store = await open_store(f"sqlite:///{tmp_path / 'odds.db'}")
    async with store.database.writing() as connection:
        assert (await connection.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
        assert (await connection.execute(text("PRAGMA synchronous"))).scalar_one() == 2
        assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar_one() == 1
        await store.check()
    await store.aclose()


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    """The connections of `reading` refuse writes."""
    store = await open_store(f"sqlite:///{tmp_path / 'odds.db'}")
    with pytest.raises(StorageError, match="readonly"):
        async with store.database.reading() as connection:
            await connection.execute(text("INSERT INTO notes (name, value) VALUES ('a', 'b')"))
    await store.aclose()


async def test_a_database_in_memory_works(tmp_path: Path) -> None:
    """An in-memory database, for tests and trials, works until it is closed."""
    store = await open_store("sqlite:///:memory:")
    await store.set_value("a", "b")
    assert await store.get_value("a") == "b"
    await store.aclose()


@pytest.mark.parametrize("url", ["mysql://host/odds", "nonsense", "sqlite:////no/such/folder/odds.db"])
async def test_a_database_that_cannot_be_opened_is_reported(url: str) -> None:
    """Opening raises StorageError for every kind of unusable URL."""
    with pytest.raises(StorageError):
        await open_store(url)


async def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    """The error names the file, and the file is not changed."""
    path = tmp_path / "odds.db"
    path.write_bytes(b"this is no database, but a text of some length" * 100)
    with pytest.raises(StorageError, match=r"^this file is not a Quart Odds database.*not a database") as caught:
        await open_store(f"sqlite:///{path}")
    assert f"{path}: this file" in caught.value.for_operator
    assert path.read_bytes() == b"this is no database, but a text of some length" * 100


async def test_a_file_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    """The error says what to check. Here the path is a folder."""
    with pytest.raises(StorageError, match="cannot be opened or created: check its folder and its permissions"):
        await open_store(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (sqlite3.OperationalError("database or disk is full"), "the disk is full: free some space"),
        (sqlite3.OperationalError("disk I/O error"), "it may be full, read-only or failing"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full: free some space"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "its file, folder or disk is read-only"),
        (OSError(errno.EROFS, "Read-only file system"), "its disk is read-only"),
        (sqlite3.DatabaseError("database disk image is malformed"), "the file is damaged: replace it with a backup"),
        (Exception('prepared statement "__asyncpg_stmt_1__" already exists'), "connect to PostgreSQL directly"),
        (Exception("cannot execute UPDATE in a read-only transaction"), "connect to the primary"),
    ],
)
async def test_foreign_errors_become_sentences(tmp_path: Path, error: Exception, sentence: str) -> None:
    """Each error says what to do and includes the message of the database."""
    store = await open_store(f"sqlite:///{tmp_path / 'odds.db'}")
    raised = error if isinstance(error, OSError) else DBAPIError("SELECT 1", {}, error)
    with pytest.raises(StorageError) as caught:
        async with store.database.writing():
            raise raised
    assert sentence in str(caught.value)
    assert str(error.args[-1]) in str(caught.value)
    await store.aclose()


async def test_a_file_is_whole_by_itself_once_it_is_closed(tmp_path: Path) -> None:
    """Closing empties the write-ahead log, even while another process has the database open."""
    path = tmp_path / "odds.db"
    writing, reading = await open_store(f"sqlite:///{path}"), await open_store(f"sqlite:///{path}")
    assert await writing.database.take_writer_lock()
    await writing.set_value("a", "b")
    await reading.check()
    await writing.aclose()
    copy = tmp_path / "copy" / "odds.db"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    await reading.aclose()
    copied = await open_store(f"sqlite:///{copy}")
    assert await copied.get_value("a") == "b"
    await copied.aclose()


async def test_a_backup_by_sqlite_itself_has_all_that_was_committed(tmp_path: Path) -> None:
    """`.backup` and `VACUUM INTO` work while the database is open and return all committed data."""
    path = tmp_path / "odds.db"
    store = await open_store(f"sqlite:///{path}")
    await store.set_value("a", "b")
    with contextlib.closing(sqlite3.connect(path)) as source:
        with contextlib.closing(sqlite3.connect(tmp_path / "backup.db")) as target:
            source.backup(target)
        source.execute("VACUUM INTO ?", (str(tmp_path / "vacuum.db"),))
    await store.aclose()
    for name in ("backup.db", "vacuum.db"):
        copied = await open_store(f"sqlite:///{tmp_path / name}")
        assert await copied.get_value("a") == "b"
        await copied.aclose()


async def test_a_server_that_does_not_answer_is_reported_without_its_password() -> None:
    """The operator sees which server it is, but never the user or password. The public message names nothing."""
    for url in (
        "postgresql://someone:secret@127.0.0.1:1/odds",
        "postgresql://127.0.0.1:1/odds?user=someone&password=secret",
        "postgresql://someone:se%40cret@127.0.0.1:1/odds",
    ):
        with pytest.raises(StorageError) as caught:
            await open_store(url)
        assert str(caught.value) == "the database does not respond as it should; see the log for the reason"
        assert "127.0.0.1:1/odds" in caught.value.for_operator
        assert "secret" not in caught.value.for_operator
        assert "someone" not in caught.value.for_operator


async def test_an_argument_of_a_url_that_means_nothing_is_reported() -> None:
    """Without this check, the driver would raise a TypeError."""
    with pytest.raises(StorageError, match="an argument that the driver does not know") as caught:
        await open_store("postgresql://someone:secret@127.0.0.1:1/odds?nosuch=1")
    assert "nosuch" in caught.value.for_operator


def test_the_url_gets_our_drivers() -> None:
    """A URL only needs to name the database. Its driver, if any, is replaced."""
    assert async_url("sqlite:///x.db").drivername == "sqlite+aiosqlite"
    assert async_url("postgres://u@h/d").drivername == "postgresql+asyncpg"
    assert async_url("postgresql+psycopg://u@h/d").drivername == "postgresql+asyncpg"


async def test_a_lock_that_another_process_holds_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the lock is bounded, and reading is possible meanwhile."""
    monkeypatch.setattr("quart_odds.storage.engines.BUSY_SECONDS", 0.05)
    path = tmp_path / "odds.db"
    store = await open_store(f"sqlite:///{path}")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match="locked"):
        await store.set_value("a", "b")
    await store.check()
    other.execute("ROLLBACK")
    other.close()
    await store.set_value("a", "b")
    await store.aclose()

"""Only the owner may read the files of a SQLite database."""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from quart_odds.storage import open_store
from quart_odds.storage.backup import copy_beside


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """Set a umask with which new files are readable by other users."""
    former = os.umask(0o022)
    yield
    os.umask(former)


def modes(folder: Path) -> dict[str, int]:
    """Return the mode of each file in a folder, by name."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_every_file_of_a_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    """That is true of the database, of the files that exist while it is open, and of the lock file."""
    store = await open_store(f"sqlite:///{tmp_path / 'odds.db'}")
    await store.database.take_writer_lock()
    await store.set_value("a", "b")
    found = modes(tmp_path)
    assert found.keys() >= {"odds.db", "odds.db-wal", "odds.db-shm", "odds.db-writer"}
    assert set(found.values()) == {0o600}
    await store.aclose()


async def test_a_database_that_others_could_read_is_narrowed(tmp_path: Path) -> None:
    """A database of an older version loses the rights of group and others. The owner keeps all rights."""
    path = tmp_path / "odds.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("create table kept (x)")
    path.chmod(0o664)
    store = await open_store(f"sqlite:///{path}")
    assert modes(tmp_path)["odds.db"] == 0o600
    await store.aclose()


async def test_a_copy_is_for_its_owner_alone(tmp_path: Path) -> None:
    """A copy holds the same data, so it gets the same mode."""
    path = tmp_path / "odds.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("create table kept (x)")
        connection.execute("insert into kept values (7)")
        connection.commit()
    copy = copy_beside(path, "0002")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("select x from kept").fetchall() == [(7,)]


async def test_a_file_that_is_no_database_keeps_its_mode(tmp_path: Path) -> None:
    """Such a file was named by mistake, and is not ours to change."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and long enough to be looked at")
    path.chmod(0o644)
    with pytest.raises(Exception, match="not a database"):
        await open_store(f"sqlite:///{path}")
    assert modes(tmp_path)["notes.txt"] == 0o644

"""What the doctor says about SQLite files, and that it leaves them and their folder as they are."""

import os
import shutil
import sqlite3
from collections import namedtuple
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from quart_odds.doctor import Finding, Status, sqlite
from quart_odds.storage import migrate, network_files, open_store, revisions

Usage = namedtuple("Usage", "total used free")


def findings(path: Path | None) -> dict[str, Finding]:
    """Return the findings by their names."""
    return {each.check: each for each in sqlite.sqlite(path)}


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Check that no file of a folder is made, removed or written during the block."""

    def look() -> dict[str, tuple[int, bytes]]:
        return {each.name: (each.stat().st_mtime_ns, each.read_bytes()) for each in folder.iterdir()}

    before = look()
    yield
    assert look() == before


async def test_a_database_of_this_version_is_as_it_should_be(tmp_path: Path) -> None:
    """It is read without a trace."""
    path = tmp_path / "odds.db"
    await migrate(f"sqlite:///{path}")
    with unchanged(tmp_path):
        found = findings(path)
    assert {each.status for each in found.values()} == {Status.OK}, found
    assert found["database.revision"].facts["revision"] == revisions.head()
    assert found.keys() == {
        "database",
        "database.revision",
        "database.writable",
        "database.disk",
        "database.file_system",
    }


async def test_a_database_in_use_is_read_with_what_is_not_in_its_file_yet(tmp_path: Path) -> None:
    """The process that writes is named."""
    path = tmp_path / "odds.db"
    store = await open_store(f"sqlite:///{path}")
    try:
        assert await store.database.take_writer_lock()
        names = {each.name for each in tmp_path.iterdir()}
        found = findings(path)
        assert {each.name for each in tmp_path.iterdir()} == names
    finally:
        await store.aclose()
    holder = found["database.revision"].facts["writer"]
    assert holder
    assert f"; {holder} writes" in found["database.revision"].detail


def test_a_file_that_is_not_there_yet_is_no_fault(tmp_path: Path) -> None:
    """The first start makes it. The doctor does not."""
    found = findings(tmp_path / "odds.db")
    assert "the first start makes it" in found["database"].detail
    assert {each.status for each in found.values()} == {Status.OK}
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_has_no_tables_yet(tmp_path: Path) -> None:
    """It is no fault either."""
    (tmp_path / "odds.db").touch()
    with unchanged(tmp_path):
        found = findings(tmp_path / "odds.db")
    assert "no tables yet" in found["database.revision"].detail
    assert found["database.revision"].status is Status.OK


async def test_older_tables_are_a_warning_and_newer_ones_a_failure(tmp_path: Path) -> None:
    """Nothing is upgraded."""
    path = tmp_path / "odds.db"
    await migrate(f"sqlite:///{path}")
    for revision, check, status, said in (
        ("0001", "database.revision", Status.WARNING, "revision 0001, and this version has"),
        ("9999", "database", Status.FAILED, "a newer version of Quart Odds made this"),
    ):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
            connection.commit()
        with unchanged(tmp_path):
            found = findings(path)[check]
        assert (found.status, said in found.detail) == (status, True), found
        assert found.advice


@pytest.mark.parametrize("content", [b"not a database, whatever its name says" * 100, b"SQLite format 3\0" + b"x" * 99])
def test_another_file_is_no_database(content: bytes, tmp_path: Path) -> None:
    """It says so, and does not touch it."""
    (tmp_path / "odds.db").write_bytes(content)
    with unchanged(tmp_path):
        found = findings(tmp_path / "odds.db")["database"]
    assert found.status is Status.FAILED
    assert str(tmp_path / "odds.db") in found.detail


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """With the setting that names it."""
    found = findings(tmp_path / "no" / "odds.db")["database"]
    assert found.status is Status.FAILED
    assert "QUART_ODDS_DATABASE_URL" in str(found.advice)


def test_a_file_that_may_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights are asked of the system: root has all."""
    (tmp_path / "odds.db").touch()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "odds.db")
    found = findings(tmp_path / "odds.db")["database.writable"]
    assert (found.status, "odds.db cannot be written" in found.detail) == (Status.FAILED, True)


@pytest.mark.parametrize(
    ("free", "status"),
    [(5_000_000_000, Status.OK), (999_000_000, Status.WARNING), (99_000_000, Status.FAILED)],
)
def test_little_space_is_said(free: int, status: Status, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on a full disk cannot even clean up."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**10, 10**10 - free, free))
    found = findings(tmp_path / "odds.db")["database.disk"]
    assert (found.status, found.facts["free_bytes"]) == (status, free)


def test_a_network_file_system_fails_before_the_file_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that has gone away there would hold up whoever looks at the file."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 1 0:21 / / rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(network_files, "MOUNTS", mounts)
    found = findings(tmp_path / "odds.db")
    assert found.keys() == {"database.file_system"}
    assert found["database.file_system"].status is Status.FAILED
    assert found["database.file_system"].facts["kind"] == "nfs4"


def test_odds_in_memory_are_lost_at_the_end() -> None:
    """It is a warning."""
    assert findings(None)["database"].status is Status.WARNING

"""Checks of a SQLite file. It is opened so that not even the files beside it are made."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from quart_odds.doctor.findings import Finding, Status, failed, ok, warning
from quart_odds.doctor.tables import read_tables, revision_finding
from quart_odds.errors import StorageError
from quart_odds.storage.database_errors import translated
from quart_odds.storage.network_files import NETWORK_FILE_SYSTEMS, mount_of

SETTING = "QUART_ODDS_DATABASE_URL"
BUSY_SECONDS = 2.0
WARNING_FREE_BYTES = 1_000_000_000
FAILED_FREE_BYTES = 100_000_000
"""Less than a clean-up and a checkpoint of the write-ahead log may need for a moment."""


def sqlite(path: Path | None) -> list[Finding]:
    """Return what was found about the file of a SQLite database; None is a database in memory. Blocks."""
    if path is None:
        return [warning("database", "in memory: all odds are lost at the end", f"name a file in {SETTING}")]
    return list(_findings(path.absolute()))


def _findings(path: Path) -> Iterator[Finding]:
    mounted = _file_system(path)
    if mounted.status is not Status.OK:
        yield mounted  # looking at the file itself may take for ever there
        return
    folder = path.resolve().parent
    if not folder.is_dir():
        yield failed("database", f"{path}: the folder of this file does not exist", f"make it, or change {SETTING}")
        return
    if path.exists():
        yield from _file(path)
    else:
        yield ok("database", f"{path} does not exist yet: the first start makes it", exists=False)
    yield _writable(path, folder)
    yield _space(folder)
    yield mounted


def _file_system(path: Path) -> Finding:
    found = mount_of(path)
    if found is None:
        return ok("database.file_system", "not known: this system does not list what is mounted")
    place, kind = found
    if kind in NETWORK_FILE_SYSTEMS:
        return failed(
            "database.file_system",
            f"{path} is on a network file system ({kind} at {place}), where SQLite's locks do not work",
            f"use a file on a local disk, or PostgreSQL, in {SETTING}",
            kind=kind,
            place=place,
        )
    return ok("database.file_system", f"{kind}, mounted at {place}", kind=kind, place=place)


def _file(path: Path) -> Iterator[Finding]:
    url = make_url("sqlite://").set(database=str(path))
    engine = create_engine("sqlite://", creator=lambda: read_only(path), poolclass=NullPool)
    try:
        with translated(url), engine.connect() as connection:
            tables = read_tables(connection)
    except StorageError as error:
        yield failed("database", error.for_operator, f"check {SETTING}; docs/storage.md says how to restore a backup")
        return
    finally:
        engine.dispose()
    size = path.stat().st_size
    yield ok(
        "database", f"{path}, {size / 1e6:.1f} MB", exists=True, bytes=size, apprise_targets=tables.apprise_targets
    )
    yield revision_finding(tables)


def read_only(path: Path) -> sqlite3.Connection:
    """Open a SQLite file for reading, so that nothing is written."""
    # Without a write-ahead log nobody writes, and to read the file in the usual way would make one.
    alone = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro{alone}", uri=True, timeout=BUSY_SECONDS, check_same_thread=False
    )


def _writable(path: Path, folder: Path) -> Finding:
    check = "database.writable"
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return failed(check, f"{folder} is on a read-only file system", f"remount it, or change {SETTING}")
    for each in (folder, path):
        if each.exists() and not os.access(each, os.W_OK):
            return failed(check, f"{each} cannot be written by this user", f"chown or chmod it, or change {SETTING}")
    return ok(check, "this user may write the file and its folder")


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:.1f} GB free" if free >= 1e9 else f"{free / 1e6:.0f} MB free"
    advice = "free some space, or keep less history (QUART_ODDS_ODDS_RETENTION_DAYS)"
    if free < FAILED_FREE_BYTES:
        return failed("database.disk", detail, advice, free_bytes=free)
    if free < WARNING_FREE_BYTES:
        return warning("database.disk", detail, advice, free_bytes=free)
    return ok("database.disk", detail, free_bytes=free)

"""The copy of a SQLite database that is made before an upgrade changes its tables."""

import os
import shutil
import sqlite3
from itertools import count
from pathlib import Path

from quart_odds.errors import StorageError
from quart_odds.storage.private_files import OWNER_ONLY


def copy_beside(database: Path, revision: str) -> Path:
    """Copy a database to `<name>.before-<revision>` in the same folder, and return the path of the copy.

    If that name is taken, `-2`, `-3` and so on is appended. The copy contains everything that was committed, including
    what is still in the write-ahead log. Raises StorageError if the disk has too little space or the copy fails; no
    file is left behind then.
    """
    needed = _size(database)
    free = shutil.disk_usage(database.parent).free
    if free < needed:
        reason = (
            f"it is copied before its tables are upgraded, which takes {_megabytes(needed)}, and only "
            f"{_megabytes(free)} are free there: free some space and start again; nothing was changed"
        )
        raise StorageError(f"the database: {reason}", for_operator=f"{database}: {reason}")
    copy = _free_name(database, revision)
    try:
        # Created here because SQLite writes into an empty file and keeps its mode.
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, OWNER_ONLY))
        source = sqlite3.connect(database, isolation_level=None)
        try:
            source.execute("VACUUM INTO ?", (str(copy),))
        finally:
            source.close()
        _sync(copy)
    except BaseException as exc:
        copy.unlink(missing_ok=True)
        if isinstance(exc, (sqlite3.Error, OSError)):
            reason = f"it could not be copied to {copy.name} before its tables are upgraded"
            raise StorageError(
                f"the database: {reason}; nothing was changed",
                for_operator=f"{database}: {reason} ({exc}); nothing was changed",
            ) from exc
        raise
    return copy


def _size(database: Path) -> int:
    return sum(path.stat().st_size for path in (database, Path(f"{database}-wal")) if path.exists())


def _free_name(database: Path, revision: str) -> Path:
    first = database.with_name(f"{database.name}.before-{revision}")
    if not first.exists():
        return first
    return next(path for number in count(2) if not (path := first.with_name(f"{first.name}-{number}")).exists())


def _sync(path: Path) -> None:
    for each, flags in ((path, os.O_RDWR), (path.parent, os.O_RDONLY)):
        file = os.open(each, flags)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:,.1f} MB"

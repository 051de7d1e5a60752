"""File modes of a SQLite database: only the owner may read it, because it holds settings and all scraped data."""

import contextlib
import os
import stat
from pathlib import Path

import structlog

OWNER_ONLY = 0o600

_MAGIC = b"SQLite format 3\0"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

log = structlog.get_logger(__name__)


def keep_private(database: Path) -> None:
    """Create a database file if there is none, and remove the rights of other users from it and its companion files.

    Companion files are the write-ahead log, its index, and the file of the writer lock; SQLite creates its own with
    the mode of the database. A file that is not a database is not changed. Neither is a file of another user, which is
    logged. Other problems are left for the opening of the database to report.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(database, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, OWNER_ONLY))
    try:
        with database.open("rb") as file:
            is_ours = file.read(len(_MAGIC)) in (b"", _MAGIC)
    except OSError:
        return
    if is_ours:
        for path in (database, *(Path(f"{database}{ending}") for ending in ("-wal", "-shm", "-writer"))):
            _narrow(path)


def _narrow(path: Path) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OTHERS:
            path.chmod(mode & ~_OTHERS)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("storage.readable_by_others", file=str(path), reason=error.strerror or str(error))

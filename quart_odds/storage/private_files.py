"""Files of a SQLite database are for their owner alone: they hold settings and all that was ever scraped."""

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
    """Make a database's file, if there is none, and take others' rights from it and from the files beside it.

    SQLite gives the files that it makes beside a database the database's own mode. A file that is no database is left
    as it is, and so is one that belongs to somebody else, which is logged. What else is wrong shows when it is opened.
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

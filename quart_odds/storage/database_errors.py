"""Translation of database errors into StorageError, with one text that is safe to publish and one for the operator."""

import contextlib
from collections.abc import Iterator

from sqlalchemy import URL
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from quart_odds.domain.secrets import masked
from quart_odds.errors import StorageError
from quart_odds.storage.pooler import POOLED


@contextlib.contextmanager
def translated(url: URL) -> Iterator[None]:
    """Translate errors of the database or its driver that the block raises into StorageError."""
    try:
        yield
    except (SQLAlchemyError, OSError, TimeoutError) as exc:
        reason = (str(getattr(exc, "orig", None) or exc) or type(exc).__name__).splitlines()[0]
        advice = next((advice for words, advice in _ADVICE.items() if words in reason), None)
        sentence = masked(f"{advice} ({reason})" if advice else reason)
        raise StorageError(_public(url, exc, reason, advice), for_operator=f"{shown(url)}: {sentence}") from exc


def _public(url: URL, error: Exception, reason: str, advice: str | None) -> str:
    """Return the text that anyone may see. PostgreSQL's own messages name hosts, users, databases and files."""
    if url.get_backend_name() == "sqlite":
        words = error.strerror or type(error).__name__ if isinstance(error, OSError) else reason
        return f"{advice} ({words})" if advice else f"the database reports: {words}"
    if advice:
        return advice
    if isinstance(error, (IntegrityError, DataError)):
        return "the database refused the data; see the log for the reason"
    return "the database does not respond as it should; see the log for the reason"


def shown(url: URL) -> str:
    """Return a database URL for the operator: without the user, and with every password masked, wherever it occurs."""
    return masked(url.set(drivername=url.get_backend_name(), username=None, password=None).render_as_string())


_ADVICE = {
    "disk is full": "the disk is full: free some space, and writing resumes by itself",
    "No space left on device": "the disk is full: free some space, and writing resumes by itself",
    "disk I/O error": "the disk cannot be read or written: it may be full, read-only or failing",
    "could not extend file": "the server's disk is full: free some space, and writing resumes by itself",
    "readonly database": "the database cannot be written: its file, folder or disk is read-only",
    "Read-only file system": "the database cannot be written: its disk is read-only",
    "read-only transaction": "the server accepts no writes: connect to the primary, not to a replica",
    "unable to open database file": "the file cannot be opened or created: check its folder and its permissions",
    "file is not a database": "this file is not a Quart Odds database; it was not changed",
    "disk image is malformed": "the file is damaged: replace it with a backup (see docs/storage.md)",
    "prepared statement": POOLED,
    "TimeoutError": "the server does not answer in time: check that it can be reached, and how busy it is",
}
"""Advice for the operator, by a part of the database's error message."""


def is_refusal(error: Exception) -> bool:
    """Return whether the data itself caused the error, so that writing it again would fail again.

    After any other error, another attempt may succeed.
    """
    if not isinstance(error, StorageError):
        return True  # it was raised before the data reached the database
    cause = error.__cause__
    if isinstance(cause, (IntegrityError, DataError)):
        return True
    original = getattr(cause, "orig", None)
    state = getattr(original, "sqlstate", None) or ""
    # SQLSTATE class 22 is a data error, 23 a violated constraint. Values that the driver cannot encode have no state.
    return state[:2] in ("22", "23") or isinstance(getattr(original, "__cause__", None), ValueError)

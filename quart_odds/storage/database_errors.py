"""Translates errors of the databases into StorageError: one text for anyone, one for the operator."""

import contextlib
from collections.abc import Iterator

from sqlalchemy import URL
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from quart_odds.domain.secrets import masked
from quart_odds.errors import StorageError
from quart_odds.storage.pooler import POOLED


@contextlib.contextmanager
def translated(url: URL) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, OSError, TimeoutError) as exc:
        reason = (str(getattr(exc, "orig", None) or exc) or type(exc).__name__).splitlines()[0]
        advice = next((advice for words, advice in _ADVICE.items() if words in reason), None)
        sentence = masked(f"{advice} ({reason})" if advice else reason)
        raise StorageError(_public(url, exc, reason, advice), for_operator=f"{shown(url)}: {sentence}") from exc


def _public(url: URL, error: Exception, reason: str, advice: str | None) -> str:
    """What anyone may know of a database's error. PostgreSQL's own words name hosts, users, databases and files."""
    if url.get_backend_name() == "sqlite":
        words = error.strerror or type(error).__name__ if isinstance(error, OSError) else reason
        return f"{advice} ({words})" if advice else f"the database reports: {words}"
    if advice:
        return advice
    if isinstance(error, (IntegrityError, DataError)):
        return "the database refused what was to be stored; the log says why"
    return "the database does not answer as it should; the log says why"


def shown(url: URL) -> str:
    """A database's URL as an operator may see it: without its password, wherever that stands."""
    return masked(url.set(drivername=url.get_backend_name(), username=None, password=None).render_as_string())


_ADVICE = {
    "disk is full": "the disk is full: make room, and writing goes on by itself",
    "No space left on device": "the disk is full: make room, and writing goes on by itself",
    "disk I/O error": "the disk takes or gives nothing: it may be full, read-only or failing",
    "could not extend file": "the server's disk is full: make room, and writing goes on by itself",
    "readonly database": "the database cannot be written: its file, folder or disk is read-only",
    "Read-only file system": "the database cannot be written: its disk is read-only",
    "read-only transaction": "the server takes no writes: connect to the primary, not to a replica",
    "unable to open database file": "the file cannot be opened or made: look at its folder and its permissions",
    "file is not a database": "this file is not a database of Quart Odds, and was left as it is",
    "disk image is malformed": "the file is damaged: put a backup in its place (docs/storage.md says how)",
    "prepared statement": POOLED,
}
"""What to do about errors of the databases, by words of theirs."""


def is_refusal(error: Exception) -> bool:
    """Whether rows were refused for what they are, so that they would be again; else another try may help."""
    if not isinstance(error, StorageError):
        return True  # they never got as far as the database
    cause = error.__cause__
    if isinstance(cause, (IntegrityError, DataError)):
        return True
    original = getattr(cause, "orig", None)
    state = getattr(original, "sqlstate", None) or ""
    # 22: data, 23: constraints. What the driver could not encode has no state.
    return state[:2] in ("22", "23") or isinstance(getattr(original, "__cause__", None), ValueError)

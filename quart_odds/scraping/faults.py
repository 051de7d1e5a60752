"""The errors of a run: how exceptions are stored and published, and how often each kind occurred."""

from dataclasses import replace
from datetime import datetime

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunError
from quart_odds.errors import BookmakerError, DecoderError, StorageError
from quart_odds.scraping.schemas import ScrapeErrorContext


class Faults:
    """Counts errors by kind, and keeps the first of each kind as an example."""

    def __init__(self) -> None:
        self._first: dict[str, RunError] = {}

    def add(self, error: RunError) -> None:
        """Count an error."""
        seen = self._first.get(error.error_type)
        self._first[error.error_type] = error if seen is None else replace(seen, count=seen.count + error.count)

    def all(self) -> tuple[RunError, ...]:
        """Return each kind of error once, with its count, the most common first."""
        return tuple(sorted(self._first.values(), key=lambda error: -error.count))

    def commonest(self) -> RunError | None:
        """Return the most common kind of error; None if there were no errors."""
        return next(iter(self.all()), None)


def run_error(error: BaseException, platform: Platform | None = None, *, at: datetime | None = None) -> RunError:
    """Return an exception in the form in which it is stored and published."""
    at = at or utc_now()
    if isinstance(error, BookmakerError):
        return RunError(error.error_type, str(error), at, error.platform, error.where, error.recoverable)
    if isinstance(error, StorageError):
        return RunError("storage", str(error), at, platform, recoverable=True)
    if isinstance(error, DecoderError):
        return RunError("decoder", str(error), at, platform, recoverable=True)
    # The text of an unexpected exception may contain anything, so it goes only to the log.
    kind = type(error).__name__
    return RunError(kind.lower(), f"unexpected error of type {kind}; see the log for details", at, platform)


def error_context(error: RunError | None) -> ScrapeErrorContext | None:
    """Return a stored error in the form in which progress contains it."""
    if error is None:
        return None
    times = f" ({error.count} times)" if error.count > 1 else ""
    return ScrapeErrorContext(
        error_type=error.error_type,
        error_message=error.error_message + times,
        platform=error.platform,
        recoverable=error.recoverable,
    )

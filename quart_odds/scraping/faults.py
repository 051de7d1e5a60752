"""What went wrong in a run: exceptions as they are stored and published, and how often each kind happened."""

from dataclasses import replace
from datetime import datetime

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunError
from quart_odds.errors import BookmakerError, DecoderError, StorageError
from quart_odds.scraping.schemas import ScrapeErrorContext


class Faults:
    """What went wrong, one line a kind, counted; the first of each kind is the example."""

    def __init__(self) -> None:
        self._first: dict[str, RunError] = {}

    def add(self, error: RunError) -> None:
        """Count an error."""
        seen = self._first.get(error.error_type)
        self._first[error.error_type] = error if seen is None else replace(seen, count=seen.count + error.count)

    def all(self) -> tuple[RunError, ...]:
        """Each kind once, with its count, the commonest first."""
        return tuple(sorted(self._first.values(), key=lambda error: -error.count))

    def commonest(self) -> RunError | None:
        """The kind that happened most; None when all went well."""
        return next(iter(self.all()), None)


def run_error(error: BaseException, platform: Platform | None = None, *, at: datetime | None = None) -> RunError:
    """An exception as it is kept and told."""
    at = at or utc_now()
    if isinstance(error, BookmakerError):
        return RunError(error.error_type, str(error), at, error.platform, error.where, error.recoverable)
    if isinstance(error, StorageError):
        return RunError("storage", str(error), at, platform, recoverable=True)
    if isinstance(error, DecoderError):
        return RunError("decoder", str(error), at, platform, recoverable=True)
    # Nobody knows what stands in the text of an error that nobody foresaw: that is for the log.
    kind = type(error).__name__
    return RunError(kind.lower(), f"an error that was not foreseen, {kind}; the log says more", at, platform)


def error_context(error: RunError | None) -> ScrapeErrorContext | None:
    """A kept error as progress tells it."""
    if error is None:
        return None
    times = f" ({error.count} times)" if error.count > 1 else ""
    return ScrapeErrorContext(
        error_type=error.error_type,
        error_message=error.error_message + times,
        platform=error.platform,
        recoverable=error.recoverable,
    )

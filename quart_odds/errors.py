"""All errors, in one tree.

QuartOddsError
├── SettingsError            a setting is wrong or unknown
├── MissingExtraError        a package that an extra installs is missing
├── BookmakerError           a bookmaker did not answer as expected
│   ├── UnreachableError         no connection, name not resolved, timeout, connection cut
│   │   └── EmptyBodyError           a successful response without a body
│   ├── BlockedError             refused: 202, 401, 403, 405, or an HTML page instead of JSON
│   ├── RateLimitedError         429
│   ├── ServerFaultError         5xx
│   ├── NotFoundError            this event is gone
│   ├── MalformedBodyError       not JSON, truncated JSON, JSON of the wrong shape, a body too large
│   ├── IncompleteListError      a list that lacks events, or that changed while it was read
│   │   └── ListLimitError           more pages, competitions or events than any bookmaker has
│   ├── CacheFullError            more events, or prices, than any bookmaker has
│   └── NothingFoundError        a discovery that found no events
├── DecoderError             the decoding processes cannot be started, or do not answer
├── RunActiveError           a run was requested while another is active
├── RunNotFoundError         no run has this id
│   └── RunFoldedError           the run was a sweep, and only hourly figures of it are left
├── RunStateError            the request does not make sense for a run in this state
├── TooSoonError             the same thing was done a moment ago
├── AlertInputError          a target or a rule of alerts cannot be as it was given
├── AlertItemNotFoundError   no target, or no rule, has this id
├── DeliveryError            an attempt to deliver an alert failed
├── AccessTokenError         a token cannot be made or revoked as asked
├── IssuerUnavailableError   the keys of the issuer of JWTs are not known yet
├── WriterUnavailableError   the process that writes cannot be reached through Redis
├── RecordingError           a folder is not a recording of bookmakers' bodies
├── LogStalledError          the log between processes does not go on from where this one is
├── ReplicationError         an operation or a snapshot of the cache is malformed, or of another version
├── WorkersError             no worker process can be started
└── StorageError             the database is slow, locked, full or gone
    └── NotWriterError           another process writes to the database; this one may only read
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

from quart_odds.domain.platforms import Platform


class QuartOddsError(Exception):
    """Base of all errors that Quart Odds raises on purpose.

    The text may be shown to any client. `for_operator` is for the log and the command line.
    """

    @property
    def for_operator(self) -> str:
        """The text with details that only operators may see, such as the path of a database. Contains no passwords."""
        return str(self)


class MissingExtraError(QuartOddsError):
    """Raised when something needs packages that an extra of Quart Odds installs, and they are not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(what, extra)
        self.what = what
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.what} needs the extra {self.extra}: pip install 'quart-odds[{self.extra}]'"


class SettingsError(QuartOddsError):
    """Raised when a setting is wrong or unknown. The message names the setting and says what is allowed."""


class BookmakerError(QuartOddsError):
    """Raised when a bookmaker did not answer as expected.

    `error_type` names the error in progress, database rows and the API. `recoverable` says whether an early retry could
    help. `where` is the event or competition concerned, if any. `field` is the part of the body concerned.
    """

    error_type = "bookmaker"
    recoverable = True

    def __init__(
        self,
        platform: Platform,
        reason: str,
        *,
        where: str | None = None,
        field: str | None = None,
        status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(platform, reason)
        self.platform = platform
        self.reason = reason
        self.where = where
        self.field = field
        self.status = status
        self.retry_after_seconds = retry_after_seconds

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword arguments when an error is pickled in a decoding process."""
        return (_rebuild, (type(self), self.platform, self.reason, self.__dict__.copy()))

    def bare(self) -> Self:
        """Return this error without its traceback and causes: their frames would keep bodies in memory."""
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self

    def __str__(self) -> str:
        at = f" at {self.where}" if self.where else ""
        part = f" in {self.field}" if self.field else ""
        return f"{self.platform.display_name}{at}: {self.reason}{part}"


def _rebuild(kind: type[BookmakerError], platform: Platform, reason: str, state: dict[str, object]) -> BookmakerError:
    error = kind(platform, reason)
    error.__dict__.update(state)
    return error


class UnreachableError(BookmakerError):
    """Raised when a connection could not be made, or was cut, or when the response took too long."""

    error_type = "unreachable"


class EmptyBodyError(UnreachableError):
    """Raised when a bookmaker sends a successful response without a body. It says nothing, so a retry may help."""

    error_type = "empty_body"


class BlockedError(BookmakerError):
    """Raised when a bookmaker refuses us: 401 or 403, its firewall's 202 or 405, or an HTML page instead of JSON."""

    error_type = "blocked"
    recoverable = False


class RateLimitedError(BookmakerError):
    """Raised when a bookmaker answers 429. `retry_after_seconds` is the wait it asked for, if any."""

    error_type = "rate_limited"


class ServerFaultError(BookmakerError):
    """Raised when a bookmaker answers with a status of 500 or higher."""

    error_type = "server_fault"


class NotFoundError(BookmakerError):
    """Raised when an event no longer exists at a bookmaker."""

    error_type = "not_found"
    recoverable = False


class MalformedBodyError(BookmakerError):
    """Raised when a body is not JSON, is truncated or too large, or has a shape that the parser does not know."""

    error_type = "malformed_body"


class IncompleteListError(BookmakerError):
    """Raised when a list has fewer events than the bookmaker counts, or changed while its pages were read."""

    error_type = "incomplete_list"


class ListLimitError(IncompleteListError):
    """Raised when a list is longer than that of any real bookmaker. Everything beyond the limit is left out."""

    error_type = "list_limit"


class CacheFullError(BookmakerError):
    """Raised when a bookmaker has more events or prices than any real one. Everything beyond the limit is dropped."""

    error_type = "too_much"


class NothingFoundError(BookmakerError):
    """Raised when a discovery found no events. A bookmaker always has some, so something is wrong."""

    error_type = "nothing_found"


class DecoderError(QuartOddsError):
    """Raised when the processes that decode bodies cannot be started, do not answer, or are closed."""


class RunActiveError(QuartOddsError):
    """Raised when a run is requested while another is active. `scrape_run_id` is that of the active run."""

    def __init__(self, scrape_run_id: int) -> None:
        super().__init__(scrape_run_id)
        self.scrape_run_id = scrape_run_id

    def __str__(self) -> str:
        return f"run {self.scrape_run_id} is active; wait for it, or cancel it"


class RunNotFoundError(QuartOddsError):
    """Raised when no run has this id."""

    def __init__(self, scrape_run_id: int) -> None:
        super().__init__(scrape_run_id)
        self.scrape_run_id = scrape_run_id

    def __str__(self) -> str:
        return f"there is no run {self.scrape_run_id}"


class RunFoldedError(RunNotFoundError):
    """Raised when a run was a sweep of which only hourly figures are left. `hour` is when that hour began, in UTC."""

    def __init__(self, scrape_run_id: int, hour: datetime) -> None:
        super().__init__(scrape_run_id)
        self.hour = hour

    def __str__(self) -> str:
        return (
            f"run {self.scrape_run_id} was a sweep of {self.hour:%Y-%m-%d %H:%M} UTC; "
            "sweeps are kept for a day and then folded into hourly figures"
        )


class RunStateError(QuartOddsError):
    """Raised when a request makes no sense for a run in its state: to cancel a finished run, or retry a running one."""


class TooSoonError(QuartOddsError):
    """Raised when the same thing was done a moment ago. `retry_after_seconds` is the time until it is allowed again."""

    def __init__(self, reason: str, retry_after_seconds: float) -> None:
        super().__init__(reason, retry_after_seconds)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return self.reason


class AlertInputError(QuartOddsError):
    """Raised when a target or a rule of alerts cannot be as it was given. The reason says what is allowed.

    `faults` has each field of a rule's `when` that is wrong, and why; the field is empty for the whole of it.
    """

    def __init__(self, field: str, reason: str, *, faults: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class AlertItemNotFoundError(QuartOddsError):
    """Raised when no target, or no rule, has this id. `item` is "target" or "rule"."""

    def __init__(self, item: str, item_id: int) -> None:
        super().__init__(item, item_id)
        self.item = item
        self.item_id = item_id

    def __str__(self) -> str:
        return f"there is no {self.item} {self.item_id}"


class DeliveryError(QuartOddsError):
    """Raised when an attempt to deliver an alert failed. The reason contains no part of the URL that may be secret."""


class AccessTokenError(QuartOddsError):
    """Raised when a token cannot be made or revoked as asked."""


class IssuerUnavailableError(QuartOddsError):
    """Raised when a JWT cannot be checked, because the keys of its issuer are not known yet."""


class WriterUnavailableError(QuartOddsError):
    """Raised when a request could not be passed on to the process that writes. Says whether it was carried out."""


class RecordingError(QuartOddsError):
    """Raised when a folder is not a recording of bookmakers' bodies."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(folder, reason)
        self.folder = folder
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.folder} is no recording: {self.reason}"


class ReplicationError(QuartOddsError):
    """Raised when something on the log between processes is malformed, of another version, or does not fit this one."""


class LogStalledError(QuartOddsError):
    """Raised when the log between processes is there, but does not go on from where this one is."""


class WorkersError(QuartOddsError):
    """Raised when no worker process of a server can be started."""


class StorageError(QuartOddsError):
    """Raised when a database operation failed. The reason names no host, user or path."""

    def __init__(self, reason: str, *, for_operator: str | None = None) -> None:
        super().__init__(reason)
        self._for_operator = for_operator

    @property
    def for_operator(self) -> str:
        """See QuartOddsError."""
        return self._for_operator or str(self)


class NotWriterError(StorageError):
    """Raised when another process holds the writer lock of the database, or has taken it over from this one."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or "another process writes to this database: this one takes over when that one ends")

"""All errors that this package raises, in one tree.

ClientError
├── AddressError             the text given is not the address of a server
├── TokenError               the text given cannot be a token
├── ConnectionRefused        the server answered, and does not let this client listen
├── ServerUnreachableError   there is no server, or it does not answer
├── ProtocolError            the server answers, but not as Quart Odds does
├── MissingPandasError       a data frame was asked for, and pandas is not installed
└── ApiError                 the API answered with an error
    ├── InvalidRequestError      400, 413, 422: a parameter is wrong
    ├── AccessError              401, 403, 421: a token is missing or wrong, or this may not be done
    ├── NotFoundError            404: there is no such event or run
    ├── ConflictError            409: for example, a run is active already
    ├── TooSoonError             429: wait first
    └── ServerFaultError         5xx: the server cannot answer now
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json


class FieldProblem(BaseModel):
    """A parameter that is wrong, and what is wrong with it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    field: str
    message: str


class Problem(BaseModel):
    """What a server says about an error: a body of RFC 9457. Its other members are in `model_extra`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    title: str = ""
    status: int | None = None
    detail: str = ""
    errors: tuple[FieldProblem, ...] = ()

    def __str__(self) -> str:
        said = self.detail or self.title
        fields = "; ".join(f"{each.field}: {each.message}" for each in self.errors)
        return f"{said} ({fields})" if said and fields else said or fields


class ClientError(Exception):
    """Base of all errors that this package raises on purpose. Their texts contain no password and no token."""


class AddressError(ClientError, ValueError):
    """Raised when a text is not the address of a server, such as `http://127.0.0.1:8000`."""


class TokenError(ClientError, ValueError):
    """Raised when a text cannot be sent as a token. The message does not show it."""


class ConnectionRefused(ClientError):  # noqa: N818 - what the operating system calls it, too
    """Raised when a server does not let this client listen: another attempt would have the same result.

    `status` is the HTTP status, None if the connection was closed after the handshake. `code` is then the code of the
    close frame. `problem` is what the server said, None if it said nothing that can be read.
    """

    def __init__(
        self, where: str, *, status: int | None = None, code: int | None = None, problem: Problem | None = None
    ) -> None:
        super().__init__(where, status, code, problem)
        self.where = where
        self.status = status
        self.code = code
        self.problem = problem

    @property
    def detail(self) -> str:
        """What the server said, empty if it said nothing."""
        return "" if self.problem is None else str(self.problem)

    def __str__(self) -> str:
        number = f"status {self.status}" if self.status is not None else f"close code {self.code}"
        said = f": {self.detail}" if self.detail else ""
        return f"{self.where} refuses the connection: {number}{said}"


class ServerUnreachableError(ClientError):
    """Raised when there is no server at the address, or it does not answer. `reason` says why."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return f"there is no Quart Odds server at {self.where}: {self.reason}"


class ProtocolError(ClientError):
    """Raised when a server answers, but not as Quart Odds does. `reason` says what is wrong."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.where} answers, but not as Quart Odds does: {self.reason}"


class MissingPandasError(ClientError, ImportError):
    """Raised when a data frame was asked for, and pandas is not installed."""

    def __str__(self) -> str:
        return "to_dataframe() needs pandas: pip install 'quart-odds-client[pandas]'"


class ApiError(ClientError):
    """Raised when the API answers with an error. `status` is the HTTP status, `problem` what the server said."""

    def __init__(self, where: str, status: int, problem: Problem, retry_after_seconds: float | None = None) -> None:
        super().__init__(where, status, problem, retry_after_seconds)
        self.where = where
        self.status = status
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return f"{self.where} answers {self.status}: {self.problem}".removesuffix(": ")


class InvalidRequestError(ApiError):
    """Raised when a parameter is wrong. `problem.errors` names each of them."""


class AccessError(ApiError):
    """Raised when a token is missing or wrong, or the server does not let this client do this."""


class NotFoundError(ApiError):
    """Raised when there is no such event or run."""


class ConflictError(ApiError):
    """Raised when the state of the server does not allow it, for example because a run is active already."""

    @property
    def scrape_run_id(self) -> int | None:
        """The id of the run that is in the way, None if the server did not name one."""
        found = (self.problem.model_extra or {}).get("scrape_run_id")
        return found if isinstance(found, int) else None


class TooSoonError(ApiError):
    """Raised when the same was done a moment ago. `retry_after_seconds` says how long to wait, if the server does."""


class ServerFaultError(ApiError):
    """Raised when the server cannot answer now. `retry_after_seconds` says how long to wait, if the server does."""


_KINDS: Mapping[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: AccessError,
    403: AccessError,
    404: NotFoundError,
    409: ConflictError,
    413: InvalidRequestError,
    421: AccessError,
    422: InvalidRequestError,
    429: TooSoonError,
}


def problem_of(body: bytes) -> Problem | None:
    """Return the problem in the body of a response; None if it is not one."""
    try:
        value: Any = from_json(body)
        return Problem.model_validate(value) if isinstance(value, dict) else None
    except (ValueError, ValidationError):
        return None


def api_error(where: str, status: int, body: bytes, retry_after: str | None) -> ApiError:
    """Return the error for a response with this status, body and `Retry-After`."""
    kind = _KINDS.get(status, ServerFaultError if status >= 500 else ApiError)
    seconds = float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
    return kind(where, status, problem_of(body) or Problem(), seconds)

"""HTTP errors as `application/problem+json` (RFC 9457), all made here."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from pydantic import ValidationError
from quart import Response, has_request_context, has_websocket_context, request, websocket
from quart_schema import RequestSchemaValidationError
from quart_schema.validation import QuerystringValidationError
from werkzeug.exceptions import HTTPException

from quart_odds.errors import (
    AlertInputError,
    AlertItemNotFoundError,
    BookmakerError,
    IssuerUnavailableError,
    MissingExtraError,
    NotWriterError,
    QuartOddsError,
    RunActiveError,
    RunNotFoundError,
    RunStateError,
    StorageError,
    TooSoonError,
    WriterUnavailableError,
)
from quart_odds.routes.access.refusals import refusals

if TYPE_CHECKING:
    from quart import Quart

CONTENT_TYPE = "application/problem+json"

MESSAGES = {
    "extra_forbidden": "is not known",
    "missing": "is required",
    "model_type": "send a JSON object",
}
"""Messages that replace pydantic's own, by the type of the error."""

LOGGED_REFUSALS = frozenset({403, 408, 413, 421, 429})
"""Statuses below 500 that are logged: they may point to an attack, or to a proxy not set up as in docs/deploy.md."""


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """Raised by a route to answer with a problem. `errors` names each bad field: `{"field", "message"}`.

    `extra` adds members to the body, and `headers` adds headers to the response.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, object]] = (),
        extra: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the response."""
        body: dict[str, object] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": _path(),
            **self.extra,
        }
        if self.errors:
            body["errors"] = [dict(error) for error in self.errors]
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(orjson.dumps(body), self.status, headers, content_type=CONTENT_TYPE)


def bad_request(detail: str, *errors: tuple[str, str]) -> Problem:
    """Return a 400 that names each bad field and what is wrong with it."""
    return Problem(400, "Bad request", detail, errors=[{"field": field, "message": text} for field, text in errors])


def problem_of(error: Exception) -> Problem:
    """Return the problem that answers an error."""
    match error:
        case Problem():
            return error
        case AlertInputError():
            return bad_request("The request body is not valid.", (error.field, error.reason))
        case AlertItemNotFoundError():
            return Problem(404, f"No such {error.item}", str(error))
        case RunNotFoundError():
            return Problem(404, "No such run", str(error))
        case RunActiveError():
            return Problem(409, "A run is active", str(error), extra={"scrape_run_id": error.scrape_run_id})
        case RunStateError():
            return Problem(409, "Not in this state", str(error))
        case TooSoonError():
            seconds = max(1, math.ceil(error.retry_after_seconds))
            return Problem(429, "Too soon", str(error), headers={"Retry-After": str(seconds)})
        case NotWriterError():
            return Problem(503, "This server does not write", str(error), headers={"Retry-After": "5"})
        case IssuerUnavailableError():
            return Problem(503, "The issuer is not available", str(error), headers={"Retry-After": "2"})
        case WriterUnavailableError():
            return Problem(503, "The writer is not available", str(error), headers={"Retry-After": "2"})
        case StorageError():
            return Problem(503, "The database is not available", str(error), headers={"Retry-After": "5"})
        case MissingExtraError():
            return Problem(501, "Not installed", str(error))
        case BookmakerError():
            return Problem(502, "A bookmaker did not answer as it should", str(error))
        case QuartOddsError():
            return Problem(500, "Something went wrong", str(error))
        case RequestSchemaValidationError():
            return _of_validation(error)
        case HTTPException():
            return _of_werkzeug(error)
        case _:
            return Problem(500, "Internal error", "The server failed; its log says why.")


def log_problem(problem: Problem, error: Exception) -> None:
    """Count a problem, and log what an operator should know of it.

    That is one line for an expected refusal, and a traceback for an unexpected error.
    """
    refusals.count(problem.title.lower().replace(" ", "_").replace("'", ""))
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        refusals.tell("request.failed", str(problem.status), path=_path(), status=problem.status, exc_info=error)
    elif problem.status > HTTPStatus.INTERNAL_SERVER_ERROR or problem.status in LOGGED_REFUSALS:
        reason = error.for_operator if isinstance(error, QuartOddsError) else problem.detail
        refusals.tell("request.refused", str(problem.status), path=_path(), status=problem.status, reason=reason)


def init_app(app: "Quart") -> None:
    """Answer every error of this app with a problem."""

    async def answer(error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.code is not None and error.code < 400:
            redirect = error.get_response()
            return Response(redirect.get_data(), redirect.status_code, dict(redirect.headers))
        problem = problem_of(error)
        log_problem(problem, error)
        return problem.response()

    app.register_error_handler(Exception, answer)


def _of_validation(error: RequestSchemaValidationError) -> Problem:
    is_query = isinstance(error, QuerystringValidationError)
    faults = error.validation_error.errors() if isinstance(error.validation_error, ValidationError) else []
    errors: list[tuple[str, str]] = []
    for fault in faults:
        # Items of a repeated parameter share its name. Items of a list in a body are named by their index.
        where = (fault["loc"][:1] if is_query else fault["loc"]) or ("body",)
        message = MESSAGES.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        errors.append((".".join(map(str, where)), message))
    return bad_request("The query string is not valid." if is_query else "The request body is not valid.", *errors)


def _of_werkzeug(error: HTTPException) -> Problem:
    status = error.code or 500
    headers = {}
    if (allowed := getattr(error, "valid_methods", None)) is not None:
        headers["Allow"] = ", ".join(sorted(allowed))
    title = HTTPStatus(status).phrase
    return Problem(status, title, error.description or title, headers=headers)


def _path() -> str:
    if has_request_context():
        return request.root_path + request.path
    return websocket.root_path + websocket.path if has_websocket_context() else ""

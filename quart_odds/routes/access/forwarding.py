"""Requests that only the writer can carry out: other processes forward them, or refuse them with the reason.

The access checks come first, at the process that received the request. The writer does not repeat those that depend on
the connection, which ends at the other process: see `FORWARDED`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import structlog
from quart import Response, request

from quart_odds.cluster.commands import Command
from quart_odds.errors import NotWriterError, WriterUnavailableError
from quart_odds.routes.access.requester import REQUESTER, requester
from quart_odds.routes.access.same_origin import FORWARDED
from quart_odds.services import services

CARRIED_OUT_BY_WRITER = "__carried_out_by_writer__"
"""The attribute of a view that `carried_out_by_writer` has wrapped."""

TRIGGER = "quart_odds.trigger"
"""The scope key of the trigger of a run that another process starts by command."""

HEADERS = ("accept", "content-type", "host")
"""The headers that are forwarded. Others say something about the client or its connection."""

ASK_SECONDS = 2.0
"""How long the writer may take to answer a request that this process can answer itself, if less well."""

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


def carried_out_by_writer(view: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R | Response]]:
    """Return the view, which a process that does not write forwards to the writer, below `same_origin_only`.

    Without an engine such a process raises NotWriterError, which is answered with 503.
    """

    @wraps(view)
    async def carried_out(*args: P.args, **kwargs: P.kwargs) -> R | Response:
        if await is_for_writer():
            query = request.query_string.decode("latin-1")
            body = bytes(await request.body)
            response = await forwarded(request.method, request.path, query=query, body=body)
            await _renew_reports()
            return response
        answer = await view(*args, **kwargs)
        if FORWARDED in (request.scope or {}):
            await _renew_reports()
        return answer

    setattr(carried_out, CARRIED_OUT_BY_WRITER, True)
    return carried_out


async def is_for_writer() -> bool:
    """Return whether another process has to carry out the current request, which can be forwarded to it.

    If there is no writer, this process takes over. Raises NotWriterError if the request cannot be forwarded, and
    StorageError.
    """
    parts = services()
    if parts.odds_service.is_writer:
        return False
    try:
        await parts.odds_service.take_over()
    except NotWriterError:
        if parts.commands is None or FORWARDED in (request.scope or {}):
            raise
        return True
    return False


async def forwarded(method: str, path: str, *, query: str = "", body: bytes = b"", trigger: str = "") -> Response:
    """Return the writer's answer to a request. Its headers are those of the current request, as far as they matter.

    Raises WriterUnavailableError.
    """
    commands = services().commands
    assert commands is not None
    headers = tuple((name, request.headers[name]) for name in HEADERS if name in request.headers)
    marks = {FORWARDED: "yes", REQUESTER: requester()} | ({TRIGGER: trigger} if trigger else {})
    answer = await commands.send(Command(method, path, query, headers, body, marks))
    response = Response(answer.body, answer.status)
    response.headers.clear()
    for name, value in answer.headers:
        response.headers.add(name, value)
    response.headers["Content-Length"] = str(len(answer.body))
    return response


async def asked_of_writer() -> Response | None:
    """Return the writer's answer to the current request, which only reads.

    None if this process writes itself, or gets no answer within ASK_SECONDS: then it answers with what it knows.
    """
    parts = services()
    is_ours = parts.store.writer_row.holder == parts.store.holder
    if is_ours or parts.commands is None or FORWARDED in (request.scope or {}):
        return None
    try:
        async with asyncio.timeout(ASK_SECONDS):
            return await forwarded("GET", request.path, query=request.query_string.decode("latin-1"))
    except (WriterUnavailableError, TimeoutError) as error:
        log.debug("forwarding.writer_not_asked", path=request.path, reason=str(error) or "no answer")
        return None


async def _renew_reports() -> None:
    """Let a client see at the process that it asked what the writer has done: the writer tells, then that one reads."""
    reports = services().reports
    if reports is not None:
        await reports.renew()


def trigger_of_request(default: str) -> str:
    """Return the trigger of a run that the current request starts."""
    return str((request.scope or {}).get(TRIGGER, default))

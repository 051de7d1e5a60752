"""Server-sent events: a run's own stream, and `/api/sse`, the WebSocket's twin. docs/protocol.md is the contract."""

import math
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import orjson
from quart import Blueprint, Response, request

from quart_odds.access.values import Grant
from quart_odds.broadcast import Flusher, ResumePosition, Sink, Subscriber, current_registry
from quart_odds.broadcast.event_log import split_cursor
from quart_odds.broadcast.framing import BLOCK, CHUNK, Framing, sse_block, sse_retry
from quart_odds.broadcast.lane import LiveConnection, MailboxSink, StreamSink, live_connection
from quart_odds.domain.runs import RunRecord, RunStatus
from quart_odds.errors import NotWriterError, ReplicationError, RunActiveError, TooSoonError, WriterUnavailableError
from quart_odds.odds.watched import read_watched
from quart_odds.routes.access.forwarding import forwarded, is_for_writer
from quart_odds.routes.access.gate import grant_of
from quart_odds.routes.access.limits import Client, TooManyConnectionsError
from quart_odds.routes.access.problems import Problem, bad_request
from quart_odds.routes.access.refusals import refusals
from quart_odds.routes.access.same_origin import check_room, client_of, same_origin_only
from quart_odds.routes.api.openapi import answers_empty, answers_problems, answers_text
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.live.handshake import (
    asked_filter,
    begin_connection,
    handshake_message,
    split_topics,
    until_reached,
)
from quart_odds.routes.live.place import Listening, LivePlace
from quart_odds.routes.live.query import CursorQuery, StartQuery, TopicsQuery
from quart_odds.scraping.broadcaster import ProgressBroadcaster
from quart_odds.scraping.outcome import terminal_progress
from quart_odds.services import Services, services
from quart_odds.websocket.messages import gap_message
from quart_odds.websocket.odds_filter import FILTER_FIELDS, FilterError

RETRY_MS = 2000
"""How long an EventSource waits before it reconnects; randomised, so that clients do not all return at once."""

MOST_RETRY_MS = 10_000

_RUN_EPOCH = re.compile(r"r([0-9]{1,18})-[0-9a-z]+")

STREAM = "api-stream"
"""The trigger of runs that a stream starts."""

HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
"""A proxy that compresses (a transform) or buffers a stream would hold its messages back."""

_OVER = "The run is over, and the client has its end. An EventSource stops."
_MESSAGES = (
    "retry: 2600\n\nevent: connection_ack\nid: cc52dbce-8817\n"
    'data: {"type":"connection_ack","timestamp":"2026-11-22T10:00:00.123Z","data":{"topics":["odds_updates"],'
    '"epoch":"cc52dbce","recovered":true,"cursor":"cc52dbce-8817"}}\n\n'
)
_PROGRESS = (
    "retry: 2600\n\nid: r7-cc52dbce-3\n"
    'data: {"platform":null,"phase":"scraping","current":20,"total":60,"events_count":20,"duration_ms":null,'
    '"message":"20 of 60 events","timestamp":"2026-11-22T10:00:00.123Z","scrape_run_id":7,"elapsed_ms":4200,'
    '"remaining_ms":8400,"error":null,"mode":"full","slowed":null}\n\n'
)

blueprint = Blueprint("sse", __name__)

Connect = Callable[[Sink, Framing], tuple[Subscriber, Flusher]]


@blueprint.get("/api/sse")
@takes_query(TopicsQuery)
@answers_text("text/event-stream", description="Messages, without end.", example=_MESSAGES)
@answers_problems(503)
async def listen(query: TopicsQuery) -> Response:
    """Stream all topics over SSE: the same envelopes and cursors as `/api/ws`."""
    parts = services()
    topics, unknown = split_topics(query.topics)
    if not topics:
        raise bad_request(
            "None of these topics exists.", *[("topics", f"there is no topic {each!r}") for each in unknown]
        )
    try:
        filtered = asked_filter(topics, query.model_dump(include=set(FILTER_FIELDS)))
    except FilterError as error:
        raise bad_request("This filter is not possible.", (error.field, error.reason)) from None
    registry = current_registry()
    number, connection_id = begin_connection(registry)
    cursor = asked_cursor(query)
    await until_reached(parts, cursor)

    def connect(sink: Sink, framing: Framing) -> tuple[Subscriber, Flusher]:
        place = registry.place(cursor, topics, filtered)
        subscriber = registry.connect(
            sink,
            framing,
            topics=topics,
            filtered=filtered,
            place=place,
            handshake=handshake_message(topics, place, filtered, connection_id),
            number=number,
        )
        return subscriber, registry.flusher

    watched = read_watched(query.watch) | (filtered.event_ids if filtered is not None else frozenset())
    return await _stream(parts, connect, connection_id, is_resumed=cursor is not None, watched=watched)


@blueprint.get("/api/scrape/stream")
@same_origin_only
@takes_query(StartQuery)
@answers_text("text/event-stream", description="The progress of a run, to its end.", example=_PROGRESS)
@answers_empty(204, _OVER)
@answers_problems(404, 409, 503)
async def start_and_observe(query: StartQuery) -> Response:
    """Start a run, or attach to the active one of its mode, and stream its progress.

    A request with a cursor only resumes.
    """
    parts = services()
    if (cursor := asked_cursor(query)) is not None:
        return await _resume(parts, _run_of(cursor), cursor)
    if request.method == "HEAD":
        return Response("", headers=HEADERS, content_type="text/event-stream")
    if (refusal := _no_room(parts, is_resumed=False)) is not None:
        return refusal
    try:
        if await is_for_writer():
            body = orjson.dumps({"mode": str(query.mode)})
            return await _observe_started(parts, await forwarded("POST", "/api/scrape", body=body, trigger=STREAM))
        run = await parts.runs.start(STREAM, mode=query.mode)
    except (NotWriterError, WriterUnavailableError):
        if "text/event-stream" not in request.headers.get("Accept", ""):
            raise
        return _come_back(random.randint(RETRY_MS, MOST_RETRY_MS))
    except RunActiveError as error:
        return await _observe(parts, error.scrape_run_id, None)
    except TooSoonError as error:
        # An EventSource that gets an error status never reconnects.
        return _come_back(math.ceil(error.retry_after_seconds * 1000))
    return await _stream_run(parts, run.broadcaster, None)


async def _observe_started(parts: Services, answer: Response) -> Response:
    """Stream the progress of the run that the writer has started for this process, or that was active there."""
    body = await answer.get_json() if answer.status_code in (202, 409, 429) else {}
    if answer.status_code in (202, 409) and "scrape_run_id" in body:
        return await _observe(parts, body["scrape_run_id"], None)
    if answer.status_code == 429:
        return _come_back(1000 * int(answer.headers.get("Retry-After", "2")))
    return answer


@blueprint.get("/api/scrape/runs/<int:scrape_run_id>/progress")
@takes_query(CursorQuery)
@answers_text("text/event-stream", description="The progress of a run, to its end.", example=_PROGRESS)
@answers_empty(204, _OVER)
@answers_problems(409, 503)
async def observe(scrape_run_id: int, query: CursorQuery) -> Response:
    """Observe a run: from its start or from a cursor while it is in memory, otherwise only its end.

    The end is the terminal progress, rebuilt from the run's row.
    """
    cursor = asked_cursor(query)
    if cursor is None:
        return await _observe(services(), scrape_run_id, None)
    if _run_of(cursor) != scrape_run_id:
        raise bad_request(
            "The cursor belongs to another run.",
            ("last_event_id", f"{cursor!r} does not belong to run {scrape_run_id}"),
        )
    return await _resume(services(), scrape_run_id, cursor)


def asked_cursor(query: CursorQuery) -> str | None:
    """Return the cursor of the request: from the header of an EventSource that reconnects, or from the query."""
    return request.headers.get("Last-Event-ID") or query.last_event_id or query.since or None


def _run_of(cursor: str) -> int:
    parts = split_cursor(cursor)
    found = _RUN_EPOCH.fullmatch(parts[0]) if parts else None
    if found is None:
        raise bad_request(
            "This is not the cursor of a run.", ("last_event_id", f"{cursor[:80]!r} is not of the form r1-…-1")
        )
    return int(found[1])


async def _resume(parts: Services, scrape_run_id: int, cursor: str) -> Response:
    broadcaster = await _broadcaster(parts, scrape_run_id)
    is_over = broadcaster is None or broadcaster.is_completed
    if is_over and cursor in (_row_cursor(scrape_run_id), broadcaster and broadcaster.end_cursor):
        return Response("", 204)
    return await _observe(parts, scrape_run_id, cursor)


async def _observe(parts: Services, scrape_run_id: int, cursor: str | None) -> Response:
    broadcaster = await _broadcaster(parts, scrape_run_id)
    if broadcaster is not None:
        return await _stream_run(parts, broadcaster, cursor)
    record = await parts.runs.find(scrape_run_id)
    if record.status is RunStatus.RUNNING:
        raise Problem(409, "Not here", f"run {scrape_run_id} is going in another process; observe it there")
    body = b"" if request.method == "HEAD" else _row_blocks(record)
    return Response(body, headers=HEADERS, content_type="text/event-stream")


async def _broadcaster(parts: Services, scrape_run_id: int) -> ProgressBroadcaster | None:
    """Return the broadcaster of a run, of this process or of another one that shares its log; None if there is none."""
    found = parts.runs.broadcasters.get(scrape_run_id)
    if found is not None or parts.run_logs is None:
        return found
    try:
        found = await parts.run_logs.open(scrape_run_id)
    except ReplicationError as error:
        refusals.tell("redis.away", "run log", reason=str(error))
        return None
    return None if found is None else parts.runs.broadcasters.add_unless_known(found)


def _row_cursor(scrape_run_id: int) -> str:
    return f"r{scrape_run_id}-over-1"


def _row_blocks(record: RunRecord) -> bytes:
    """Return all that is left of a run that ended long ago: its terminal progress."""
    payload = orjson.dumps(terminal_progress(record).model_dump(mode="json"))
    return sse_retry(RETRY_MS) + sse_block(payload, cursor=_row_cursor(record.id).encode())


async def _stream_run(parts: Services, broadcaster: ProgressBroadcaster, cursor: str | None) -> Response:
    log = broadcaster.log
    number, connection_id = begin_connection(parts.registry)

    def connect(sink: Sink, framing: Framing) -> tuple[Subscriber, Flusher]:
        place = log.place(cursor) if cursor else ResumePosition(1)
        subscriber = Subscriber(log, sink, framing, place=place, gap_notice=run_gap, number=number)
        if not place.recovered:
            subscriber.send_raw(*run_gap(place.missed))
        subscriber.send_snapshot(place)
        broadcaster.flusher.add(subscriber)
        return subscriber, broadcaster.flusher

    return await _stream(parts, connect, connection_id, is_resumed=cursor is not None)


def run_gap(missed: int | None) -> tuple[str, bytes]:
    """Return the gap notice of a run's stream. It has its own event name, so `onmessage` receives only progress."""
    return "gap", orjson.dumps(gap_message(missed)["data"])


def _no_room(parts: Services, *, is_resumed: bool) -> Response | None:
    """Return the refusal if there is no room. An EventSource is told to reconnect and never gets an error status."""
    try:
        check_room(parts, client_of(request, parts.settings.trusted_proxies))
    except Problem:
        if not is_resumed and "text/event-stream" not in request.headers.get("Accept", ""):
            raise
        refusals.count("told_to_come_back")
        return _come_back(random.randint(RETRY_MS, MOST_RETRY_MS))
    return None


def _come_back(wait_ms: int) -> Response:
    return Response(sse_retry(wait_ms), headers=HEADERS, content_type="text/event-stream")


async def _stream(
    parts: Services,
    connect: Connect,
    connection_id: str,
    *,
    is_resumed: bool,
    watched: frozenset[int] = frozenset(),
) -> Response:
    if request.method == "HEAD":
        return Response("", headers=HEADERS, content_type="text/event-stream")
    if (refusal := _no_room(parts, is_resumed=is_resumed)) is not None:
        return refusal
    client = client_of(request, parts.settings.trusted_proxies)
    # HTTP/1.0 has no chunks, and other servers expose no connection to write to: use the standard lane.
    connection = live_connection.get() if request.http_version == "1.1" else None
    body = _blocks(parts, client, grant_of(request), connection, connect, watched, connection_id)
    response = Response(body, headers=HEADERS, content_type="text/event-stream")
    response.timeout = None
    return response


async def _blocks(
    parts: Services,
    client: Client,
    grant: Grant,
    connection: LiveConnection | None,
    connect: Connect,
    watched: frozenset[int],
    connection_id: str,
) -> AsyncIterator[bytes]:
    """Yield the body of a stream. Where there is a fast lane, it is used once the server has sent the response head.

    The body then ends here, and goes on there.
    """
    try:
        place = LivePlace(parts, client, grant)
    except TooManyConnectionsError:
        # Others took the last place after the check.
        yield sse_retry(random.randint(RETRY_MS, MOST_RETRY_MS))
        return
    has_moved = False
    try:
        place.watch(watched)
        yield sse_retry(random.randint(RETRY_MS, 2 * RETRY_MS), f"connection_id {connection_id}")
        if connection is not None:
            has_moved = _FastStream(place).hold(connection, connect)
        if not has_moved:
            async with aclosing(_standard(connect, place)) as blocks:
                async for block in blocks:
                    yield block
    finally:
        if not has_moved:
            place.leave()


class _FastStream(Listening):
    """A stream that stays with the connection when the route ends."""

    __slots__ = ("_sink",)

    def hold(self, connection: LiveConnection, connect: Connect) -> bool:
        """Take the connection from the server, and begin. Returns False if it is the server's to the end."""
        sink = connection.take_stream(self)
        if sink is None:
            return False
        self._sink: StreamSink = sink
        try:
            subscriber, self._flusher = connect(sink, CHUNK)
            self._subscriber = subscriber
            self._place.hold(self._flusher, subscriber)
            subscriber.on_end = self._finish
            self._flusher.catch_up(subscriber)
        except BaseException:
            sink.abort()
            raise
        return True

    def take(self, message: str | bytes) -> None:
        """Process a message. There are none."""

    def heard(self) -> None:
        """Note that the client has sent something, which says nothing here."""

    def _finish(self) -> None:
        assert self._subscriber is not None
        self._sink.finish(_farewell(self._subscriber))


async def _standard(connect: Connect, place: LivePlace) -> AsyncGenerator[bytes, None]:
    mailbox = MailboxSink()
    subscriber, flusher = connect(mailbox, BLOCK)
    place.hold(flusher, subscriber)
    subscriber.on_end = mailbox.close
    mailbox.on_free = lambda: flusher.catch_up(subscriber)
    try:
        flusher.catch_up(subscriber)
        async for chunk in mailbox.chunks():
            yield chunk
        if mailbox.is_cut:
            # Quart treats this as its own timeout. The response ends without the last chunk, so it does not look
            # complete.
            raise TimeoutError("the client took nothing for too long, or its stream failed")
    finally:
        mailbox.close()
        flusher.remove(subscriber)
    if farewell := _farewell(subscriber):
        yield farewell


def _farewell(subscriber: Subscriber) -> bytes:
    """Return the last block of a stream that the server ends early: it says when to reconnect."""
    found = re.search(r"retry_ms=([0-9]+)", subscriber.close_reason)
    return sse_retry(int(found[1])) if found else b""

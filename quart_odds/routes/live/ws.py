"""`/api/ws`: all topics over one WebSocket, with cursors. docs/protocol.md is the contract."""

import asyncio
import contextlib
from collections.abc import Mapping
from contextlib import ExitStack

import orjson
import structlog
from quart import Blueprint, Websocket, websocket

from quart_odds.broadcast import ODDS, TOPICS, BroadcastRegistry, Subscriber, current_registry
from quart_odds.broadcast.content import Filter
from quart_odds.broadcast.framing import FRAME, FRAME_WITH_CURSOR, TEXT, TEXT_WITH_CURSOR, Framing
from quart_odds.broadcast.lane import LiveConnection, MailboxSink, live_connection
from quart_odds.odds.watched import WatchedEvents, read_watched
from quart_odds.routes.access.limits import TokenBucket
from quart_odds.routes.access.same_origin import check_room, client_of, same_origin_only
from quart_odds.routes.live.handshake import asked_filter, handshake_message, split_topics, until_reached
from quart_odds.routes.live.receive import SCOPE_KEY, ReceiveEndedError, ReceiveQueue
from quart_odds.services import services
from quart_odds.websocket.messages import (
    Envelope,
    error_message,
    pong_message,
    subscription_update_message,
)
from quart_odds.websocket.odds_filter import FilterError, OddsFilter, filter_of_json, make_filter

MAX_MESSAGE_BYTES = 4096
MESSAGES_A_SECOND = 10.0
MESSAGES_AT_ONCE = 40.0
MOST_OFFENCES = 60
"""Approximate number of errors in a row before the connection is closed: each valid message cancels one."""
MOST_WAITING = 128
"""Maximum number of answers that a client has requested but not taken."""
CLOSE_SECONDS = 2.0
"""Maximum wait for a client to take its close frame."""

POLICY = 1008

log = structlog.get_logger(__name__)
blueprint = Blueprint("ws", __name__)


@blueprint.websocket("/api/ws")
@same_origin_only
async def listen() -> None:
    """Send one client everything that is published, and answer its messages, until either side ends the connection."""
    parts = services()
    client = client_of(websocket, parts.settings.trusted_proxies)
    check_room(parts, client)
    with parts.limits.admit(client):
        await websocket.accept()
        asked = websocket._get_current_object()  # type: ignore[attr-defined]
        try:
            watched = read_watched(asked.args.get("watch"))
        except ValueError as error:
            await asked.send(orjson.dumps(error_message("invalid_watch", str(error))).decode())
            await asked.close(POLICY, "invalid watch")
            return
        topics, unknown = split_topics(asked.args.get("topics"))
        if not topics:
            await asked.send(orjson.dumps(unknown_topics(unknown)).decode())
            await asked.close(POLICY, "no such topic")
            return
        try:
            filtered = asked_filter(topics, asked.args)
        except FilterError as error:
            await asked.send(orjson.dumps(invalid_filter(error)).decode())
            await asked.close(POLICY, "invalid filter")
            return
        await until_reached(parts, asked.args.get("since"))
        with parts.watched.watching(watched), ExitStack() as watching:
            conversation = _Conversation(
                asked, current_registry(), live_connection.get(), client.address, parts.watched, watching
            )
            await conversation.hold(topics, filtered, unknown)


class _Conversation:
    """One client's connection: a subscriber, and the loop that reads the client's messages.

    The events of the client's filter count as watched until `watching` ends or the filter changes.
    """

    __slots__ = (
        "_address",
        "_connection",
        "_offences",
        "_received",
        "_registry",
        "_subscriber",
        "_tokens",
        "_watched",
        "_watching",
        "_websocket",
    )

    def __init__(
        self,
        asked: Websocket,
        registry: BroadcastRegistry,
        connection: LiveConnection | None,
        address: str,
        watched: WatchedEvents,
        watching: ExitStack,
    ) -> None:
        self._websocket = asked
        self._registry = registry
        self._connection = connection
        self._address = address
        self._received: ReceiveQueue = asked.scope[SCOPE_KEY]  # type: ignore[literal-required]
        self._offences = 0
        self._tokens = TokenBucket(MESSAGES_A_SECOND, MESSAGES_AT_ONCE)
        self._watched = watched
        self._watching = watching
        self._subscriber: Subscriber

    def _watch(self, filtered: OddsFilter | None) -> None:
        self._watching.close()
        if filtered is not None:
            self._watching.enter_context(self._watched.watching(filtered.event_ids))

    async def hold(self, topics: frozenset[str], filtered: OddsFilter | None, unknown: list[str]) -> None:
        """Register the client, read until the end, and clean up."""
        self._watch(filtered)
        mailbox: MailboxSink | None = None
        sink = self._connection.websocket_sink() if self._connection is not None else None
        has_cursor = "since" in self._websocket.args or self._websocket.args.get("cursor", "0") not in ("", "0")
        if sink is None:
            sink = mailbox = MailboxSink()
            framing: Framing = TEXT_WITH_CURSOR if has_cursor else TEXT
        else:
            framing = FRAME_WITH_CURSOR if has_cursor else FRAME
        place = self._registry.place(self._websocket.args.get("since"), topics, filtered)
        self._subscriber = subscriber = self._registry.connect(
            sink,
            framing,
            topics=topics,
            filtered=filtered,
            place=place,
            handshake=handshake_message(topics, place, filtered),
            address=self._address,
        )
        subscriber.on_end = self._received.end
        writer: asyncio.Task[None] | None = None
        try:
            if unknown:
                self._registry.send(subscriber, unknown_topics(unknown))
            if mailbox is not None:
                mailbox.on_free = lambda: self._registry.flusher.catch_up(subscriber)
                writer = asyncio.create_task(self._write(mailbox))
            self._registry.flusher.catch_up(subscriber)
            await self._read()
            if mailbox is not None and writer is not None:
                mailbox.close()
                await asyncio.wait([writer], timeout=CLOSE_SECONDS)
        finally:
            self._registry.disconnect(subscriber)
            if self._connection is not None:
                self._connection.detach()
            if writer is not None:
                writer.cancel()
        await self._close()

    async def _write(self, mailbox: MailboxSink) -> None:
        """Send the client's messages one by one, in a task of its own: the standard lane."""
        try:
            async for chunk in mailbox.chunks():
                for line in chunk.splitlines():
                    await self._websocket.send(line.decode())
                    mailbox.took(len(line) + 1)
        finally:
            mailbox.close()
            self._subscriber.end(None)

    async def _read(self) -> None:
        """Answer the client's messages. Must never sleep: a disconnect would wait behind the unread messages."""
        with contextlib.suppress(ReceiveEndedError):
            while True:
                message = await self._received.get()
                answer = self._answer(message)
                is_good = answer is None or answer["type"] != "error"
                self._offences = max(0, self._offences - 1) if is_good else self._offences + 1
                if self._offences > MOST_OFFENCES or self._subscriber.backlog > MOST_WAITING:
                    self._subscriber.end(POLICY, "too many messages that make no sense")
                elif answer is not None:
                    self._registry.send(self._subscriber, answer)

    def _answer(self, message: str | bytes | None) -> Envelope | None:
        """Carry out what the client asks for. Returns the answer; None if it has been sent already."""
        if not self._tokens.take():
            return error_message("rate_limited", f"more than {MESSAGES_A_SECOND:.0f} messages a second")
        if not isinstance(message, str):
            return error_message("invalid_message", "send text, not binary")
        if len(message) > MAX_MESSAGE_BYTES:
            return error_message("too_large", f"a message may have at most {MAX_MESSAGE_BYTES} characters")
        try:
            said = orjson.loads(message)
        except orjson.JSONDecodeError:
            return error_message("invalid_json", 'send a JSON object such as {"type": "ping"}')
        if not isinstance(said, dict) or not isinstance(said.get("type"), str):
            return error_message("invalid_message", 'send a JSON object with a "type"')
        match said["type"]:
            case "ping":
                return pong_message()
            case "subscribe":
                return self._reselect(said, is_more=True)
            case "unsubscribe":
                return self._reselect(said, is_more=False)
        return error_message("unknown_type", f"send ping, subscribe or unsubscribe, not {said['type'][:40]!r}")

    def _reselect(self, said: Mapping[str, object], *, is_more: bool) -> Envelope | None:
        topics = said.get("topics")
        if not isinstance(topics, list) or not all(isinstance(each, str) for each in topics):
            return error_message("invalid_message", '"topics" is a list of names')
        known = [each for each in topics if each in TOPICS]
        unknown = [each for each in topics if each not in TOPICS]
        if unknown:
            if not known:
                return unknown_topics(unknown)
            self._registry.send(self._subscriber, unknown_topics(unknown))
        former = self._subscriber.wanted
        topics = self._subscriber.wanted_topics | set(known) if is_more else self._subscriber.wanted_topics - set(known)
        try:
            filtered = self._filter(said, topics, former.filter, is_more=is_more)
        except FilterError as error:
            return invalid_filter(error)
        answer = subscription_update_message(topics, filtered.as_json() if filtered is not None else None)
        self._registry.reselect(self._subscriber, topics, filtered, answer)
        if filtered is not former.filter:
            self._watch(filtered)
        return None

    def _filter(
        self, said: Mapping[str, object], topics: frozenset[str], former: Filter | None, *, is_more: bool
    ) -> OddsFilter | None:
        """Return the filter after a change of topics. Raises FilterError."""
        if is_more and "filter" in said:
            if ODDS not in topics:
                raise FilterError("filter", 'a filter is for the topic odds: add "odds" to "topics"')
            return filter_of_json(said["filter"])
        if ODDS not in topics:
            return None
        return former if isinstance(former, OddsFilter) else make_filter()

    async def _close(self) -> None:
        """Send the close frame if the server ended the connection. A client that does not take it is cut."""
        code = self._subscriber.close_code
        if code is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close(code, self._subscriber.close_reason)
        except TimeoutError:
            if self._connection is not None:
                self._connection.abort()


def invalid_filter(error: FilterError) -> Envelope:
    """Return the error for a filter that is not possible."""
    return error_message("invalid_filter", f"{error.field}: {error.reason}")


def unknown_topics(topics: list[str]) -> Envelope:
    """Return the error for topics that do not exist."""
    names = ", ".join(repr(each[:40]) for each in topics[:8])
    return error_message("invalid_topic", f"there is no topic {names}; there are {', '.join(sorted(TOPICS))}")

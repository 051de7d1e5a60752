"""`/api/ws`: all topics over one WebSocket, with cursors. docs/protocol.md is the contract."""

import asyncio
import contextlib
from collections.abc import Callable

import orjson
from quart import Blueprint, Websocket, websocket

from quart_odds.broadcast import BroadcastRegistry, Sink, Subscriber, current_registry
from quart_odds.broadcast.framing import FRAME, FRAME_WITH_CURSOR, TEXT, TEXT_WITH_CURSOR, Framing
from quart_odds.broadcast.lane import LiveConnection, MailboxSink, WebSocketSink, live_connection
from quart_odds.odds.watched import read_watched
from quart_odds.routes.access.gate import grant_of
from quart_odds.routes.access.same_origin import check_room, client_of, same_origin_only
from quart_odds.routes.live.conversation import POLICY, Conversation, invalid_filter, unknown_topics
from quart_odds.routes.live.handshake import (
    asked_filter,
    begin_connection,
    handshake_message,
    split_topics,
    until_reached,
)
from quart_odds.routes.live.place import LivePlace
from quart_odds.routes.live.receive import SCOPE_KEY, ReceiveEndedError, ReceiveQueue
from quart_odds.services import services
from quart_odds.websocket.messages import error_message
from quart_odds.websocket.odds_filter import FilterError, OddsFilter

CLOSE_SECONDS = 2.0
"""Maximum wait for a client to take its close frame."""
NORMAL = 1000

LINES = (TEXT, TEXT_WITH_CURSOR)
FRAMES = (FRAME, FRAME_WITH_CURSOR)

Connect = Callable[[Sink, tuple[Framing, Framing]], Subscriber]
"""Adds a listener with a sink. Of the two framings it has the second one if the client wants cursors."""

blueprint = Blueprint("ws", __name__)


@blueprint.websocket("/api/ws")
@same_origin_only
async def listen() -> None:
    """Send one client everything that is published, and answer its messages, until either side ends the connection."""
    parts = services()
    registry = current_registry()
    number, _ = begin_connection(registry)
    client = client_of(websocket, parts.settings.trusted_proxies)
    check_room(parts, client)
    place = LivePlace(parts, client, grant_of(websocket))
    has_moved = False
    try:
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
        connect = _connecting(asked, registry, number, topics, filtered, client.address)
        if (connection := live_connection.get()) is not None:
            has_moved = _FastLane(registry, place, watched).hold(connection, connect, unknown)
        if not has_moved:
            await _StandardLane(registry, place, watched).hold(asked, connection, connect, unknown)
    finally:
        if not has_moved:
            place.leave()


def _connecting(
    asked: Websocket,
    registry: BroadcastRegistry,
    number: int,
    topics: frozenset[str],
    filtered: OddsFilter | None,
    address: str,
) -> Connect:
    """Return what connects the client to the registry, once there is a sink for it."""
    connection_id = registry.figures.id_of(number)
    has_cursor = "since" in asked.args or asked.args.get("cursor", "0") not in ("", "0")

    def connect(sink: Sink, framings: tuple[Framing, Framing]) -> Subscriber:
        place = registry.place(asked.args.get("since"), topics, filtered)
        return registry.connect(
            sink,
            framings[has_cursor],
            topics=topics,
            filtered=filtered,
            place=place,
            handshake=handshake_message(topics, place, filtered, connection_id),
            address=address,
            number=number,
        )

    return connect


class _FastLane(Conversation):
    """A conversation that stays with the connection when the route ends."""

    __slots__ = ("_sink",)

    def hold(self, connection: LiveConnection, connect: Connect, unknown: list[str]) -> bool:
        """Take the connection from the server, and begin. Returns False if it is the server's to the end."""
        sink = connection.take_websocket(self)
        if sink is None:
            return False
        self._sink: WebSocketSink = sink
        try:
            subscriber = connect(sink, FRAMES)
            subscriber.on_end = self._close
            self.begin(subscriber, unknown)
        except BaseException:
            sink.abort()
            raise
        return True

    def _close(self) -> None:
        assert self._subscriber is not None
        self._sink.close(self._subscriber.close_code or NORMAL, self._subscriber.close_reason)


class _StandardLane(Conversation):
    """A conversation by ASGI: the route reads, and a task of its own writes."""

    __slots__ = ()

    async def hold(
        self, asked: Websocket, connection: LiveConnection | None, connect: Connect, unknown: list[str]
    ) -> None:
        """Begin, read until the end, and close the connection if the server has ended it."""
        received: ReceiveQueue = asked.scope[SCOPE_KEY]  # type: ignore[literal-required]
        mailbox = MailboxSink()
        subscriber = connect(mailbox, LINES)
        subscriber.on_end = received.end
        mailbox.on_free = lambda: self.catch_up(subscriber)
        writer: asyncio.Task[None] | None = None
        try:
            writer = asyncio.create_task(_write(asked, mailbox, subscriber))
            self.begin(subscriber, unknown)
            # It must never sleep: a disconnect would wait behind the unread messages.
            with contextlib.suppress(ReceiveEndedError):
                while True:
                    self.take(await received.get())
            mailbox.close()
            await asyncio.wait([writer], timeout=CLOSE_SECONDS)
        finally:
            self.left()
            if writer is not None:
                writer.cancel()
        if subscriber.close_code is None:
            return
        # A client that does not take its close frame is cut.
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await asked.close(subscriber.close_code, subscriber.close_reason)
        except TimeoutError:
            if connection is not None:
                connection.abort()


async def _write(asked: Websocket, mailbox: MailboxSink, subscriber: Subscriber) -> None:
    """Send the client's messages one by one, in a task of its own."""
    try:
        async for chunk in mailbox.chunks():
            for line in chunk.splitlines():
                await asked.send(line.decode())
                mailbox.took(len(line) + 1)
    finally:
        mailbox.close()
        subscriber.end(None)

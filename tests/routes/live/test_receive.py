"""What a WebSocket client sends: read on demand, ended by the server at any time, and dropped if the client leaves."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from quart import Quart, websocket

from quart_odds.routes.access.same_origin import AccessPolicy
from quart_odds.routes.live.receive import BoundedWebsocketConnection, ReceiveEndedError, ReceiveQueue
from quart_odds.services import EXTENSION
from quart_odds.settings import load_settings


def _received(*events: dict[str, Any]) -> tuple[ReceiveQueue, "asyncio.Queue[Any]"]:
    received, queue = ReceiveQueue(), asyncio.Queue[Any]()
    for event in events:
        queue.put_nowait(event)
    received.receive = queue.get
    return received, queue


def _said(text: str | None = None, data: bytes | None = None) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": text, "bytes": data}


async def test_messages_in_order() -> None:
    """Text and binary messages come in order, including empty ones. Other events are skipped."""
    received, _ = _received({"type": "websocket.connect"}, _said("a"), _said(""), _said(data=b"b"), _said(data=b""))
    assert [await received.get() for _ in range(4)] == ["a", "", b"b", None]


async def test_nothing_is_read_before_it_is_asked_for() -> None:
    """What a client sends waits in the server, and then at the client."""
    received, queue = _received(_said("a"), _said("b"))
    await received.get()
    await asyncio.sleep(0)
    assert queue.qsize() == 1


async def test_end_wakes_the_reader_once() -> None:
    """The reader wakes even if messages are unread, and its task does not count as cancelled."""
    received, _ = _received()
    reader = asyncio.create_task(_read(received))
    await asyncio.sleep(0)
    received.end()
    received.end()
    async with asyncio.timeout(30):
        assert await reader == "ended"
    assert reader.cancelling() == 0
    received, _ = _received(_said("a"))
    received.end()
    with pytest.raises(ReceiveEndedError):
        await received.get()


async def _read(received: ReceiveQueue) -> str:
    try:
        await received.get()
    except ReceiveEndedError:
        # Ended, not cancelled, so the task can still wait for something.
        await asyncio.sleep(0)
        return "ended"
    return "read"


async def test_end_and_a_real_cancellation_together_cancel() -> None:
    """A cancellation by something else is not swallowed."""
    received, _ = _received()
    reader = asyncio.create_task(_read(received))
    await asyncio.sleep(0)
    received.end()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader


async def test_client_that_has_left_cancels_the_reader() -> None:
    """Quart does the same with a handler."""
    received, _ = _received({"type": "websocket.disconnect", "code": 1001})
    with pytest.raises(asyncio.CancelledError):
        await received.get()
    assert received.has_left


async def _talk(handler: Callable[[], Awaitable[None]], *events: dict[str, Any]) -> tuple[list[str], int]:
    """Serve one connection over plain ASGI. Return the types of the events sent, and the number left unread."""
    app = Quart("talk")
    app.asgi_websocket_class = BoundedWebsocketConnection
    app.extensions[EXTENSION] = SimpleNamespace(access=AccessPolicy.of(load_settings({})))
    app.websocket("/")(handler)
    queue = asyncio.Queue[Any]()
    for event in ({"type": "websocket.connect"}, *events):
        queue.put_nowait(event)
    sent: list[str] = []

    async def send(event: Any) -> None:
        sent.append(event["type"])

    scope: Any = {
        "type": "websocket",
        "asgi": {"spec_version": "2.3", "version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        "client": None,
        "server": None,
        "state": {},
    }
    async with asyncio.timeout(30):
        await app(scope, queue.get, send)
    return sent, queue.qsize()


async def test_close_frame_has_time_to_be_taken() -> None:
    """After the server's close, anything the client still sends is discarded until it has left."""

    async def handler() -> None:
        await websocket.accept()
        await websocket.close(1008, "no")

    sent, unread = await _talk(handler, *[_said("flood")] * 20, {"type": "websocket.disconnect", "code": 1008})
    assert sent == ["websocket.accept", "websocket.close"]
    assert unread == 0


async def test_handler_ends_with_its_client() -> None:
    """The handler is cancelled while it reads, cleans up, and sends nothing more."""
    seen: list[object] = []

    async def handler() -> None:
        try:
            while True:
                seen.append(await websocket.receive())
        finally:
            seen.append("cleaned up")

    sent, _ = await _talk(handler, _said("a"), {"type": "websocket.disconnect", "code": 1001})
    assert seen == ["a", "cleaned up"]
    assert sent == ["websocket.accept"]

"""The ConnectionManager pattern on its usual stack (FastAPI, uvicorn): one client after another."""

import asyncio
from collections.abc import AsyncIterator

import orjson
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from benchmarks.peers.progress_message import message

app = FastAPI()
connections: set[WebSocket] = set()
queues: set[asyncio.Queue[dict[str, object]]] = set()
tasks: set[asyncio.Task[None]] = set()


@app.websocket("/ws")
async def listen(websocket: WebSocket) -> None:
    """Serve a WebSocket client."""
    await websocket.accept()
    connections.add(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        connections.discard(websocket)


@app.get("/sse")
async def stream() -> StreamingResponse:
    """Stream to an SSE client from its own queue."""
    queue: asyncio.Queue[dict[str, object]] = asyncio.Queue(maxsize=1000)
    queues.add(queue)

    async def blocks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: %b\n\n" % orjson.dumps(await queue.get())
        finally:
            queues.discard(queue)

    return StreamingResponse(blocks(), media_type="text/event-stream")


@app.post("/bench/publish")
async def publish(messages: int = 1000, interval_ms: float = 0) -> dict[str, str]:
    """Publish to all clients, in the background."""

    async def work() -> None:
        for number in range(messages):
            published = message(number)
            for each in set(connections):
                try:
                    await each.send_json(published)
                except (WebSocketDisconnect, RuntimeError):
                    connections.discard(each)
            for queue in list(queues):
                await queue.put(published)
            await asyncio.sleep(interval_ms / 1000)

    task = asyncio.create_task(work())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return {}

"""python-websockets' own `broadcast()`: one frame per connection, and writes that are not awaited.

python -m benchmarks.peers.websockets_broadcast PORT
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.http11 import Request, Response

from benchmarks.peers.progress_message import message

connections: set[ServerConnection] = set()
tasks: set[asyncio.Task[None]] = set()


async def hold(websocket: ServerConnection) -> None:
    """Serve a client."""
    connections.add(websocket)
    try:
        await websocket.wait_closed()
    finally:
        connections.discard(websocket)


async def publish(connection: ServerConnection, request: Request) -> Response | None:
    """Publish to all clients, in the background. Returns None for a WebSocket handshake, which then proceeds."""
    path = urlsplit(request.path)
    if not path.path.startswith("/bench/"):
        return None
    query = parse_qs(path.query)
    messages, pause = int(query["messages"][0]), float(query.get("interval_ms", ["0"])[0]) / 1000

    async def work() -> None:
        for number in range(messages):
            broadcast(connections, json.dumps(message(number)))
            await asyncio.sleep(pause)

    task = asyncio.create_task(work())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return connection.respond(200, "ok")


async def main(port: int) -> None:
    """Serve until stopped."""
    async with serve(hold, "127.0.0.1", port, process_request=publish, compression=None):
        await asyncio.Future()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))

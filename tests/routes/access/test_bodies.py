"""Request bodies that arrive slowly, or too many at a time: what the app guarantees under any server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from quart_odds.routes.access import bodies
from quart_odds.services import EXTENSION, Services
from tests.apps import RunningApp, running_app
from tests.tokens import HEADERS, add_token

NOWHERE = "http://127.0.0.1:9"
LOOPBACK, FAR, FARTHER = "127.0.0.1", "192.0.2.1", "192.0.2.2"


class Upload:
    """A request whose body arrives in parts, sent to the app as an ASGI server would send it."""

    def __init__(self, running: RunningApp, path: str, address: str = LOOPBACK, *headers: tuple[bytes, bytes]) -> None:
        self._sent: list[Any] = []
        self._received: asyncio.Queue[Any] = asyncio.Queue()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.1"},
            "http_version": "1.1",
            "method": "PUT",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"host", b"localhost"),
                (b"authorization", HEADERS["Authorization"].encode()),
                *(headers or ((b"transfer-encoding", b"chunked"),)),
            ],
            "client": (address, 1),
            "server": ("127.0.0.1", 8000),
            "extensions": {},
            "state": {},
        }
        self._task = asyncio.create_task(running.app(scope, self._received.get, self._send))  # type: ignore[arg-type]

    async def _send(self, event: Any) -> None:
        self._sent.append(event)

    def part(self, data: bytes, *, is_last: bool = False) -> None:
        """Send one part of the body."""
        self._received.put_nowait({"type": "http.request", "body": data, "more_body": not is_last})

    def leave(self) -> None:
        """Disconnect the client."""
        self._received.put_nowait({"type": "http.disconnect"})

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and body once the app is done; status 0 if it sent no response."""
        async with asyncio.timeout(30):
            await self._task
        if not self._sent:
            return 0, {}, None
        head = self._sent[0]
        headers = {name.decode().lower(): value.decode() for name, value in head["headers"]}
        return head["status"], headers, orjson.loads(b"".join(each.get("body", b"") for each in self._sent[1:]))


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app without bookmakers."""
    async with running_app(tmp_path, NOWHERE) as opened:
        await add_token(opened.parts.store)
        yield opened


def _parts(running: RunningApp) -> Services:
    parts: Services = running.app.extensions[EXTENSION]
    return parts


async def _until_unfinished(running: RunningApp, count: int) -> None:
    async with asyncio.timeout(30):
        while _parts(running).bodies.count != count:
            await asyncio.sleep(0)


async def test_body_in_parts_reaches_its_route(running: RunningApp) -> None:
    """The route receives the whole body after its last part, and the body no longer counts as unfinished."""
    upload = Upload(running, "/api/settings")
    upload.part(b'{"scrapeInterval')
    await _until_unfinished(running, 1)
    upload.part(b'Minutes":7}', is_last=True)
    status, _, settings = await upload.answer()
    assert (status, settings["scrapeIntervalMinutes"]) == (200, 7)
    assert _parts(running).bodies.count == 0


@pytest.mark.parametrize("path", ["/api/settings", "/nowhere", "/healthz"])
async def test_body_that_does_not_end_in_time(running: RunningApp, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that takes too long is answered 408 and the connection is closed, even if no route reads it."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.01)
    upload = Upload(running, path)
    upload.part(b"{")
    status, headers, problem = await upload.answer()
    assert (status, headers["connection"], problem["instance"]) == (408, "close", path)
    assert headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/settings", "/nowhere", "/healthz"])
async def test_body_that_is_too_long(running: RunningApp, path: str) -> None:
    """A body is answered 413 if its declared length is too large, or once too much has arrived."""
    declared = Upload(running, path, LOOPBACK, (b"content-length", b"65537"))
    assert (await declared.answer())[0] == 413
    coming = Upload(running, path)
    for _ in range(3):
        coming.part(b"x" * 30_000)
    status, headers, problem = await coming.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert "65536 bytes" in problem["detail"]


async def test_client_that_leaves_amid_its_body(running: RunningApp) -> None:
    """The client gets no response, nothing changes, and the body no longer counts as unfinished."""
    upload = Upload(running, "/api/settings")
    upload.part(b'{"scrapeIntervalMinutes":9}')
    upload.leave()
    assert (await upload.answer())[0] == 0
    assert (await running.get("/api/settings"))["scrapeIntervalMinutes"] != 9
    assert _parts(running).bodies.count == 0


async def test_unfinished_bodies_of_one_address(running: RunningApp) -> None:
    """An address may have five; more are answered 429 with Retry-After. Others are served, as are empty bodies."""
    held = [Upload(running, "/api/settings", FAR) for _ in range(bodies.MOST_BODIES_PER_ADDRESS)]
    await _until_unfinished(running, bodies.MOST_BODIES_PER_ADDRESS)
    status, headers, problem = await Upload(running, "/api/settings", FAR).answer()
    assert (status, headers["retry-after"], headers["connection"]) == (429, "10", "close")
    assert FAR in problem["detail"]
    other = Upload(running, "/api/settings", FARTHER)
    other.part(b"{}", is_last=True)
    assert (await other.answer())[0] == 200
    for upload in held:
        upload.leave()
        await upload.answer()
    again = Upload(running, "/api/settings", FAR)
    again.part(b"{}", is_last=True)
    assert (await again.answer())[0] == 200


async def test_unfinished_bodies_in_all(running: RunningApp) -> None:
    """Fifty are allowed, all of them from loopback; more are answered 503 with Retry-After until one is complete."""
    held = [Upload(running, "/api/settings") for _ in range(bodies.MOST_BODIES)]
    await _until_unfinished(running, bodies.MOST_BODIES)
    status, headers, problem = await Upload(running, "/api/settings").answer()
    assert (status, headers["retry-after"]) == (503, "10")
    assert "50 unfinished request bodies" in problem["detail"]
    assert (await running.get("/healthz"))["status"] == "ok"
    for upload in held:
        upload.part(b"{}", is_last=True)
    assert {(await upload.answer())[0] for upload in held} == {200}
    assert _parts(running).bodies.count == 0


async def test_bodies_of_nothing_are_not_counted(running: RunningApp) -> None:
    """A body with a declared length of zero does not count."""
    upload = Upload(running, "/api/settings", LOOPBACK, (b"content-length", b"0"))
    await asyncio.sleep(0)
    assert _parts(running).bodies.count == 0
    upload.part(b"", is_last=True)
    assert (await upload.answer())[0] < 500

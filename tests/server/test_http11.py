"""HTTP/1.1 on raw sockets: no other version, no ambiguous length, and refused connections end."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from tests.server.harness import Peer, Served, connected, plain_hypercorn, served, websocket_head

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PRIORITY = b"\0\0\5\2\0\0\0\0\1\0\0\0\0\1"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
GROWTH_KB = 8 * 1024
BODY_BYTES = 20_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The application under the launcher."""
    with served(tmp_path_factory.mktemp("server")) as server:
        yield server
        assert "rror" not in server.log.read_text()


def _head(server: Served, start: str, *more: str) -> bytes:
    return "\r\n".join([f"{start} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *more, "", ""]).encode()


async def _answer(peer: Peer, sent: bytes) -> bytes:
    """Return everything up to the end of the connection, while sending more than the server takes."""

    async def send() -> None:
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(sent), 65536):
                peer.writer.write(sent[start : start + 65536])
                await peer.writer.drain()

    sending = asyncio.create_task(send())
    try:
        return await peer.rest()
    finally:
        sending.cancel()
        await asyncio.wait([sending])


@pytest.mark.parametrize("frames", [b"", SETTINGS + PRIORITY * 40_000], ids=["alone", "with frames"])
async def test_http_2_by_its_preface_is_refused(server: Served, frames: bytes) -> None:
    """The answer is HTTP/1.1 and says what to do. The frames are discarded without being parsed."""
    before = server.memory_kb
    async with connected(server.port) as peer:
        answer = await _answer(peer, PREFACE + frames)
    assert answer.startswith(b"HTTP/1.1 505 ")
    assert b"put a proxy in front of it for HTTP/2" in answer
    assert server.memory_kb - before <= GROWTH_KB


async def test_upgrade_to_http_2_is_passed_over(server: Served) -> None:
    """The upgrade is ignored: the response and the connection stay HTTP/1.1."""
    async with connected(server.port) as peer:
        for _ in range(2):
            await peer.request(_head(server, "GET /healthz", *H2C).decode())
            assert peer.status == 200
            await peer.reader.readuntil(b"}")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("version", ["1.2", "2.0", "3.0"])
async def test_other_versions_are_refused(server: Served, version: str, method: str) -> None:
    """The answer is 505, and the connection ends."""
    sent = _head(server, f"{method} /healthz").replace(b"HTTP/1.1", f"HTTP/{version}".encode())
    async with connected(server.port) as peer:
        answer = await _answer(peer, sent)
    assert answer.startswith(b"HTTP/1.1 505 ")
    assert answer.endswith(b"}") is (method != "HEAD")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (PREFACE, 505),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"no request\r\n\r\n", 400),
        (
            b"POST /api/scrape HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (websocket_head(80).replace("Version: 13", "Version: 12").encode(), 400),
        (websocket_head(80).replace("127.0.0.1", "evil.example").encode(), 421),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200),
    ],
    ids=["preface", "no host", "no request", "two lengths", "other handshake", "forged host", "good"],
)
async def test_every_answer_forbids_sniffing(server: Served, sent: bytes, status: int) -> None:
    """The header is present exactly once, even if no application sees the request."""
    async with connected(server.port) as peer:
        head = (await _answer(peer, sent)).partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 %d " % status)
    assert head.count(b"x-content-type-options: nosniff") == 1


async def test_two_lengths_of_one_body_end_the_connection(server: Served) -> None:
    """What a proxy may take for a body, and the server for the next request, is never read as a request."""
    sent = _head(server, "POST /api/scheduler/pause", "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n"
    async with connected(server.port) as peer:
        answer = await _answer(peer, sent + _head(server, "GET /healthz"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer.lower()
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "line",
    [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, chunked",
        "Content-Length: -1",
        "Content-Length: +5",
        "Content-Length: " + "9" * 5000,
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length : 5",
        "no colon",
        "X: a\0b",
    ],
)
async def test_head_that_is_none_is_the_clients_fault(server: Served, line: str) -> None:
    """The answer is 400, and the connection ends."""
    async with connected(server.port) as peer:
        assert (await _answer(peer, _head(server, "PUT /api/settings", line))).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("start", "status"),
    [
        ("POST /api/scheduler/pause", 413),
        ("PUT /api/settings", 413),
        ("POST /api/scrape", 413),
        ("GET /healthz", 413),
        ("GET /api/sse", 413),
        ("GET /static/style.css", 413),
        ("POST /nowhere", 413),
    ],
)
@pytest.mark.parametrize("is_chunked", [True, False])
async def test_body_that_is_too_long_piles_up_nowhere(
    server: Served, start: str, status: int, is_chunked: bool
) -> None:
    """Whether a route reads the body, ignores it, or does not exist: the answer is 413, and the connection ends."""
    before = server.memory_kb
    if is_chunked:
        sent = _head(server, start, "Transfer-Encoding: chunked") + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * (
            BODY_BYTES // 65536
        )
    else:
        sent = _head(server, start, f"Content-Length: {BODY_BYTES}") + b"x" * BODY_BYTES
    async with connected(server.port) as peer:
        answer = await _answer(peer, sent)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in answer.lower()
    assert server.memory_kb - before <= GROWTH_KB


@pytest.mark.parametrize(
    ("start", "status", "word"),
    [("GET /api/health?x=" + "1" * 200_000, 431, b"too long"), ("GET /api/he alth", 400, b"no HTTP request")],
    ids=["too long", "no request"],
)
async def test_what_the_parser_does_not_take_is_answered_with_a_problem(
    server: Served, start: str, status: int, word: bytes
) -> None:
    """As every other refusal is."""
    async with connected(server.port) as peer:
        answer = await _answer(peer, _head(server, start))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json" in answer.lower()
    assert word in answer


async def test_body_in_too_many_chunks_is_refused(server: Served) -> None:
    """A chunk costs as much to parse as a frame, however small it is."""
    sent = _head(server, "PUT /api/settings", "Transfer-Encoding: chunked") + b"1\r\n \r\n" * 5000 + b"0\r\n\r\n"
    async with connected(server.port) as peer:
        answer = await _answer(peer, sent)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"chunks" in answer


async def test_body_within_its_bounds_is_taken(server: Served) -> None:
    """The body may be chunked or not, and the connection stays usable."""
    body = b"{" + b" " * 60_000 + b"}"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(body[at : at + 100]), body[at : at + 100]) for at in range(0, 60_002, 100))
    async with connected(server.port) as peer:
        for head, sent in (
            (_head(server, "PUT /api/settings", f"Content-Length: {len(body)}"), body),
            (_head(server, "PUT /api/settings", "Transfer-Encoding: chunked"), chunks + b"0\r\n\r\n"),
        ):
            await peer.request((head + sent).decode())
            assert peer.status == 200
            await peer.reader.readuntil(b"}")


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(("Sec-WebSocket-Version: 13",), id="no key"),
        pytest.param(("Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), id="version 8"),
    ],
)
async def test_handshake_that_is_none_ends_the_connection(server: Served, head: tuple[str, ...]) -> None:
    """The answer is 400, and the connection is closed on both sides."""
    async with connected(server.port) as peer:
        sent = _head(server, "GET /api/ws", "Upgrade: websocket", "Connection: Upgrade", *head)
        assert (await _answer(peer, sent)).startswith(b"HTTP/1.1 400 ")
    await server.until(connections=1)


async def test_handshake_that_is_refused_ends_the_connection(server: Served) -> None:
    """This holds for a page of another site, an unknown path, and frames sent before the handshake is complete."""
    for status, sent in (
        (403, websocket_head(server.port, "/api/ws", "Origin: http://elsewhere.example").encode()),
        (404, websocket_head(server.port, "/nowhere").encode()),
        (400, websocket_head(server.port).encode() + b"\x81\x80\0\0\0\0"),
    ):
        async with connected(server.port) as peer:
            assert (await _answer(peer, sent)).startswith(b"HTTP/1.1 %d " % status)
    await server.until(connections=1, places=0)


@pytest.mark.parametrize("workers", [0, 1])
async def test_plain_hypercorn_refuses_http_2_by_a_configuration(
    tmp_path_factory: pytest.TempPathFactory, workers: int
) -> None:
    """The configuration named in docs/deploy.md works in Hypercorn's own process and in a worker."""
    folder = tmp_path_factory.mktemp("server")
    options = ("-w", str(workers), "--config", "python:quart_odds.server.hypercorn_config")
    with plain_hypercorn(folder, *options) as server:
        try:
            async with connected(server.port) as peer:
                answer = await _answer(peer, PREFACE + SETTINGS)
            assert answer.startswith(b"HTTP/1.1 505 ")
            async with connected(server.port) as peer:
                await peer.request(_head(server, "GET /healthz", *H2C).decode())
                assert peer.status == 200
        finally:
            # If it were killed, its worker would be left running.
            server.terminate()
            server.wait(30)

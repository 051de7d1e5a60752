"""Host names of requests, on raw sockets: names that no client library would send are refused as well."""

from collections.abc import Iterator

import pytest

from tests.server.harness import Served, connected, served, websocket_head

FORGED = [
    ["Host: evil.example"],
    ["Host: evil.example:8000"],
    ["Host: [::1"],
    ["Host: [127.0.0.1]"],
    ["Host: [v1.x]"],
    ["Host: localhost/x"],
    ["Host: evil@localhost"],
    ["Host:"],
    ["Host: " + "a" * 300],
    ["Host: " + ".".join(["a" * 70] * 3)],
    ["Host: evil.example", "X-Forwarded-Host: localhost", "Forwarded: host=localhost"],
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The application under the launcher."""
    with served(tmp_path_factory.mktemp("server")) as server:
        yield server
        assert "request.failed" not in server.log.read_text()


@pytest.mark.parametrize("host", FORGED, ids=lambda each: each[0][:30])
async def test_a_forged_host_is_refused_whatever_it_is(server: Served, host: list[str]) -> None:
    """Requests with and without a body, and handshakes, get 421 without waiting for the body. Monitors are answered."""
    for start, more, status in (
        ("GET /api/health", [], 421),
        ("POST /api/scrape", ["Content-Length: 9"], 421),
        ("GET /nowhere", [], 421),
        ("GET /healthz", [], 200),
    ):
        async with connected(server.port) as peer:
            peer.writer.write("\r\n".join([f"{start} HTTP/1.1", *host, *more, "Connection: close", "", ""]).encode())
            assert (await peer.rest()).startswith(b"HTTP/1.1 %d " % status), start
    async with connected(server.port) as peer:
        head = websocket_head(server.port).replace(f"Host: 127.0.0.1:{server.port}", "\r\n".join(host))
        peer.writer.write(head.encode())
        assert (await peer.rest()).startswith(b"HTTP/1.1 421 ")


async def test_requests_without_one_host_are_refused(server: Served) -> None:
    """HTTP/1.0 may omit the header, and gets 421. HTTP/1.1 does not allow none or two."""
    for version, hosts, status in (("1.0", [], 421), ("1.1", [], 400), ("1.1", ["localhost", "evil.example"], 400)):
        async with connected(server.port) as peer:
            lines = [f"GET /api/health HTTP/{version}", *(f"Host: {each}" for each in hosts), "Connection: close"]
            peer.writer.write("\r\n".join([*lines, "", ""]).encode())
            assert (await peer.rest()).startswith(b"HTTP/1.1 %d " % status)


async def test_a_name_that_was_bound_is_ours(server: Served) -> None:
    """Addresses are always accepted. Under one that is not of this machine, a token is needed."""
    for host, status in (
        (f"127.0.0.1:{server.port}", 200),
        (f"LOCALHOST:{server.port}", 200),
        ("[::1]", 200),
        ("192.168.0.9", 401),
    ):
        async with connected(server.port) as peer:
            peer.writer.write(f"GET /api/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert (await peer.rest()).startswith(b"HTTP/1.1 %d " % status), host

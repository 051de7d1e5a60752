"""Errors that are stored, or wait for the next try, hold no part of the body."""

import gzip
import traceback
from collections.abc import Callable

import pytest
from aiohttp import web

from quart_odds.bookmakers import Decoder, RawBody, decode, open_client
from quart_odds.bookmakers.lists import RawList, read_root
from quart_odds.bookmakers.transport import Answer
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, MalformedBodyError
from tests.bookmakers.fake_site import Handler, serving, settings_for
from tests.bookmakers.keeping import kept_bytes
from tests.bookmakers.wire import BETPAWA_CATEGORIES, asked, dumps

PADDING = b" " * 50_000
BODIES = [
    (b"{" + PADDING, None),
    (b"[]" + PADDING, None),
    (b"<html>" + PADDING, None),
    (b'{"a": "\xff"}' + PADDING, None),
    (b"[" * 50_000, None),
    (b'{"id": 5}' + PADDING, None),
    (gzip.compress(PADDING, 0, mtime=0)[:-20], "gzip"),
    (gzip.compress(PADDING, 0, mtime=0)[:30_000] + b"\xff" * 20_000, "gzip"),
    (b" " * 200_000, None),
    (PADDING, "br"),
]


def test_the_search_finds_a_body_in_a_frame() -> None:
    """Otherwise the tests below would prove nothing."""

    def fail(body: bytes) -> None:
        raise ValueError(len(body))

    with pytest.raises(ValueError, match="50000") as caught:
        fail(b"".join([PADDING]))
    assert 50_000 in kept_bytes([caught.value])


@pytest.mark.parametrize(("content", "encoding"), BODIES)
@pytest.mark.parametrize("platform", Platform)
def test_errors_of_reading_keep_no_body(platform: Platform, content: bytes, encoding: str | None) -> None:
    """The body is neither in the JSON error, which has the whole document, nor in a traceback frame."""
    content = b"".join([content])
    for act in (
        lambda: decode(RawBody(platform, content, encoding, asked(platform, "501"), max_bytes=100_000)),
        lambda: read_root(RawList(platform, content, encoding, "the list", max_bytes=100_000)),
    ):
        error = error_of(act)
        assert error.__cause__ is None
        assert error.__context__ is None or not kept_bytes([error.__context__])
        assert not kept_bytes([error.bare()])


def error_of(act: Callable[[], object]) -> BookmakerError:
    """Return the error that a call raises."""
    try:
        act()
    except BookmakerError as error:
        return error
    pytest.fail("nothing was raised")


@pytest.mark.parametrize("workers", [0, 1])
async def test_errors_of_a_decoder_keep_no_document(workers: int) -> None:
    """The same holds for errors from another process, however they are chained."""
    decoder = Decoder(workers)
    try:
        raw = RawBody(Platform.BETPAWA, b"{" + PADDING, None, asked(Platform.BETPAWA, "501"))
        with pytest.raises(MalformedBodyError) as caught:
            await decoder.decode(raw)
    finally:
        await decoder.aclose()
    assert not kept_bytes([caught.value.bare()])


async def broken(_: web.Request) -> web.Response:
    """Answer with a server error and a large page."""
    return web.Response(body=PADDING, status=500)


async def endless(request: web.Request) -> web.StreamResponse:
    """Send a body that exceeds every limit."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(100):
        await response.write(PADDING)
    return response


async def cut(request: web.Request) -> web.StreamResponse:
    """Cut the connection in the middle of a body."""
    response = web.StreamResponse(headers={"content-length": "1000000"})
    await response.prepare(request)
    await response.write(PADDING * 2)
    assert request.transport is not None
    request.transport.close()
    return response


async def no_json(_: web.Request) -> web.Response:
    """Send a body that starts like JSON but is invalid."""
    return web.Response(body=b"{" + PADDING)


@pytest.mark.parametrize("handler", [broken, endless, cut, no_json])
async def test_errors_of_a_discovery_keep_no_body(handler: Handler) -> None:
    """These errors are kept until the end of the run."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "categories" in request.path:
            return web.Response(body=dumps(BETPAWA_CATEGORIES))
        return await handler(request)

    async with serving(answer) as site:
        client = open_client(Platform.BETPAWA, settings_for(site.url, request_tries=2, max_body_bytes=500_000))
        try:
            assert [listed async for listed in client.discover()] == []
            assert client.discovery_errors
            assert not kept_bytes(client.discovery_errors)
        finally:
            await client.aclose()


@pytest.mark.parametrize("handler", [broken, endless, cut])
async def test_an_error_that_waits_for_the_next_try_keeps_no_body(
    handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty events may be waiting for their next try at once."""
    waiting: list[BaseException] = []
    async with serving(handler) as site:
        client = open_client(Platform.BETPAWA, settings_for(site.url, request_tries=1, max_body_bytes=500_000))
        send = client._requester._try  # type: ignore[attr-defined]

        async def listen(request: object) -> object:
            try:
                return await send(request)
            except BookmakerError as error:
                waiting.append(error)
                raise

        monkeypatch.setattr(client._requester, "_try", listen)  # type: ignore[attr-defined]
        try:
            with pytest.raises(BookmakerError):
                await client.fetch(asked(Platform.BETPAWA, "501"))
        finally:
            await client.aclose()
    [error] = waiting
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert not [each for frame in frames for each in frame.f_locals.values() if isinstance(each, Answer)]
    assert not kept_bytes(each for frame in frames for each in frame.f_locals.values() if isinstance(each, bytes))
    assert error.__context__ is None

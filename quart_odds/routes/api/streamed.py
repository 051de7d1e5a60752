"""Long responses that are sent while they are made, and that never look complete if they are not."""

import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import IO

import structlog
from quart import Response, request

from quart_odds.broadcast.lane import LiveConnection, live_connection

SPOOL_BYTES = 8_000_000
"""How much of a response is held in memory when its length must be sent first; the rest goes to a temporary file."""

SENT_BYTES = 256_000

MOST_SECONDS = 900
"""All markets of a thousand events are 100 MB. A slow connection needs more than Quart's default of one minute."""

log = structlog.get_logger(__name__)


async def streamed(
    parts: AsyncGenerator[bytes, None], content_type: str, filename: str, most_seconds: float = MOST_SECONDS
) -> Response:
    """Return a response with these parts, which is closed by closing them.

    The first part is taken before there is a status, so its errors are raised here. If `parts` fails later, the
    connection is cut. Over HTTP/1.0 all parts are taken first.
    """
    headers = {"Content-Disposition": f'attachment; filename="{filename}"', "Cache-Control": "no-store"}
    first = await anext(parts, b"")
    sent: AsyncIterator[bytes]
    if _is_length_needed():
        spooled, length = await _spooled(_whole_or_cut(first, parts, None, filename))
        headers["Content-Length"] = str(length)
        sent = _sent(spooled)
    else:
        sent = _whole_or_cut(first, parts, live_connection.get(), filename)
    response = Response(sent, headers=headers, content_type=content_type)
    response.timeout = most_seconds
    return response


async def _whole_or_cut(
    first: bytes, rest: AsyncGenerator[bytes, None], connection: LiveConnection | None, filename: str
) -> AsyncGenerator[bytes, None]:
    """Yield all parts. If one fails, cut the connection: the last chunk would make the response look complete."""
    async with aclosing(rest):
        try:
            yield first
            async for part in rest:
                yield part
        except Exception as exc:
            log.exception("response.broken_off", filename=filename, exc_info=exc)
            if connection is not None:
                connection.abort()
            raise


def _is_length_needed() -> bool:
    """Whether the response needs its length: HTTP/1.0 has no chunked encoding, so nothing else shows where it ends."""
    return request.http_version == "1.0"


async def _spooled(parts: AsyncGenerator[bytes, None]) -> tuple[IO[bytes], int]:
    spooled = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - closed after it is sent
    try:
        async with aclosing(parts):
            async for part in parts:
                spooled.write(part)
        length = spooled.tell()
        spooled.seek(0)
    except BaseException:
        spooled.close()
        raise
    return spooled, length


async def _sent(spooled: IO[bytes]) -> AsyncIterator[bytes]:
    with spooled:
        while part := spooled.read(SENT_BYTES):
            yield part

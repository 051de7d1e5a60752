"""Sending requests to a bookmaker: rate limiting, retries, and detection of refusals."""

import zlib
from collections.abc import Callable, Mapping
from datetime import datetime

import orjson
import stamina

from quart_odds.bookmakers.bodies import ACCEPT_ENCODING
from quart_odds.bookmakers.politeness import MAX_RETRY_AFTER_SECONDS, Priority, Throttle, retry_after_seconds
from quart_odds.bookmakers.recorder import Recorder
from quart_odds.bookmakers.room import BodyRoom, Place
from quart_odds.bookmakers.site import Request, Site
from quart_odds.bookmakers.transport import Answer, Transport
from quart_odds.domain.clock import utc_now
from quart_odds.errors import (
    BlockedError,
    BookmakerError,
    EmptyBodyError,
    MalformedBodyError,
    NotFoundError,
    RateLimitedError,
    ServerFaultError,
    UnreachableError,
)
from quart_odds.settings import Settings

_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"

_PEEK_BYTES = 64
"""Bytes of a body that are enough to recognise an empty body or an HTML page."""


class Requester:
    """Sends requests to one site.

    `requests` counts what was sent, retries included. `turn_by` is a time of the event loop's clock: requests that have
    not started by then raise TimeoutError. `now` dates the answers.
    """

    def __init__(
        self,
        site: Site,
        settings: Settings,
        transport: Transport,
        throttle: Throttle,
        recorder: Recorder | None,
        priority: Priority = Priority.FULL,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.requests = 0
        self.turn_by: float | None = None
        self._site = site
        self._platform = site.platform
        self._settings = settings
        self._transport = transport
        self._throttle = throttle
        self._recorder = recorder
        self._priority = priority
        self._now = now
        self._origin = settings.url(site.platform)
        self._room = BodyRoom()

    async def ask(self, request: Request) -> Answer:
        """Return a successful answer, after retries if the error is temporary. Raises BookmakerError."""
        fault: BookmakerError | None = None
        try:
            answer = await self._try(request)
        except BookmakerError as error:
            fault = error
        if fault is not None:
            answer = await self._try_again(request, fault)
        if self._recorder is not None:
            await self._recorder.record(self._platform, request, answer, self._settings.max_body_bytes)
        return answer

    async def _try_again(self, request: Request, fault: BookmakerError) -> Answer:
        """Return a successful answer of a later try. `fault` is the error of the first one.

        The first try stays outside, because a retry context takes a tenth of the time of a whole request.
        """
        settings = self._settings
        answer: Answer | None = None
        async for attempt in stamina.retry_context(
            on=_backoff,
            attempts=settings.request_tries,
            timeout=None,
            wait_initial=settings.retry_wait_seconds,
            wait_max=settings.retry_wait_max_seconds,
            wait_jitter=min(1.0, settings.retry_wait_seconds),
        ):
            with attempt:
                if attempt.num == 1:
                    raise fault
                answer = await self._try(request)
        assert answer is not None
        return answer

    async def _try(self, request: Request) -> Answer:
        """Send a request once. An error keeps no reference to the answer while the next try is waiting."""
        try:
            return await self._send(request)
        except BookmakerError as exc:
            fault = exc.bare()
        fault.where = fault.where or request.where
        raise fault

    async def _send(self, request: Request) -> Answer:
        place = self._room.place()
        try:
            async with self._throttle.slot(self.turn_by, self._priority) as may_send:
                if not may_send:
                    count = self._throttle.refusals_in_a_row
                    raise BlockedError(self._platform, f"left alone for a while after {count} refusals in a row")
                self.requests += 1
                answer, seconds = await self._exchange(request, place)
            self._throttle.count_redirects(answer.redirects)
            self._refuse_bad_answer(answer)
            self._throttle.answered(seconds, request.kind)
        except BaseException:
            place.leave()
            raise
        self._room.hold(place, answer.content)
        return answer

    async def _exchange(self, request: Request, place: Place) -> tuple[Answer, float]:
        """Return the answer and the time that it took, without our own waits for room in memory."""
        clock = self._throttle.clock
        body = orjson.dumps(request.body) if request.body is not None else None
        began = clock()
        waited = 0.0

        async def grow(size: int) -> None:
            nonlocal waited
            since = clock()
            await place.grow(size)
            waited += clock() - since

        try:
            answer = await self._transport.request(
                request.method,
                self._origin + request.path,
                headers=self._headers(body is not None),
                params=request.query,
                body=body,
                timeout_seconds=self._settings.request_timeout_seconds,
                grow=grow,
            )
        except UnreachableError:
            # No answer in time is a slow answer. A connection that is refused says nothing about response times.
            seconds = clock() - began - waited
            if seconds >= 0.9 * self._settings.request_timeout_seconds:
                self._throttle.answered(seconds, request.kind)
            raise
        received = Answer(answer.status, answer.headers, answer.content, answer.redirects, self._now())
        return received, clock() - began - waited

    def _headers(self, has_body: bool) -> Mapping[str, str]:
        headers = {
            "user-agent": _USER_AGENT,
            "accept-encoding": ACCEPT_ENCODING,
            "referer": f"{self._origin}/",
            **self._site.headers,
        }
        if has_body:
            headers["content-type"] = "application/json;charset=UTF-8"
        return headers

    def _refuse_bad_answer(self, answer: Answer) -> None:
        try:
            self._refuse_bad_status(answer)
            self._refuse_bad_start(answer)
        except (BlockedError, RateLimitedError):
            self._throttle.refused()
            raise

    def _refuse_bad_status(self, answer: Answer) -> None:
        status = answer.status
        if status == 200:
            return
        if status == 429:
            seconds = retry_after_seconds(answer.headers.get("retry-after"))
            if seconds is not None and seconds <= MAX_RETRY_AFTER_SECONDS:
                self._throttle.pause(seconds)
            raise RateLimitedError(
                self._platform, "too many requests (429)", status=status, retry_after_seconds=seconds
            )
        # A firewall in front of a site may challenge with an empty 202, or reject the method.
        if status in (202, 401, 403, 405):
            raise BlockedError(self._platform, f"refused ({status})", status=status)
        if status in (404, 410):
            raise NotFoundError(self._platform, f"not found ({status})", status=status)
        if status >= 500:
            raise ServerFaultError(self._platform, f"a fault of the server ({status})", status=status)
        raise MalformedBodyError(self._platform, f"an answer with status {status}", status=status)

    def _refuse_bad_start(self, answer: Answer) -> None:
        """Check the first bytes: an empty body is retried, an HTML page is a refusal."""
        start = _start(answer)
        if start == b"":
            raise EmptyBodyError(self._platform, "an empty body", status=answer.status)
        if start is not None and start.startswith(b"<"):
            raise BlockedError(self._platform, "an HTML page where JSON was due", status=answer.status)

    def release(self, content: bytes) -> None:
        """Free the memory reserved for a body."""
        self._room.release(content)


def _backoff(error: Exception) -> bool | float:
    """Return whether to retry after an error: False, True, or the number of seconds to wait."""
    if isinstance(error, RateLimitedError):
        asked = error.retry_after_seconds
        return True if asked is None else asked if asked <= MAX_RETRY_AFTER_SECONDS else False
    return isinstance(error, UnreachableError | ServerFaultError)


def _start(answer: Answer) -> bytes | None:
    """Return the first non-blank bytes of a body, or None if only full decompression can tell."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity") or not answer.content:
        start, is_all = answer.content[:_PEEK_BYTES], len(answer.content) <= _PEEK_BYTES
    elif encoding in ("gzip", "x-gzip"):
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            start, is_all = inflater.decompress(answer.content, _PEEK_BYTES), inflater.eof
        except zlib.error:
            return None
    else:
        return None
    start = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    return start if start or is_all else None

"""A stream of messages that survives lost connections: `connect`.

Nothing is read in the background. Each step of the iteration reads from the connection, or makes the next one, resuming
after the last message that it yielded. So there is nothing between the caller and the cursor that could get lost.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self

import aiohttp

from quart_odds_client.addresses import ServerAddress, bearer
from quart_odds_client.attempts import OTHER, Attempts
from quart_odds_client.errors import ConnectionRefused, ProtocolError, ServerUnreachableError
from quart_odds_client.links import EventStreamLink, Link, LinkEndedError, WebSocketLink
from quart_odds_client.messages import AnyMessage, ConnectionAck, Gap, ServerMessage, ServerNotice
from quart_odds_client.options import Choice, OddsFilter, Options, State, StateChange, Transport

Sleep = Callable[[float], Awaitable[None]]


def connect(
    url: str,
    *,
    topics: Iterable[str] = (),
    since: str | None = None,
    transport: Choice = "auto",
    token: str | None = None,
    odds: OddsFilter | None = None,
    watch: Iterable[int] = (),
    options: Options | None = None,
    on_state: Callable[[StateChange], None] = lambda _: None,
    session: aiohttp.ClientSession | None = None,
    sleep: Sleep = asyncio.sleep,
) -> "Stream":
    """Return a stream of the messages of a server, to be opened with `async with`.

    `topics` are `scrape_progress` and `odds_updates` by default. `since` is a cursor to resume after. `odds` selects
    what to hear of the topic `odds`, and adds that topic. The odds of the events in `watch` are fetched more often
    while the stream is open. `token` is sent with every request. `on_state` is called with each change of state. A
    `session` is used as it is, and not closed. Raises AddressError for a `url` that is not the address of a server,
    and TokenError.
    """
    names = list(dict.fromkeys(topics))
    if odds is not None and "odds" not in names:
        names.append("odds")
    query = dict(odds.query()) if odds is not None else {}
    if names:
        query["topics"] = ",".join(names)
    if watched := ",".join(map(str, watch)):
        query["watch"] = watched
    return Stream(
        ServerAddress(url),
        query,
        since=since,
        choice=transport,
        headers=bearer(token),
        options=options or Options(),
        on_state=on_state,
        session=session,
        sleep=sleep,
    )


class Stream:
    """Messages of a server, without end, across lost connections; made by `connect`.

    Iterating yields every message in order and exactly once, the acknowledgement of each connection among them. Where
    messages are gone for good it yields a Gap. Only one task may iterate at a time; any task of the loop may close.
    """

    def __init__(
        self,
        address: ServerAddress,
        query: dict[str, str],
        *,
        since: str | None,
        choice: Choice,
        headers: dict[str, str],
        options: Options,
        on_state: Callable[[StateChange], None],
        session: aiohttp.ClientSession | None,
        sleep: Sleep,
    ) -> None:
        self._address = address
        self._query = query
        self._cursor = since
        self._attempts = Attempts(choice, options)
        self._headers = headers
        self._options = options
        self._on_state = on_state
        self._session = session
        self._owns_session = session is None
        self._sleep = sleep
        self._state: State = "connecting"
        self._link: Link | None = None
        self._waiting: deque[AnyMessage] = deque()
        self._live_since: float | None = None
        self._is_good = False
        self._resume_at: float | None = None
        self._upgrade_at: float | None = None
        self._coming: asyncio.Task[None] | None = None
        self._probe: asyncio.Task[bool] | None = None
        self._reading: asyncio.Timeout | None = None

    @property
    def cursor(self) -> str | None:
        """The place after the last message that was yielded: pass it as `since` to resume from here."""
        return self._cursor

    @property
    def state(self) -> State:
        """`connecting`, `live`, `waiting` or `closed`."""
        return self._state

    @property
    def transport(self) -> Transport | None:
        """The transport in use; None while there is no connection."""
        return self._link.transport if self._link is not None else None

    async def __aenter__(self) -> Self:
        """Connect. Raises ServerUnreachableError, ConnectionRefused or ProtocolError if that is not possible.

        Later connections are made by the iteration, for as long as it takes.
        """
        if self._state == "closed" or self._link is not None:
            raise RuntimeError("a stream is opened once")
        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            await self._connect()
        except LinkEndedError as ended:
            await self.aclose()
            raise ended.refusal or ServerUnreachableError(self._address.shown, ended.reason) from ended
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the stream."""
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[AnyMessage]:
        """Return the stream."""
        return self

    async def __anext__(self) -> AnyMessage:
        """Return the next message. May be cancelled and called again; nothing is lost then."""
        if self._reading is not None:
            raise RuntimeError("another task is reading this stream")
        if self._state == "closed":
            raise StopAsyncIteration
        if self._session is None:
            raise RuntimeError("open the stream with `async with` first")
        try:
            async with asyncio.timeout(None) as self._reading:
                try:
                    return await self._next()
                finally:
                    self._reading = None
        except TimeoutError:
            # `aclose` of another task ended the time for this.
            if self.state != "closed":
                raise
            raise StopAsyncIteration from None
        except (ConnectionRefused, ProtocolError):
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the connection. A task that waits for a message sees the end of the iteration. Idempotent."""
        self._tell("closed")
        if self._reading is not None and not self._reading.expired():
            self._reading.reschedule(-1)
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.cancel()
            await asyncio.wait([coming])
        try:
            await self._drop()
        finally:
            if self._owns_session and self._session is not None:
                await self._session.close()

    async def _next(self) -> AnyMessage:
        while True:
            if self._waiting:
                return self._yielded(self._waiting.popleft())
            if self._link is None:
                await self._returned()
                continue
            try:
                if self._is_upgrade_ready():
                    await self._drop()
                    continue
                found = await self._link.read()
            except LinkEndedError as ended:
                await self._lost(ended)
                continue
            self._is_good = True
            if isinstance(found, str):
                self._cursor = found
            elif isinstance(found, ServerNotice) and found.data.code == "gap":
                self._cursor = found.id or self._cursor
                return self._gap(found.data.missed, "slow")
            else:
                return self._yielded(found)

    def _yielded(self, message: AnyMessage) -> AnyMessage:
        if not isinstance(message, Gap) and message.id is not None:
            self._cursor = message.id
        return message

    async def _returned(self) -> None:
        """Wait for the next attempt to connect. If this is cancelled, the attempt goes on, and the next call waits."""
        if self._coming is None:
            self._coming = asyncio.create_task(self._come_back(), name="quart-odds-client-connecting")
        await asyncio.wait([self._coming])
        coming, self._coming = self._coming, None
        coming.result()

    async def _come_back(self) -> None:
        """Wait for the next attempt, and make it. If it fails, the next call waits again."""
        loop = asyncio.get_running_loop()
        if self._resume_at is not None:
            await self._sleep(max(0.0, self._resume_at - loop.time()))
            self._resume_at = None
        try:
            await self._connect()
        except LinkEndedError as ended:
            await self._lost(ended)

    async def _connect(self) -> None:
        """Make a connection with the transport that worked last, or else with the other one.

        Raises LinkEndedError, ConnectionRefused and ProtocolError.
        """
        self._tell("connecting")
        try:
            await self._attempt(self._attempts.preferred)
        except (LinkEndedError, ConnectionRefused) as first:
            if not self._attempts.has_choice:
                raise await self._explained(first) from None
            try:
                await self._attempt(OTHER[self._attempts.preferred])
            except LinkEndedError as second:
                # The server asks for a wait on one of them only.
                raise max(second, first, key=_has_wait) from None

    async def _attempt(self, transport: Transport) -> None:
        link: Link | None = None
        try:
            async with asyncio.timeout(self._options.open_seconds):
                link = await self._open(transport, self._cursor)
                before: list[ServerMessage] = []
                while not isinstance(first := await link.read(), ConnectionAck):
                    if not isinstance(first, ServerNotice):
                        raise ProtocolError(self._address.shown, "it does not begin with an acknowledgement")
                    before.append(first)
                self._live(link, [*before, first], first)
        except BaseException as error:
            if link is not None and link is not self._link:
                await link.close()
            if isinstance(error, TimeoutError):
                raise LinkEndedError("no answer") from error
            raise

    def _live(self, link: Link, messages: list[ServerMessage], ack: ConnectionAck) -> None:
        self._link = link
        self._attempts.preferred = link.transport
        self._is_good = False
        self._live_since = asyncio.get_running_loop().time()
        self._waiting.extend(messages)
        if not ack.data.recovered:
            self._waiting.append(self._gap(ack.data.missed, "restart"))
        if link.transport == "sse" and self._attempts.has_choice:
            self._plan_upgrade()
        self._tell("live")

    async def _open(self, transport: Transport, cursor: str | None, query: Mapping[str, str] | None = None) -> Link:
        assert self._session is not None
        query = dict(self._query if query is None else query)
        if transport == "websocket":
            query["cursor"] = "1"
        if cursor is not None:
            query["since"] = cursor
        is_websocket = transport == "websocket"
        url = self._address.at("/api/ws" if is_websocket else "/api/sse", query, is_websocket=is_websocket)
        rest = self._session, url, self._headers, self._address.shown, self._options
        return await (WebSocketLink.open(*rest) if is_websocket else EventStreamLink.open(*rest))

    async def _explained(self, refused: LinkEndedError | ConnectionRefused) -> LinkEndedError | ConnectionRefused:
        """Return a refusal with what the server says about it. Refused handshakes have no body that can be read."""
        if isinstance(refused, LinkEndedError) or refused.status is None or refused.problem is not None:
            return refused
        try:
            async with asyncio.timeout(self._options.open_seconds):
                link = await self._open("sse", None)
                await link.close()
        except ConnectionRefused as told:
            return told if told.status == refused.status else refused
        except (LinkEndedError, ProtocolError, TimeoutError):
            return refused
        return refused

    async def _lost(self, ended: LinkEndedError) -> None:
        """Note that a connection is gone, and decide how long to wait."""
        now = asyncio.get_running_loop().time()
        lived = None if self._live_since is None else now - self._live_since
        await self._drop()
        wait = self._attempts.wait_after(lived, ended.retry_seconds, has_delivered=self._is_good)
        self._resume_at = asyncio.get_running_loop().time() + wait
        self._tell("waiting", wait, ended.reason)

    async def _drop(self) -> None:
        link, self._link = self._link, None
        self._live_since = None
        self._upgrade_at = None
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.cancel()
            await asyncio.wait([probe])
        if link is not None:
            await link.close()

    def _plan_upgrade(self) -> None:
        self._upgrade_at = asyncio.get_running_loop().time() + self._attempts.upgrade_wait()

    def _is_upgrade_ready(self) -> bool:
        """Return whether WebSocket gets through again. Tries that beside the stream, when it is time."""
        if self._probe is not None and self._probe.done():
            probe, self._probe = self._probe, None
            if probe.result():
                self._attempts.upgrade()
                return True
            self._plan_upgrade()
        elif self._upgrade_at is not None and asyncio.get_running_loop().time() >= self._upgrade_at:
            self._upgrade_at = None
            self._probe = asyncio.create_task(self._get_through(), name="quart-odds-client-probe")
        return False

    async def _get_through(self) -> bool:
        """Return whether a WebSocket gets its first message."""
        try:
            async with asyncio.timeout(self._options.open_seconds):
                # Of a topic that costs the server nothing.
                link = await self._open("websocket", None, {"topics": "odds_updates"})
                try:
                    return isinstance(await link.read(), ConnectionAck)
                finally:
                    await link.close()
        except (LinkEndedError, ConnectionRefused, ProtocolError, TimeoutError):
            return False

    def _gap(self, missed: int | None, reason: Literal["restart", "slow"]) -> Gap:
        return Gap(missed, reason, datetime.now(UTC))

    def _tell(self, state: State, retry_in_seconds: float | None = None, reason: str = "") -> None:
        if self._state == "closed":
            return
        self._state = state
        transport = self.transport if state == "live" else None
        self._on_state(StateChange(state, transport, retry_in_seconds, reason))


def _has_wait(error: LinkEndedError | ConnectionRefused) -> bool:
    return isinstance(error, LinkEndedError) and error.retry_seconds is not None

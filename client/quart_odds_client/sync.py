"""The client without asyncio, for notebooks and scripts: the same names, with `with` and `for`.

Each object has an event loop in a thread of its own, so it works where a loop is running already, as in Jupyter.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from quart_odds_client import client as with_asyncio
from quart_odds_client import stream as streams
from quart_odds_client import watch as watches
from quart_odds_client.messages import AnyMessage
from quart_odds_client.odds_copy import OddsCopy
from quart_odds_client.options import Choice, OddsFilter, Options, State, StateChange
from quart_odds_client.resources import EventDetail, EventHistory, ListedEvent, Opportunities, Run, StartedRun

T = TypeVar("T")


class _Loop:
    """An event loop in a thread, until `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon, so that a program that never closes ends all the same.
        self._thread = threading.Thread(target=self._loop.run_forever, name="quart-odds-client", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Let a coroutine run, and return its future."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("not from a callback: it would wait for itself")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of a coroutine. If the wait is interrupted, it is cancelled."""
        future = self.submit(work)
        try:
            return future.result()
        finally:
            future.cancel()

    def close_with(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do one last thing, and end the loop with all that still runs in it. Idempotent."""
        if self._loop.is_closed():
            return
        try:
            self.run(last())
        finally:
            self.run(_end_others())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def _end_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


class _Opened:
    """What runs in a loop of its own from `open` to `close`."""

    def __init__(self, inner: streams.Stream | watches.OddsWatch) -> None:
        self._inner = inner
        self._loop: _Loop | None = None

    def open(self) -> Self:
        """Connect; `with` does it, too. Raises what opening a stream with asyncio raises."""
        self._loop = _Loop()
        try:
            self._loop.run(self._inner.__aenter__())
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._loop is not None:
            loop, self._loop = self._loop, None
            loop.close_with(self._inner.aclose)

    def __enter__(self) -> Self:
        """Open the connection."""
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()


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
) -> "Stream":
    """Return a stream of messages, to be opened with `with`: see `quart_odds_client.connect`.

    `on_state` is called in another thread.
    """
    return Stream(
        streams.connect(
            url,
            topics=topics,
            since=since,
            transport=transport,
            token=token,
            odds=odds,
            watch=watch,
            options=options,
            on_state=on_state,
        )
    )


class Stream(_Opened):
    """Messages of a server, without end, across lost connections. It reads only as fast as they are taken."""

    def __init__(self, stream: streams.Stream) -> None:
        super().__init__(stream)
        self._stream = stream
        self._next: Future[AnyMessage | None] | None = None

    @property
    def cursor(self) -> str | None:
        """The place after the last message: pass it as `since` to resume from here."""
        return self._stream.cursor

    @property
    def state(self) -> State:
        """`connecting`, `live`, `waiting` or `closed`."""
        return self._stream.state

    def __iter__(self) -> Iterator[AnyMessage]:
        """Return the stream."""
        return self

    def __next__(self) -> AnyMessage:
        """Return the next message. If the wait is interrupted, the message is not lost."""
        message = self.receive()
        if message is None:
            raise StopIteration
        return message

    def receive(self, timeout: float | None = None) -> AnyMessage | None:
        """Return the next message; None if the stream is closed. Raises TimeoutError after so many seconds."""
        if self._loop is None:
            return None
        if self._next is None:
            self._next = self._loop.submit(_next_of(self._stream))
        try:
            message = self._next.result(timeout)
        finally:
            if self._next.done():
                self._next = None
        return message


def watch_odds(
    url: str,
    *,
    event_id: int | Iterable[int] = (),
    tournament_id: int | Iterable[int] = (),
    market: str | Iterable[str] = "main",
    bookmaker: str | Iterable[str] = (),
    min_move: float | None = None,
    transport: Choice = "auto",
    token: str | None = None,
    options: Options | None = None,
    on_state: Callable[[StateChange], None] = lambda _: None,
) -> "OddsWatch":
    """Return a watch of odds, to be opened with `with` or `open`: see `quart_odds_client.watch_odds`.

    `on_state` is called in another thread.
    """
    return OddsWatch(
        watches.watch_odds(
            url,
            event_id=event_id,
            tournament_id=tournament_id,
            market=market,
            bookmaker=bookmaker,
            min_move=min_move,
            transport=transport,
            token=token,
            options=options,
            on_state=on_state,
        )
    )


class OddsWatch(_Opened):
    """Keeps a copy of odds current in the background, from `open` to `close`. The copy stays as it is then."""

    def __init__(self, watch: watches.OddsWatch) -> None:
        super().__init__(watch)
        self._watch = watch
        self._changed = threading.Condition()
        self._version = 0
        self._seen = 0
        self._is_over = False
        self._error: BaseException | None = None

    @property
    def copy(self) -> OddsCopy:
        """The odds as they are now; what is returned does not change. Raises what has ended the watch, if it failed."""
        with self._changed:
            if self._error is not None:
                raise self._error
            self._seen = self._version
            return self._watch.copy.snapshot()

    @property
    def state(self) -> State:
        """`connecting`, `live`, `waiting` or `closed`."""
        return self._watch.stream.state

    def open(self) -> Self:
        """Connect, and return when the copy is whole; `with` does it, too. Raises what opening a stream raises."""
        super().open()
        assert self._loop is not None
        self._loop.submit(self._follow())
        return self

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until something has changed since `copy` was read last. False after so many seconds, or at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._version != self._seen, timeout)
            return self._version != self._seen

    def __iter__(self) -> Iterator[OddsCopy]:
        """Yield the copy whenever it has changed. Changes that come while the caller is busy are in the next one."""
        while self.wait():
            yield self.copy
        with self._changed:
            if self._error is not None:
                raise self._error

    async def _follow(self) -> None:
        try:
            async for message in self._watch.stream:
                with self._changed:
                    self._watch.copy.apply(message)
                    self._version += 1
                    self._changed.notify_all()
        except Exception as error:
            self._error = error
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()


class Client:
    """The API of a server: see `quart_odds_client.Client`, whose methods and errors these are."""

    def __init__(self, url: str, *, token: str | None = None, timeout_seconds: float = 30.0) -> None:
        self._client = with_asyncio.Client(url, token=token, timeout_seconds=timeout_seconds)
        self._loop = _Loop()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._loop.close_with(self._client.aclose)

    def events(self, **selection: with_asyncio.Value) -> Iterator[ListedEvent]:
        """Yield the events of `GET /api/events`, each once."""
        return self._each(self._client.events(**selection))

    def event(self, event_id: int, *, bookmakers: Iterable[str] = ()) -> EventDetail:
        """Return an event with all its markets."""
        return self._loop.run(self._client.event(event_id, bookmakers=bookmakers))

    def history(
        self,
        event_id: int,
        market: str,
        *,
        line: float | None = None,
        bookmaker: str | None = None,
        promotion: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> EventHistory:
        """Return the history of a market."""
        return self._loop.run(
            self._client.history(
                event_id, market, line=line, bookmaker=bookmaker, promotion=promotion, since=since, until=until
            )
        )

    def opportunities(self, kind: str = "arbitrage", **selection: Any) -> Opportunities:
        """Return the opportunities of `GET /api/opportunities`, those worth most first."""
        return self._loop.run(self._client.opportunities(kind, **selection))

    def runs(self, *, status: str | None = None, mode: str | None = None) -> Iterator[Run]:
        """Yield the runs, the newest first."""
        return self._each(self._client.runs(status=status, mode=mode))

    def start_scrape(self, *, platforms: Iterable[str] | None = None, mode: str | None = None) -> StartedRun:
        """Start a run."""
        return self._loop.run(self._client.start_scrape(platforms=platforms, mode=mode))

    def _each(self, items: AsyncIterator[T]) -> Iterator[T]:
        while (found := self._loop.run(_next_of(items))) is not None:
            yield found


async def _next_of(items: AsyncIterator[T]) -> T | None:
    """Return the next item; None at the end."""
    return await anext(items, None)

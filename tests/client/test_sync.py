"""The client without asyncio: streams, watches and their ends, against a server in another thread."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest

from quart_odds_client import ConnectionAck, ConnectionRefused, Gap, Options, ScrapeProgress, ServerUnreachableError
from quart_odds_client import sync as blocking
from tests.bookmakers.fake_site import closed_port
from tests.client.test_stream import progress
from tests.routes.pages.noding import FakeServer, Line, fake_server
from tests.routes.pages.test_live_node import change, entry, event, image, moved, outcome

T = TypeVar("T")
QUICK = Options(least_wait_seconds=0.01, most_wait_seconds=0.02)
WAIT_SECONDS = 20


class Remote:
    """A fake server in a loop of another thread, told what to do from the test's thread."""

    def __init__(self, runner: asyncio.AbstractEventLoop, fake: FakeServer) -> None:
        self.fake = fake
        self._loop = runner

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry something out in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_SECONDS)

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry something out in the server's loop, and do not wait for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop)

    async def acknowledge(self, number: int = 1, *messages: tuple[str, dict[str, Any], int]) -> None:
        """Acknowledge a connection when it comes, and send it messages."""
        line = await self.fake.line(number)
        await line.acknowledge()
        for kind, data, seq in messages:
            await line.send(kind, data, seq)

    def line(self, number: int = 1) -> Line:
        """Return a connection."""
        return self.do(self.fake.line(number))


@pytest.fixture
def remote() -> Iterator[Remote]:
    """A fake server in another thread. The threads of clients have to be gone at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="server")
    thread.start()
    stack = AsyncExitStack()
    fake = asyncio.run_coroutine_threadsafe(stack.enter_async_context(fake_server()), loop).result(WAIT_SECONDS)
    try:
        yield Remote(loop, fake)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(WAIT_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert "quart-odds-client" not in {each.name for each in threading.enumerate()}


def test_messages_come_one_after_the_other(remote: Remote) -> None:
    """With the cursor to go on from; a time limit loses nothing."""
    remote.soon(remote.acknowledge(1, ("scrape_progress", progress(1), 2), ("scrape_progress", progress(2), 3)))
    with blocking.connect(remote.fake.url, transport="websocket") as stream:
        seen = []
        for message in stream:
            seen.append(message)
            if len(seen) == 3:
                break
        assert [type(each) for each in seen] == [ConnectionAck, ScrapeProgress, ScrapeProgress]
        assert (stream.cursor, stream.state) == ("5eed5eed-3", "live")
        with pytest.raises(TimeoutError):
            stream.receive(timeout=0.05)
        remote.do(remote.line().send("scrape_progress", progress(3), 4))
        last = stream.receive(timeout=WAIT_SECONDS)
        assert isinstance(last, ScrapeProgress)
        assert last.data.current == 3
    assert list(stream) == []
    assert stream.state == "closed"


def test_a_copy_is_kept_in_the_background(remote: Remote) -> None:
    """What was read before stays as it is; iterating yields the copy whenever it has changed."""
    plain = event(1, entry(outcome("1", 2.0)))
    remote.soon(remote.acknowledge(1, ("odds_image", image(plain), 2)))
    with blocking.watch_odds(remote.fake.url, event_id=1, transport="websocket", options=QUICK) as watch:
        line = remote.line()
        assert line.query["event_id"] == "1"
        before = watch.copy
        assert not watch.wait(timeout=0.02)
        remote.do(line.send("odds_change", change(1, moved("1", 2.5)), 3))
        assert watch.wait(timeout=WAIT_SECONDS)
        assert [price.odds for _, price in watch.copy.events[1].prices()] == [2.5]
        assert [price.odds for _, price in before.events[1].prices()] == [2.0]
        remote.do(line.send("odds_change", change(1, moved("1", 2.6)), 4))
        for copy in watch:
            assert [price.odds for _, price in copy.events[1].prices()] == [2.6]
            break
    assert [price.odds for _, price in watch.copy.events[1].prices()] == [2.6]
    assert not watch.wait()


def test_what_ends_a_watch_in_the_background_is_raised(remote: Remote) -> None:
    """By whatever is asked of it next; no error is lost."""
    remote.soon(remote.acknowledge(1, ("odds_image", image(event(1)), 2)))
    with blocking.watch_odds(remote.fake.url, event_id=1, transport="websocket", options=QUICK) as watch:
        remote.fake.takes_websocket = False
        remote.do(remote.line().end())
        watch.wait(WAIT_SECONDS)
        with pytest.raises(ConnectionRefused, match="status 403"):
            for _ in watch:
                pass
        with pytest.raises(ConnectionRefused):
            assert watch.copy


def test_a_gap_is_told(remote: Remote) -> None:
    """As over asyncio."""
    remote.soon(remote.acknowledge(1, ("error", {"code": "gap", "detail": "", "missed": 3}, 2)))
    with blocking.connect(remote.fake.url, transport="websocket") as stream:
        assert isinstance(next(stream), ConnectionAck)
        gap = next(stream)
        assert isinstance(gap, Gap)
        assert gap.missed == 3


def test_an_error_at_first_leaves_no_thread(remote: Remote) -> None:
    """Neither of a stream nor of a watch."""
    for make in (blocking.connect, blocking.watch_odds):
        with pytest.raises(ServerUnreachableError):
            make(closed_port()).open()


def test_a_callback_cannot_wait_for_its_own_loop(remote: Remote) -> None:
    """It would never end; so it is an error."""
    errors: list[BaseException] = []
    kept: list[blocking.Stream] = []

    def on_state(_: object) -> None:
        if kept:
            try:
                kept[0].receive()
            except RuntimeError as error:
                errors.append(error)

    remote.soon(remote.acknowledge())
    stream = blocking.connect(remote.fake.url, transport="websocket", on_state=on_state)
    kept.append(stream)
    stream.open()
    stream.close()
    assert errors
    assert "callback" in str(errors[0])

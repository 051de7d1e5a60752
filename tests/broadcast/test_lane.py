"""The mailbox of the standard lane: one write at a time, and an end that loses nothing."""

import asyncio

from quart_odds.broadcast.lane import MailboxSink


async def test_what_is_written_comes_out_in_order() -> None:
    """Each write is pending until the next one is asked for, and the flusher is notified when there is room."""
    mailbox = MailboxSink()
    freed: list[int] = []
    mailbox.on_free = lambda: freed.append(mailbox.pending())
    chunks = mailbox.chunks()
    mailbox.write(b"one")
    assert await anext(chunks) == b"one"
    assert (mailbox.pending(), freed) == (3, [])
    asyncio.get_running_loop().call_soon(mailbox.write, b"two")
    assert await anext(chunks) == b"two"
    assert freed == [0]
    await chunks.aclose()  # type: ignore[attr-defined]


async def test_close_lets_what_is_in_it_out_first() -> None:
    """Closing ends the chunks after the last one; the flusher is not asked for more."""
    mailbox = MailboxSink()
    mailbox.on_free = lambda: mailbox.write(b"too late")
    mailbox.write(b"last")
    mailbox.close()
    assert not mailbox.is_open
    assert [chunk async for chunk in mailbox.chunks()] == [b"last"]


async def test_abort_throws_away_what_is_in_it() -> None:
    """A client that is cut gets nothing more."""
    mailbox = MailboxSink()
    mailbox.write(b"lost")
    mailbox.abort()
    assert mailbox.pending() == 0
    assert [chunk async for chunk in mailbox.chunks()] == []


async def test_a_write_may_follow_from_its_having_room() -> None:
    """The flusher writes more as soon as there is room, and the chunks continue without waiting for the loop."""
    mailbox = MailboxSink()
    left = [b"2", b"3"]

    def write_on() -> None:
        if left:
            mailbox.write(left.pop(0))
        else:
            mailbox.close()

    mailbox.on_free = write_on
    mailbox.write(b"1")
    async with asyncio.timeout(30):
        assert [chunk async for chunk in mailbox.chunks()] == [b"1", b"2", b"3"]


async def test_taking_a_little_shows() -> None:
    """A client that takes its messages one by one is not stalled, but the write stays pending."""
    mailbox = MailboxSink()
    mailbox.write(b"12345")
    mailbox.took(2)
    assert mailbox.pending() == 3
    mailbox.took(3)
    assert mailbox.pending() == 1
    mailbox.abort()
    mailbox.took(1)
    assert mailbox.pending() == 0

"""What everyone who keeps a client of Redis does with it when it fails, and with a task that uses it at the end."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis.asyncio import Redis

CLOSE_SECONDS = 1.0
"""How long closing the connections may take."""
AGAIN_SECONDS = 0.1


async def disconnect(client: "Redis | None") -> None:
    """Close a client that may have failed. Errors do not matter any more."""
    if client is not None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await client.aclose()


async def end_tasks(*tasks: "asyncio.Task[None] | None") -> None:
    """Cancel tasks that use a client, and wait for their end. Their errors are not raised.

    redis-py sends each command within `asyncio.wait_for`, which in Python 3.11 loses a cancellation that arrives just
    as the command has been sent. So the cancellation is repeated: a task that loses it would go on for ever.
    """
    left = {task for task in tasks if task is not None}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)


def words_of(error: Exception) -> str:
    """Return what an error says; its type if it says nothing, as a TimeoutError does."""
    return str(error) or type(error).__name__


def no_answer(error: Exception) -> str:
    """Return the reason for people why Redis cannot be used."""
    return f"Redis does not answer: {words_of(error)}"

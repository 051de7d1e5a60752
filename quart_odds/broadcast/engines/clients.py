"""What everyone who keeps a client of Redis does with it when it fails."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis.asyncio import Redis

CLOSE_SECONDS = 1.0
"""How long closing the connections may take."""


async def disconnect(client: "Redis | None") -> None:
    """Close a client that may have failed. Errors do not matter any more."""
    if client is not None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await client.aclose()


def words_of(error: Exception) -> str:
    """Return what an error says; its type if it says nothing, as a TimeoutError does."""
    return str(error) or type(error).__name__


def no_answer(error: Exception) -> str:
    """Return the reason for people why Redis cannot be used."""
    return f"Redis does not answer: {words_of(error)}"

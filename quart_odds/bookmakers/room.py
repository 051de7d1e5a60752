"""Memory for bodies between their arrival and their decoding: small ones as they come, large ones one at a time.

As many requests may be under way as settings allow, and a body may have many megabytes: without a bound, a bookmaker
that pads its bodies takes gigabytes.
"""

import asyncio

SMALL_BYTES = 512 * 1024
"""A body received in no more than this is small: of a real event 60 KB come, compressed."""


class BodyRoom:
    """The room of one client. A body that grows large waits until no other large one is held."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._large: bytes | None = None

    def place(self) -> "Place":
        """Room for one answer."""
        return Place(self._turn)

    def hold(self, place: "Place", content: bytes) -> None:
        """The answer is there; its place stays taken until `release`."""
        if place.is_large:
            self._large = content

    def release(self, content: bytes) -> None:
        """This body is not needed any more."""
        if content is self._large:
            self._large = None
            self._turn.release()


class Place:
    """Where one answer goes while it is read."""

    def __init__(self, turn: asyncio.Semaphore) -> None:
        self.is_large = False
        self._turn = turn

    async def grow(self, size: int) -> None:
        """Called before more is read than `size` bytes; returns when there is room."""
        if size > SMALL_BYTES and not self.is_large:
            await self._turn.acquire()
            self.is_large = True

    def leave(self) -> None:
        """There will be no answer."""
        if self.is_large:
            self.is_large = False
            self._turn.release()

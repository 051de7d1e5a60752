"""Memory limit for bodies that have not been decoded yet: small ones are always accepted, large ones one at a time.

Many requests may be under way at once, and a body may have many megabytes. Without a limit, a bookmaker that pads its
bodies would use gigabytes.
"""

import asyncio

SMALL_BYTES = 512 * 1024
"""The maximum size of a small body as received. A real event takes 60 KB, compressed."""


class BodyRoom:
    """The memory of one client. A body that grows large waits until no other large one is held."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._large: bytes | None = None

    def place(self) -> "Place":
        """Return the place for a new answer."""
        return Place(self._turn)

    def hold(self, place: "Place", content: bytes) -> None:
        """Assign a complete answer to its place, which stays taken until `release`."""
        if place.is_large:
            self._large = content

    def release(self, content: bytes) -> None:
        """Free the place of this body."""
        if content is self._large:
            self._large = None
            self._turn.release()


class Place:
    """The place of one answer while it is being received."""

    def __init__(self, turn: asyncio.Semaphore) -> None:
        self.is_large = False
        self._turn = turn

    async def grow(self, size: int) -> None:
        """Wait for room before a body grows to `size` bytes."""
        if size > SMALL_BYTES and not self.is_large:
            await self._turn.acquire()
            self.is_large = True

    def leave(self) -> None:
        """Give up the place, because the request failed."""
        if self.is_large:
            self.is_large = False
            self._turn.release()

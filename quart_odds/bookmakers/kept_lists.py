"""What is kept of a bookmaker's lists from one sweep to the next, so that a sweep needs fewer requests."""

import asyncio
from collections.abc import Callable

from quart_odds.bookmakers.site import Listings

KEPT_SECONDS = 300.0
"""How long a tree is kept. A competition that is added to it meanwhile is found by the next sweep that reads it."""

DOUBTED_SECONDS = 60.0
"""How long a tree is kept if lists are shorter than it says: matches that have begun since explain the difference."""


class KeptLists:
    """The tree that was read last, and the number of pages of the list of all events. Shared by a bookmaker's clients.

    `pages` is the last page that was seen to have events, 1 if that is not known. `clock` returns seconds; without one
    it is the event loop's.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.pages = 1
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._tree: Listings | None = None
        self._read_at = 0.0
        self._is_doubted = False

    def tree(self) -> Listings | None:
        """Return the tree, or None if there is none that is young enough."""
        seconds = DOUBTED_SECONDS if self._is_doubted else KEPT_SECONDS
        if self._tree is not None and self._clock() - self._read_at >= seconds:
            self._tree = None
        return self._tree

    def keep(self, tree: Listings) -> None:
        """Keep a tree that was just read, instead of the one before."""
        self._tree = tree
        self._read_at = self._clock()
        self._is_doubted = False

    def doubt(self) -> None:
        """Keep the tree for a shorter time, because lists contradict it."""
        self._is_doubted = True

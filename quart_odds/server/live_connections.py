"""All open connections of this process, whatever they do now."""

from typing import Protocol


class Abortable(Protocol):
    """A connection that can be cut."""

    def abort(self) -> None:
        """Cut the connection."""


class LiveConnections:
    """All open connections. The drain cuts those that remain."""

    def __init__(self) -> None:
        self._live: set[Abortable] = set()

    def __len__(self) -> int:
        return len(self._live)

    def add(self, connection: Abortable) -> None:
        """Add a connection that has been opened."""
        self._live.add(connection)

    def discard(self, connection: Abortable) -> None:
        """Remove a connection that has been closed."""
        self._live.discard(connection)

    def abort(self) -> int:
        """Cut all remaining connections, and return their number."""
        left = list(self._live)
        for connection in left:
            connection.abort()
        return len(left)


live_connections = LiveConnections()

"""How many live connections there may be, in all and from one address."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address


class TooManyConnectionsError(Exception):
    """Raised when a connection would be one too many; its text says by which limit."""


class ConnectionLimits:
    """Counts live connections, WebSocket and SSE alike. A limit of 0 is none.

    `count` is how many there are now. Loopback and trusted proxies have no limit of their own: many may be behind them.
    """

    def __init__(self, most: int, most_per_address: int, trusted: tuple[str, ...] = ()) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._trusted = frozenset(trusted)
        self._addresses: Counter[str] = Counter()
        self.count = 0

    @contextmanager
    def admit(self, address: str) -> Iterator[None]:
        """Hold a place for a connection. Raises TooManyConnectionsError when there is none."""
        self.check(address)
        self._addresses[address] += 1
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
            self._addresses[address] -= 1
            if self._addresses[address] <= 0:
                del self._addresses[address]

    def check(self, address: str) -> None:
        """Raises TooManyConnectionsError when a connection from this address would be one too many."""
        if self._most and self.count >= self._most:
            raise TooManyConnectionsError(f"the server holds {self._most} live connections and takes no more now")
        if (
            self._most_per_address
            and self._addresses.get(address, 0) >= self._most_per_address
            and not (address in self._trusted or _is_loopback(address))
        ):
            raise TooManyConnectionsError(f"{address} holds {self._most_per_address} live connections already")


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address in ("", "<local>", "localhost")

"""How much there may be: of live connections or bodies, in all and from one address, and of anything in a second."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from quart_odds.domain.origins import parse_address

Networks = tuple[IPv4Network | IPv6Network, ...]

CLIENT_PREFIX = 64
"""Bits of an IPv6 address that tell clients apart: the others a client may choose itself."""

NO_ADDRESS = ("", "<local>", "localhost")
"""What stands in place of an address where a connection has none: a socket of the system's, or a test's."""


@dataclass(frozen=True, slots=True)
class Client:
    """Whom a limit per address counts. An address that was forwarded is never taken for loopback or a proxy: whoever
    claims to be one would have no limit.
    """

    address: str
    is_forwarded: bool = False

    @property
    def network(self) -> str:
        """What is counted: the address, and of IPv6 the /64 that one connection to the internet has for itself."""
        address = parse_address(self.address)
        if isinstance(address, IPv6Address):
            return str(IPv6Network((address, CLIENT_PREFIX), strict=False))
        return self.address


class TooManyConnectionsError(Exception):
    """Raised when a connection would be one too many; its text says by which limit.

    `is_of_address` says whether it was the limit of one address.
    """

    def __init__(self, text: str, *, is_of_address: bool) -> None:
        super().__init__(text)
        self.is_of_address = is_of_address


class TokenBucket:
    """Lets `at_once` tokens pass in one go and `a_second` in the long run; its clock gives seconds."""

    __slots__ = ("_a_second", "_at", "_at_once", "_clock", "_left")

    def __init__(self, a_second: float, at_once: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_second
        self._at_once = at_once
        self._clock = clock
        self._left = at_once
        self._at = clock()

    def take(self, tokens: float = 1) -> bool:
        """Take so many tokens, if there are as many; else none, and False."""
        self._fill()
        if self._left < tokens:
            return False
        self._left -= tokens
        return True

    def owe(self, tokens: float) -> float:
        """Take so many tokens, whether or not there are as many; the seconds until there is no debt."""
        self._fill()
        self._left -= tokens
        return max(0.0, -self._left / self._a_second)

    def _fill(self) -> None:
        now = self._clock()
        self._left = min(self._at_once, self._left + (now - self._at) * self._a_second)
        self._at = now


class ConnectionLimits:
    """Counts live connections, WebSocket and SSE alike, or what else is `named`. A limit of 0 is none.

    `count` is how many there are now. Loopback and trusted proxies have no limit of their own: many may be behind them.
    """

    def __init__(
        self, most: int, most_per_address: int, trusted: Networks = (), named: str = "live connections"
    ) -> None:
        self._named = named
        self._most = most
        self._most_per_address = most_per_address
        self._trusted = trusted
        self._addresses: Counter[str] = Counter()
        self.count = 0

    @contextmanager
    def admit(self, client: Client) -> Iterator[None]:
        """Hold a place for a connection. Raises TooManyConnectionsError when there is none."""
        self.check(client)
        network = client.network
        self._addresses[network] += 1
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
            self._addresses[network] -= 1
            if self._addresses[network] <= 0:
                del self._addresses[network]

    def check(self, client: Client) -> None:
        """Raises TooManyConnectionsError when a connection from this address would be one too many."""
        if self._most and self.count >= self._most:
            raise TooManyConnectionsError(
                f"the server holds {self._most} {self._named} and takes no more now", is_of_address=False
            )
        if (
            self._most_per_address
            and self._addresses.get(client.network, 0) >= self._most_per_address
            and not self._is_exempt(client)
        ):
            raise TooManyConnectionsError(
                f"{client.network} holds {self._most_per_address} {self._named} already", is_of_address=True
            )

    def _is_exempt(self, client: Client) -> bool:
        is_near = is_within(client.address, self._trusted) or _is_loopback(client.address)
        return is_near and not client.is_forwarded


def is_within(text: str, networks: Networks) -> bool:
    """Whether a text is an address in one of the networks."""
    address = parse_address(text)
    return address is not None and any(address in network for network in networks)


def _is_loopback(text: str) -> bool:
    address = parse_address(text)
    return text in NO_ADDRESS if address is None else address.is_loopback

"""Limits: on live connections and on bodies, in total and per address, and on the rate of anything per second."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from quart_odds.domain.origins import parse_address

Networks = tuple[IPv4Network | IPv6Network, ...]

CLIENT_PREFIX = 64
"""The bits of an IPv6 address that identify a client. A client can choose the other bits itself."""

NO_ADDRESS = ("", "<local>", "localhost")
"""Values that stand in for the address of a connection without one: a system socket, or one in a test."""


@dataclass(frozen=True, slots=True)
class Client:
    """The client that a limit per address counts.

    A forwarded address never counts as loopback or as a proxy. Otherwise a client could claim to be one, and have no
    limit.
    """

    address: str
    is_forwarded: bool = False

    @property
    def network(self) -> str:
        """What is counted: the address, or for IPv6 its /64, which is what one internet connection usually has."""
        address = parse_address(self.address)
        if isinstance(address, IPv6Address):
            return str(IPv6Network((address, CLIENT_PREFIX), strict=False))
        return self.address


class TooManyConnectionsError(Exception):
    """Raised when there is one connection too many. Its text names the limit.

    `is_of_address` says whether it was the limit per address.
    """

    def __init__(self, text: str, *, is_of_address: bool) -> None:
        super().__init__(text)
        self.is_of_address = is_of_address


class TokenBucket:
    """Lets `at_once` tokens pass in a burst, and `a_second` per second in the long run. Its clock returns seconds."""

    __slots__ = ("_a_second", "_at", "_at_once", "_clock", "_left")

    def __init__(self, a_second: float, at_once: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_second
        self._at_once = at_once
        self._clock = clock
        self._left = at_once
        self._at = clock()

    @property
    def is_full(self) -> bool:
        """Whether it is as a new one."""
        self._fill()
        return self._left >= self._at_once

    @property
    def left(self) -> float:
        """How many tokens may be taken now; less than none while there is a debt."""
        self._fill()
        return self._left

    def take(self, tokens: float = 1) -> bool:
        """Take that many tokens if there are enough, and return True. Otherwise take none and return False."""
        self._fill()
        if self._left < tokens:
            return False
        self._left -= tokens
        return True

    def owe(self, tokens: float) -> float:
        """Take that many tokens even if there are not enough, and return the seconds until the debt is paid."""
        self._fill()
        self._left -= tokens
        return max(0.0, -self._left / self._a_second)

    def _fill(self) -> None:
        now = self._clock()
        self._left = min(self._at_once, self._left + (now - self._at) * self._a_second)
        self._at = now


class ConnectionLimits:
    """Counts live connections (WebSocket and SSE together), or whatever `named` says. A limit of 0 means no limit.

    `count` is the current number. Loopback and trusted proxies have no limit per address, because many clients may be
    behind them.
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
        """Hold a place for a connection. Raises TooManyConnectionsError if there is none."""
        network = self.enter(client)
        try:
            yield
        finally:
            self.leave(network)

    def enter(self, client: Client) -> str:
        """Take a place, and return what to `leave` at the end. Raises TooManyConnectionsError if there is none."""
        self.check(client)
        network = client.network
        self._addresses[network] += 1
        self.count += 1
        return network

    def leave(self, network: str) -> None:
        """Give a place back."""
        self.count -= 1
        self._addresses[network] -= 1
        if self._addresses[network] <= 0:
            del self._addresses[network]

    def check(self, client: Client) -> None:
        """Raise TooManyConnectionsError if a connection from this client would be one too many."""
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
    """Return whether `text` is an address in one of the networks."""
    address = parse_address(text)
    return address is not None and any(address in network for network in networks)


def _is_loopback(text: str) -> bool:
    address = parse_address(text)
    return text in NO_ADDRESS if address is None else address.is_loopback

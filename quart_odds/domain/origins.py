"""Strict parsing of hosts and origins as they occur in requests. Results are lower case with default ports filled in.

The parsers return None for anything they cannot read exactly. Their grammar is narrower than RFC 3986 (no user, path or
zone; ASCII only) and covers what browsers send in `Host` and `Origin`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_HOST_LENGTH = 255
MAX_ADDRESS_LENGTH = 64
"""An IPv6 address with a zone is shorter."""

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.+)")


@dataclass(frozen=True, slots=True)
class Host:
    """A host and an optional port. `name` is in lower case; an IPv6 address has no brackets."""

    name: str
    port: int | None = None

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address rather than a name."""
        return parse_address(self.name) is not None

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a page. `port` is None for a scheme without a default port, such as `capacitor`."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def of(cls, scheme: str, host: Host) -> "Origin":
        """Return the origin of pages that a host serves with this scheme."""
        return cls(scheme, host.name, DEFAULT_PORTS.get(scheme) if host.port is None else host.port)

    def __str__(self) -> str:
        port = None if self.port == DEFAULT_PORTS.get(self.scheme) else self.port
        return f"{self.scheme}://{Host(self.host, port)}"


def parse_address(text: str) -> Address | None:
    """Parse an IP address, or return None. An IPv4-mapped address (`::ffff:10.0.0.1`) becomes IPv4."""
    # A handshake asks ten times for the same few addresses. Long texts, which are none, are not kept.
    return _parse_address(text) if len(text) <= MAX_ADDRESS_LENGTH else None


@lru_cache(maxsize=1024)
def _parse_address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def parse_host(text: str) -> Host | None:
    """Parse a `Host` header: a name, an IPv4 address or a bracketed IPv6 address, each with an optional port."""
    found = _HOST.fullmatch(text) if len(text) <= MAX_HOST_LENGTH else None
    if found is None:
        return None
    port = int(found[3]) if found[3] else None
    if port is not None and not 0 < port < 65536:
        return None
    if found[1]:
        address = parse_address(found[1])
        return None if address is None or ("." in found[1] and ":" not in found[1]) else Host(str(address), port)
    name = found[2].lower().removesuffix(".")
    return Host(name, port) if all(name.split(".")) else None


def parse_origin(text: str) -> Origin | None:
    """Parse an `Origin` header. Returns None for `null`, a list, a URL with a path and anything malformed."""
    found = _ORIGIN.fullmatch(text)
    host = parse_host(found[2]) if found else None
    return None if found is None or host is None else Origin.of(found[1].lower(), host)

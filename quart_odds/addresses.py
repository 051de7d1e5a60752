"""Addresses in settings: URLs, origins, hosts and networks, checked before anything starts."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network

from yarl import URL

from quart_odds.domain.origins import parse_host
from quart_odds.domain.secrets import MASK, masked

SEGMENT = re.compile("[A-Za-z0-9._~-]+")
"""A part of a path that nobody has to encode."""

MAPPED_BITS = 96
"""Length of the prefix before the IPv4 address in an IPv4-mapped IPv6 address."""

IPNetwork = IPv4Network | IPv6Network

WEB_SCHEMES = ("http", "https")


def url_with_host(text: str, allowed: str) -> URL:
    """Return a URL that has a host. Raises ValueError with what is wrong and what is allowed."""
    try:
        url = URL(text)
    except ValueError as error:
        # Some reasons quote what is before the host, which may be a password.
        raise ValueError(allowed if "@" in text else f"{error}; {allowed}") from None
    if not url.absolute or not url.host or any(letter.isspace() for letter in text):
        raise ValueError(allowed)
    if url.explicit_port == 0:
        raise ValueError(f"no server is at port 0; {allowed}")
    return url


def key_set_url(text: str) -> str:
    """Return an address of public keys: over TLS, or on this machine. Anyone on the way could give other keys."""
    allowed = "give https://host/path, or http:// for this machine"
    url = url_with_host(text, allowed)
    is_near = url.host in ("127.0.0.1", "::1", "localhost")
    if url.scheme != "https" and not (url.scheme == "http" and is_near):
        raise ValueError(allowed)
    return text


def shown_text(text: str) -> str:
    """Return text without what may be a user and a password, even if it is a URL with a mistake in it."""
    before, _, after = text.rpartition("@")
    scheme, separator, _ = before.partition("://")
    return masked(f"{scheme if separator else ''}{separator}{MASK}@{after}" if before else text)


def _is_origin_only(url: URL) -> bool:
    return url.path in ("", "/") and not url.query_string and not url.fragment and url.user is None


def origin_of_site(text: str) -> str:
    """Return scheme and host without a path: the clients add the paths of the sites."""
    allowed = "give scheme and host only, such as https://www.example.com"
    url = url_with_host(text, allowed)
    if url.scheme not in WEB_SCHEMES or not _is_origin_only(url):
        raise ValueError(allowed)
    return str(url.origin())


def proxy_url(text: str) -> str:
    """Return the URL of an HTTP proxy as it is given, which may have a user and a password."""
    allowed = "give a proxy as http://[user:password@]host:port"
    if url_with_host(text, allowed).scheme not in WEB_SCHEMES:
        raise ValueError(allowed)
    return text


def allowed_origin(text: str) -> str:
    """Return an origin in the form that browsers send. Apps may have custom schemes, such as `capacitor`."""
    allowed = (
        f"{shown_text(text)!r} matches no origin; give scheme, host and port only, such as https://app.example.com"
    )
    url = url_with_host(text, allowed)
    if url.scheme in ("ws", "wss", "file") or not _is_origin_only(url):
        raise ValueError(allowed)
    return str(url.origin())


def allowed_host(text: str) -> str:
    """Return a host name as in a `Host` header, without a port. A leading `*.` matches all subdomains."""
    shown = shown_text(text)
    allowed = f"{shown!r} is not a host name; use for example odds.example.com, or *.example.com for all subdomains"
    if text == "*":
        raise ValueError("'*' would let any web page act as this server's own; list the names")
    host = parse_host(text.removeprefix("*."))
    if host is None or host.port is not None:
        raise ValueError(allowed)
    if host.is_address:
        raise ValueError(f"{text!r} is an address, which is always allowed; list names only")
    return ("*." if text.startswith("*.") else "") + host.name


def trusted_proxy(text: str) -> IPNetwork:
    """Return the network of an address or a network. IPv4-mapped IPv6 (`::ffff:10.0.0.1`) becomes IPv4."""
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(_why_no_network(text)) from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - MAPPED_BITS))


def _why_no_network(text: str) -> str:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        shown = shown_text(text)
        return f"{shown!r} is neither an address nor a network; use for example 10.0.0.9 or 10.0.0.0/8, not a name"
    return f"{text!r} is an address in {network}; give that network, or the address alone"


def checked_root_path(text: str) -> str:
    """Return a path that begins with `/` and does not end with it, of unreserved characters; or an empty one.

    Raises ValueError.
    """
    segments = text.split("/")[1:]
    is_path = text.startswith("/") and all(SEGMENT.fullmatch(each) and each.strip(".") for each in segments)
    if text and not is_path:
        raise ValueError(
            "give a path such as /odds, which begins with / and does not end with it, of letters, digits and -._~; "
            "leave it out to serve at /"
        )
    return text

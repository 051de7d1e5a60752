"""Which addresses alerts may be sent to. Addresses are checked when connecting: a name can resolve to anything.

Only the standard library is needed, because the process that runs Apprise uses this module, too.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

SETTING = "QUART_ODDS_ALERTS_ALLOW_PRIVATE"

_NAT64 = IPv6Network("64:ff9b::/96")
"""Addresses that stand for an IPv4 address, their last 32 bits, on networks without IPv4."""

_IPV4_COMPATIBLE = IPv6Network("::/96")


def is_public(text: str) -> bool:
    """Return whether an IP address is on the public internet. False for anything that is not an address.

    An IPv6 address that stands for an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo) is as public as that one.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return all(_is_public(each) for each in (address, *_embedded(address)))


def refused(address: str) -> str:
    """Return why an address was refused, in a sentence for the operator."""
    return f"{address} is not on the public internet; {SETTING}=true allows such addresses"


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and (address.ipv4_mapped is not None or address in _NAT64):
        return True  # what counts is the embedded address
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _embedded(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or address in _IPV4_COMPATIBLE:
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [each for each in found if each is not None]

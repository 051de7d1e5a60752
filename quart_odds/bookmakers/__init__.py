"""Bookmakers: the requests to each site, and the parsing of their JSON into domain values.

A scrape opens one client per bookmaker, discovers events, fetches their bodies and has them decoded outside the event
loop.
"""

from typing import TYPE_CHECKING, Any

from quart_odds.bookmakers.bodies import RawBody
from quart_odds.bookmakers.decoder import Decoder
from quart_odds.bookmakers.decoding import decode

if TYPE_CHECKING:
    from quart_odds.bookmakers.client import BookmakerClient
    from quart_odds.bookmakers.client_pool import ClientPool, open_client
    from quart_odds.bookmakers.discovery import ListRead
    from quart_odds.bookmakers.recorder import Recorder

__all__ = [
    "BookmakerClient",
    "ClientPool",
    "Decoder",
    "ListRead",
    "RawBody",
    "Recorder",
    "decode",
    "open_client",
]

_LAZY = {
    "BookmakerClient": "client",
    "ClientPool": "client_pool",
    "ListRead": "discovery",
    "Recorder": "recorder",
    "open_client": "client_pool",
}


def __getattr__(name: str) -> Any:
    """Import the modules that use HTTP on first access, so that decoding processes start fast and stay small."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)

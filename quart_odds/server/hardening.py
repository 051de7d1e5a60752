"""Replaces Hypercorn's connection, HTTP/1.1 and WebSocket with the metered ones, for this process."""

import hypercorn.asyncio.run
import hypercorn.protocol
import hypercorn.protocol.h11
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WSStream
from wsproto.connection import Connection, ConnectionType
from wsproto.frame_protocol import FrameProtocol

from quart_odds.errors import SettingsError
from quart_odds.server.connection import MeteredTCPServer
from quart_odds.server.http11 import MeteredH11Protocol, MeteredHTTPStream
from quart_odds.server.websocket import MeteredWSStream

REPLACED: dict[tuple[object, str], type] = {
    (hypercorn.asyncio.run, "TCPServer"): MeteredTCPServer,
    (hypercorn.protocol, "H11Protocol"): MeteredH11Protocol,
    (hypercorn.protocol.h11, "HTTPStream"): MeteredHTTPStream,
    (hypercorn.protocol.h11, "WSStream"): MeteredWSStream,
}
USED: dict[type, tuple[str, ...]] = {
    TCPServer: ("run", "protocol_send", "_read_data", "_close"),
    H11Protocol: ("handle", "_check_protocol", "_maybe_recycle", "_send_error_response", "_send_h11_event"),
    HTTPStream: ("handle", "app_send"),
    WSStream: ("handle", "app_send", "_accept", "_send_wsproto_event"),
    FrameProtocol: ("_process_close",),
}


def install() -> None:
    """Harden Hypercorn; call this before serving.

    Raises SettingsError if Hypercorn lacks any of what is replaced. Serving nothing is better than serving without
    limits.
    """
    missing = [
        f"{owner.__name__}.{name}" for owner, names in USED.items() for name in names if not hasattr(owner, name)
    ]
    missing += [f"hypercorn's {name}" for owner, name in REPLACED if not hasattr(owner, name)]
    if not hasattr(Connection(ConnectionType.SERVER), "_proto"):
        missing.append("Connection._proto")
    if missing:
        raise SettingsError(
            f"the installed hypercorn and wsproto are not known to this version ({', '.join(missing)} not found), "
            "so what peers send could not be limited; install the versions in constraints.txt"
        )
    for (owner, name), replacement in REPLACED.items():
        setattr(owner, name, replacement)

"""The tools over streamable HTTP at /mcp: without sessions, each request is answered with JSON.

Who may send requests is checked here, by the rules of the server: browsers act for the author of any page they show,
and who is not plainly on this machine gets in only if everybody does. It takes no tokens: noting their use would write
to the database.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from mcp.server.transport_security import TransportSecuritySettings
from werkzeug.datastructures import Headers

from quart_odds.domain.origins import Host, Origin, parse_address, parse_host, parse_origin
from quart_odds.errors import SettingsError
from quart_odds.mcp.server import mcp_server
from quart_odds.mcp.sources import opened_source
from quart_odds.routes.access.gate import forwarding_header
from quart_odds.routes.access.refusals import refusals
from quart_odds.routes.access.same_origin import LOOPBACK_NAME, AccessPolicy
from quart_odds.server import hardening
from quart_odds.server.sockets import address_of, is_loopback, listen
from quart_odds.server.stop import stop_on_signals
from quart_odds.settings import Settings

PATH = "/mcp"
STOP_SECONDS = 1.0
"""How long a stop waits for answers that are on their way."""

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

log = structlog.get_logger(__name__)


async def serve_http(
    settings: Settings, url: str | None, token: str | None, bind: str, on_ready: Callable[[str], None]
) -> None:
    """Serve any number of clients until SIGINT or SIGTERM. `on_ready` gets the address.

    Raises SettingsError for an address beyond loopback, unless everybody may read, and StorageError.
    """
    hardening.install()
    stop = asyncio.Event()
    stop_on_signals(stop)
    sock = listen(bind, settings.write_timeout_seconds)
    with sock:
        if not is_loopback(sock) and not settings.open_to_network:
            raise SettingsError(
                f"--http {bind!r} can be reached from the network, and nobody there could get in: use 127.0.0.1, or "
                "add --open-to-network to let everybody read"
            )
        if settings.open_to_network:
            log.warning("mcp.open_to_network", bind=bind, reason="everybody who reaches this address can read all odds")
        async with opened_source(settings, url, token) as source:
            app = mcp_server(source).streamable_http_app(
                streamable_http_path=PATH,
                json_response=True,
                stateless_http=True,
                # Our own checks come first, and know networks, names below a name, and ports.
                transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            )
            address = address_of(sock) + PATH

            async def until_stopped() -> None:
                on_ready(address)
                await stop.wait()

            config = Config()
            config.bind = [f"fd://{sock.detach()}"]
            config.graceful_timeout = STOP_SECONDS
            config.include_server_header = False
            config.accesslog = config.errorlog = None
            await hypercorn_serve(Guard(app, settings), config, shutdown_trigger=until_stopped)


class Guard:
    """An ASGI app that only requests from this machine to one of our names reach, of browsers those of our own pages.

    If everybody may read, requests may be from elsewhere.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._policy = AccessPolicy.of(settings)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, words = refusal
        refusals.tell("mcp.refused", str(status), status=status, reason=words)
        body = words.encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _refusal(self, scope: Any) -> tuple[int, str] | None:
        """Return why a request is refused: its status and words; None if it is not."""
        hosts = _values(scope, b"host")
        host = parse_host(hosts[0]) if len(hosts) == 1 else None
        if host is None or not self._policy.knows(host):
            return 421, "This is not a name of this server: see QUART_ODDS_ALLOWED_HOSTS."
        origins = _values(scope, b"origin")
        if origins and not self._is_ours(origins, host):
            return 403, "Pages of this origin may not use this server: see QUART_ODDS_ALLOWED_ORIGINS."
        if not self._settings.open_to_network and not self._is_plainly_local(scope, host):
            return (
                401,
                "Only programs on this machine may use this server, unless it is started with --open-to-network.",
            )
        return None

    def _is_plainly_local(self, scope: Any, host: Host) -> bool:
        """Return whether a request has come from this machine, by itself: see `gate.is_plainly_local`."""
        peer = parse_address((scope.get("client") or ("",))[0] or "")
        if peer is None or not peer.is_loopback or self._settings.may_be_behind_proxy:
            return False
        headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
        address = parse_address(host.name)
        is_local_name = host.name == LOOPBACK_NAME if address is None else address.is_loopback
        return is_local_name and forwarding_header(headers) is None

    def _is_ours(self, origins: list[str], host: Host) -> bool:
        origin = parse_origin(origins[0]) if len(origins) == 1 else None
        ours = {Origin.of(scheme, host) for scheme in ("http", "https")}
        return origin is not None and origin in ours | self._policy.origins


def _values(scope: Any, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == name]

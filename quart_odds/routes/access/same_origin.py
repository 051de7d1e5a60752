"""Which host names, pages and addresses requests may come from.

Browsers act for the author of any page they show. A page of another site can make a browser send requests here, and
with DNS rebinding it can even make its own host name resolve to this server. So the host name (`Host`) is checked
first, and a route that changes something requires proof that one of our own pages sent the request. Programs send no
such proof. They are let through because nothing in their requests indicates a browser.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from quart import Quart, Request, Websocket, has_websocket_context, request, websocket
from werkzeug.datastructures import Headers

from quart_odds.domain.origins import DEFAULT_PORTS, Host, Origin, parse_address, parse_host, parse_origin
from quart_odds.routes.access.limits import Client, Networks, TooManyConnectionsError, is_within
from quart_odds.routes.access.problems import Problem
from quart_odds.routes.access.root_path import own_path
from quart_odds.services import EXTENSION, services

if TYPE_CHECKING:
    from quart_odds.services import Services
    from quart_odds.settings import Settings

ANY_HOST_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Monitors request these, under any host name. They change nothing and contain no odds."""

LOOPBACK_NAME = "localhost"
REFUSAL = "quart_odds.refusal"
"""The scope key of the problem with which a request is refused."""
FORWARDED = "quart_odds.forwarded"
"""The scope key of a request that another process has checked and forwarded. No client can set it."""
FOREIGN_HOST = "quart_odds.foreign_host"
"""The scope key of a request whose `Host` is no name of ours, and was replaced."""
SHOWN_LENGTH = 100
"""How many characters of a header a response repeats."""

CHECKED = "__checks_same_origin__"
"""The attribute of a view that `same_origin_only` has wrapped."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The settings for hosts, origins and proxies, parsed once. `*.example.com` matches all names below it."""

    hosts: frozenset[str]
    origins: frozenset[Origin]
    trusted_proxies: Networks

    @classmethod
    def of(cls, settings: "Settings") -> "AccessPolicy":
        """Return the policy of an app with these settings."""
        origins = (parse_origin(text) for text in settings.allowed_origins)
        return cls(
            frozenset(settings.allowed_hosts),
            frozenset(origin for origin in origins if origin is not None),
            settings.trusted_proxies,
        )

    def knows(self, host: Host) -> bool:
        """Return whether this is one of our host names, or any IP address: DNS rebinding needs a name."""
        if host.is_address or host.name == LOOPBACK_NAME or host.name in self.hosts:
            return True
        labels = host.name.split(".")
        return any("*." + ".".join(labels[place:]) in self.hosts for place in range(1, len(labels)))


def init_app(app: Quart) -> None:
    """Answer requests that were refused before they reached the app."""

    @app.before_request
    async def refuse_request() -> None:
        _raise_refusal(request.scope)

    @app.before_websocket
    async def refuse_websocket() -> None:
        _raise_refusal(websocket.scope)


def _raise_refusal(scope: Any) -> None:
    if (refusal := (scope or {}).get(REFUSAL)) is not None:
        raise refusal


def check_host(app: Quart, scope: Any) -> bool:
    """Return whether the `Host` of an ASGI scope is acceptable. Otherwise put a 421 into the scope.

    Acceptable is any name of ours, and for the paths of monitors any name at all. A request without `Host`, or with
    two, is refused as well. A name that is not ours is removed from the scope, because frameworks fail on some of the
    values that it can have.
    """
    if FORWARDED in scope:
        return True
    policy: AccessPolicy = app.extensions[EXTENSION].access
    names = [value.decode("latin-1").strip() for name, value in scope["headers"] if name.lower() == b"host"]
    host = parse_host(names[0]) if len(names) == 1 else None
    if host is not None and policy.knows(host):
        return True
    scope["headers"] = [
        *((name, value) for name, value in scope["headers"] if name.lower() != b"host"),
        (b"host", LOOPBACK_NAME.encode()),
    ]
    scope[FOREIGN_HOST] = True
    if own_path(scope) in ANY_HOST_PATHS:
        return True
    scope[REFUSAL] = _misdirected(names)
    return False


def _misdirected(names: Sequence[str]) -> Problem:
    named = f"{names[0][:SHOWN_LENGTH]!r} is not a name of this server" if len(names) == 1 else "One Host is needed"
    return Problem(
        421,
        "Misdirected request",
        f"{named}. QUART_ODDS_ALLOWED_HOSTS lists the names that it answers to, besides localhost and IP addresses.",
    )


def same_origin_only(view: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Return the view, guarded by `require_same_origin`. Every route that changes something has this decorator."""

    @wraps(view)
    async def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        require_same_origin(websocket if has_websocket_context() else request)
        return await view(*args, **kwargs)

    setattr(checked, CHECKED, True)
    return checked


def require_same_origin(asked: Request | Websocket) -> None:
    """Raise a 403 unless the request came from one of our pages, from an allowed origin, or from no browser at all.

    Proof is an `Origin` or `Sec-Fetch-Site: same-origin`. An EventSource over plain HTTP sends neither; for it, proof
    is a `Referer` of ours with `Accept: text/event-stream`. A page of another site can forge none of these.
    """
    if FORWARDED in (asked.scope or {}):
        return
    policy = services().access
    ours = own_origins(asked, policy.trusted_proxies)
    origins = asked.headers.getlist("Origin")
    if origins:
        origin = parse_origin(origins[0]) if len(origins) == 1 else None
        if origin is None or origin not in ours | policy.origins:
            raise _foreign_origin(", ".join(origins), origin, ours, asked.headers.get("Host", ""))
        return
    if asked.headers.getlist("Sec-Fetch-Site") == ["same-origin"]:
        return
    referer = _origin_of_url(asked.headers.get("Referer"))
    accept = asked.headers.get("Accept", "")
    is_event_source = asked.method == "GET" and accept.strip().lower() == "text/event-stream"
    if is_event_source and referer in ours and not any(_is_fetch_metadata(name) for name, _ in asked.headers):
        return
    if (mark := browser_mark(asked.headers, is_referer_ours=referer in ours)) is not None:
        raise Problem(
            403,
            "Not from another site",
            f"Refused: {mark} says that a browser sent this, and nothing shows that a page of this server did. "
            f"A program that looks like a browser sends an Origin: {_listed(ours)}.",
        )


def browser_mark(headers: Headers, *, is_referer_ours: bool) -> str | None:
    """Return the name of a header that only browsers send; None if a program sent the request.

    A page cannot make a browser omit all of these headers.
    """
    for name, _ in headers:
        lower = name.lower()
        if lower in ("accept-language", "cookie", "upgrade-insecure-requests"):
            return str(name)
        if _is_fetch_metadata(lower):
            return str(name)
    if "mozilla" in headers.get("User-Agent", "").lower():
        return "User-Agent"
    if "Referer" in headers and not is_referer_ours:
        return "Referer"
    return None


def _is_fetch_metadata(name: str) -> bool:
    """Return whether a header is one that no script can set, such as Sec-Fetch-Site and Sec-CH-UA."""
    lower = name.lower()
    return lower.startswith("sec-") and not lower.startswith("sec-websocket-")


def own_origins(asked: Request | Websocket, trusted_proxies: Networks) -> frozenset[Origin]:
    """Return the origins of our own pages, according to the Host of this request.

    The scheme is that of the connection, or what a trusted proxy says in `X-Forwarded-Proto`. Without that header,
    HTTPS counts as well: a proxy may terminate TLS without saying so, and a page with the same host and port is ours.
    """
    host = parse_host(asked.headers.get("Host", ""))
    if host is None:
        return frozenset()
    scheme = _forwarded_scheme(asked, trusted_proxies)
    if scheme is not None:
        return frozenset({Origin.of(scheme, host)}) if scheme in DEFAULT_PORTS else frozenset()
    schemes = ("https",) if asked.scheme in ("https", "wss") else ("http", "https")
    return frozenset(Origin.of(scheme, host) for scheme in schemes)


def is_encrypted(asked: Request | Websocket, trusted_proxies: Networks) -> bool:
    """Return whether the client speaks TLS, to this server or to a trusted proxy that says so."""
    return (_forwarded_scheme(asked, trusted_proxies) or asked.scheme) in ("https", "wss")


def _forwarded_scheme(asked: Request | Websocket, trusted_proxies: Networks) -> str | None:
    """Return the scheme that a trusted proxy names; None if none does."""
    forwarded = ",".join(asked.headers.getlist("X-Forwarded-Proto"))
    if not forwarded or not is_within(peer_of(asked), trusted_proxies):
        return None
    # Some proxies send ws and wss for a WebSocket.
    return forwarded.rpartition(",")[2].strip().lower().replace("ws", "http")


def client_of(asked: Request | Websocket, trusted_proxies: Networks) -> Client:
    """Return the client: the connection's peer, or, behind trusted proxies, the last address that is not theirs.

    Each proxy may add a header line of its own; the lines form a single list. What a client may have written there
    itself is not trusted: see `Client.is_forwarded`.
    """
    peer = peer_of(asked)
    if not is_within(peer, trusted_proxies):
        return Client(_normal(peer) or peer)
    hops = [hop for line in asked.headers.getlist("X-Forwarded-For") for hop in line.split(",")]
    if not hops:
        return Client(_normal(peer) or peer)
    address = ""
    for hop in reversed(hops):
        address = _normal(hop.strip()) or "unknown"
        if not is_within(address, trusted_proxies):
            break
    return Client(address, is_forwarded=True)


def check_room(parts: "Services", client: Client) -> None:
    """Raise a 503 while draining, or if the connection would be one too many."""
    if parts.is_draining:
        raise Problem(
            503, "Shutting down", "The server is being restarted; come back in a moment.", headers={"Retry-After": "2"}
        )
    try:
        parts.limits.check(client)
    except TooManyConnectionsError as error:
        raise Problem(503, "Too many connections", str(error), headers={"Retry-After": "10"}) from None


def peer_of(asked: Request | Websocket) -> str:
    """Return the address at the other end of the connection; empty for a Unix socket."""
    scope: Mapping[str, Any] = asked.scope or {}
    return (scope.get("client") or ("",))[0] or ""


def _normal(text: str) -> str | None:
    """Return an address without port and brackets, as IPv4 if it is IPv4-mapped; None if it is not an address."""
    address = parse_address(text)
    if address is None:
        host = parse_host(text)
        address = parse_address(host.name) if host is not None else None
    return None if address is None else str(address)


def _origin_of_url(url: str | None) -> Origin | None:
    """Return the origin of a page's URL, as in Referer."""
    scheme, mark, rest = (url or "").partition("://")
    return parse_origin(f"{scheme}{mark}{rest.partition('/')[0].partition('?')[0]}") if mark else None


def _foreign_origin(shown: str, origin: Origin | None, ours: frozenset[Origin], host: str) -> Problem:
    advice = ""
    if origin is not None and origin.host in {each.host for each in ours}:
        advice = (
            f" The Host header is {host[:SHOWN_LENGTH]!r}: a proxy has to pass it on as the browser sent it, with its"
            " port (nginx: proxy_set_header Host $http_host)."
        )
    return Problem(
        403,
        "Not from another site",
        f"Refused: the origin {shown[:SHOWN_LENGTH]!r} is not ours, which is {_listed(ours)}.{advice} "
        "QUART_ODDS_ALLOWED_ORIGINS lists the other origins that may connect and start work.",
    )


def _listed(origins: frozenset[Origin]) -> str:
    return " or ".join(sorted(str(each) for each in origins)) or "none by the Host of this request"

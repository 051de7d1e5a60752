"""Who may ask: by which name of ours, from which page, and from which address.

Browsers act for whoever made the page that they show. A page of another site can make a browser send requests here,
and by DNS rebinding it can even make its own name lead here. So the name is checked first (`Host`), and a route that
changes something wants proof that a page of ours sent the request. Programs send no such proof: they pass because
nothing about their requests says that they come from a browser.
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
from quart_odds.services import EXTENSION, services

if TYPE_CHECKING:
    from quart_odds.services import Services
    from quart_odds.settings import Settings

ANY_HOST_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked for by monitors, under whatever name they know; they change nothing and hold no odds."""

LOOPBACK_NAME = "localhost"
REFUSAL = "quart_odds.refusal"
"""Where a scope holds the problem for which a request is refused."""
SHOWN_LENGTH = 100
"""How much of a header an answer repeats."""

CHECKED = "__checks_same_origin__"
"""The attribute of a view that `same_origin_only` has wrapped."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What settings say of hosts, origins and proxies, parsed once. `*.example.com` stands for all names below it."""

    hosts: frozenset[str]
    origins: frozenset[Origin]
    trusted_proxies: Networks

    @classmethod
    def of(cls, settings: "Settings") -> "AccessPolicy":
        """The policy of an app."""
        origins = (parse_origin(text) for text in settings.allowed_origins)
        return cls(
            frozenset(settings.allowed_hosts),
            frozenset(origin for origin in origins if origin is not None),
            settings.trusted_proxies,
        )

    def knows(self, host: Host) -> bool:
        """Whether this is a name or an address of ours. Any address is: DNS rebinding needs a name."""
        if host.is_address or host.name == LOOPBACK_NAME or host.name in self.hosts:
            return True
        labels = host.name.split(".")
        return any("*." + ".".join(labels[place:]) in self.hosts for place in range(1, len(labels)))


def init_app(app: Quart) -> None:
    """Answer what was refused before it came to the app."""

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
    """Whether an ASGI scope's `Host` is a name of ours, or need not be; else a 421 is noted in the scope.

    A request without `Host`, or with two, is refused as well. A name that is not ours is taken out of the scope:
    frameworks fail at some of what may stand there.
    """
    policy: AccessPolicy = app.extensions[EXTENSION].access
    names = [value.decode("latin-1").strip() for name, value in scope["headers"] if name.lower() == b"host"]
    host = parse_host(names[0]) if len(names) == 1 else None
    if host is not None and policy.knows(host):
        return True
    scope["headers"] = [
        *((name, value) for name, value in scope["headers"] if name.lower() != b"host"),
        (b"host", LOOPBACK_NAME.encode()),
    ]
    if scope["path"] in ANY_HOST_PATHS:
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
    """The view, behind `require_same_origin`. Every route that changes something has this decorator."""

    @wraps(view)
    async def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        require_same_origin(websocket if has_websocket_context() else request)
        return await view(*args, **kwargs)

    setattr(checked, CHECKED, True)
    return checked


def require_same_origin(asked: Request | Websocket) -> None:
    """Raise a 403 unless a page of ours or of an allowed origin sent this, or no browser did.

    Proof is an `Origin`, or `Sec-Fetch-Site: same-origin`, or, for an EventSource over plain HTTP, which sends neither,
    a `Referer` of ours with `Accept: text/event-stream`. A page of another site can forge none of them.
    """
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
    """The header that only browsers send, or None: then it was a program. Browsers cannot be made to leave all out."""
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
    """Whether a header is one of those that no script can set, such as Sec-Fetch-Site and Sec-CH-UA."""
    lower = name.lower()
    return lower.startswith("sec-") and not lower.startswith("sec-websocket-")


def own_origins(asked: Request | Websocket, trusted_proxies: Networks) -> frozenset[Origin]:
    """The origins of our own pages, by the Host of this request.

    The scheme is the connection's, or what a trusted proxy says in `X-Forwarded-Proto`. Without that, HTTPS counts as
    well: a proxy may do TLS and not say so, and a page of the same host and port is ours.
    """
    host = parse_host(asked.headers.get("Host", ""))
    if host is None:
        return frozenset()
    forwarded = ",".join(asked.headers.getlist("X-Forwarded-Proto"))
    if forwarded and is_within(_peer(asked), trusted_proxies):
        # Some proxies say ws and wss of a WebSocket.
        scheme = forwarded.rpartition(",")[2].strip().lower().replace("ws", "http")
        return frozenset({Origin.of(scheme, host)}) if scheme in DEFAULT_PORTS else frozenset()
    schemes = ("https",) if asked.scheme in ("https", "wss") else ("http", "https")
    return frozenset(Origin.of(scheme, host) for scheme in schemes)


def client_of(asked: Request | Websocket, trusted_proxies: Networks) -> Client:
    """The client: the connection's peer, or what trusted proxies forwarded: the last address that is not theirs.

    Each proxy may have added a line of its own, which stands for one more item of the same list. Nothing is believed of
    what a client may have written there itself; see `Client.is_forwarded`.
    """
    peer = _peer(asked)
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
    """Raise a 503 while draining, or when the connection would be one too many."""
    if parts.is_draining:
        raise Problem(
            503, "Shutting down", "The server is being restarted; come back in a moment.", headers={"Retry-After": "2"}
        )
    try:
        parts.limits.check(client)
    except TooManyConnectionsError as error:
        raise Problem(503, "Too many connections", str(error), headers={"Retry-After": "10"}) from None


def _peer(asked: Request | Websocket) -> str:
    """The address at the other end of the connection; empty for a Unix socket."""
    scope: Mapping[str, Any] = asked.scope or {}
    return (scope.get("client") or ("",))[0] or ""


def _normal(text: str) -> str | None:
    """An address without port and brackets, IPv4 where it is mapped; None for what is no address."""
    address = parse_address(text)
    if address is None:
        host = parse_host(text)
        address = parse_address(host.name) if host is not None else None
    return None if address is None else str(address)


def _origin_of_url(url: str | None) -> Origin | None:
    """The origin of a page by its URL, as in Referer."""
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

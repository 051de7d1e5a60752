"""Who is asking: not pages of strangers, and not more than there is room for."""

import re

from quart import Request, Websocket
from yarl import URL

from quart_odds.limits import Networks, TooManyConnectionsError, is_within, parsed_address
from quart_odds.routes.problems import Problem
from quart_odds.services import Services

_WITH_PORT = re.compile(r"\[([^\]]*)\](?::[0-9]+)?|([^:]*):[0-9]+")
"""An address with its port, as some proxies forward it."""


def refuse_strangers(asked: Request | Websocket, allowed_origins: tuple[str, ...]) -> None:
    """Raise a 403 for a request that a page of another site made.

    Browsers say so by `Origin` (always on WebSocket and POST) and `Sec-Fetch-Site`; programs send neither, and pass.
    """
    origin = asked.headers.get("Origin")
    if origin is not None:
        if not _is_known(origin, allowed_origins, asked.headers.get("Host", "")):
            raise _stranger(f"the origin {origin} is not ours")
        return
    site = asked.headers.get("Sec-Fetch-Site", "none")
    if site not in ("same-origin", "none"):
        raise _stranger(f"a {site} request")


def _is_known(text: str, allowed_origins: tuple[str, ...], host: str) -> bool:
    try:
        url = URL(text)
        origin = str(url.origin())
    except ValueError:
        return False
    return origin in allowed_origins or url.raw_authority == host.lower()


def _stranger(why: str) -> Problem:
    return Problem(
        403,
        "Not from another site",
        f"Refused: {why}. QUART_ODDS_ALLOWED_ORIGINS lists the other origins that may connect and start work.",
    )


def client_address(asked: Request | Websocket, trusted_proxies: Networks) -> str:
    """The address of the client: the connection's, or behind trusted proxies the last one they did not add."""
    address = _plain(asked.headers.get("Remote-Addr", ""))
    if is_within(address, trusted_proxies):
        # Each proxy may have added a line of its own, which stands for one more item of the same list.
        for hop in reversed(",".join(asked.headers.getlist("X-Forwarded-For")).split(",")):
            address = _plain(hop.strip()) or address
            if not is_within(address, trusted_proxies):
                break
    return address


def _plain(text: str) -> str:
    """An address in one form, whatever the form in which it came: without a port, and IPv4 as such."""
    if (found := _WITH_PORT.fullmatch(text)) is not None:
        text = found[1] or found[2] or ""
    address = parsed_address(text)
    return text if address is None else str(address)


def check_room(services: Services, address: str) -> None:
    """Raise a 503 while draining, or when the connection would be one too many."""
    if services.is_draining:
        raise Problem(
            503, "Shutting down", "The server is being restarted; come back in a moment.", headers={"Retry-After": "2"}
        )
    try:
        services.limits.check(address)
    except TooManyConnectionsError as error:
        raise Problem(503, "Too many connections", str(error), headers={"Retry-After": "10"}) from None

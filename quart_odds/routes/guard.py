"""Who is asking: not pages of strangers, and not more than there is room for."""

from urllib.parse import urlsplit

from quart import Request, Websocket

from quart_odds.limits import TooManyConnectionsError
from quart_odds.routes.problems import Problem
from quart_odds.services import Services


def refuse_strangers(asked: Request | Websocket, allowed_origins: tuple[str, ...]) -> None:
    """Raise a 403 for a request that a page of another site made.

    Browsers say so by `Origin` (always on WebSocket and POST) and `Sec-Fetch-Site`; programs send neither, and pass.
    """
    origin = asked.headers.get("Origin")
    if origin is not None:
        if origin.rstrip("/") not in allowed_origins and urlsplit(origin).netloc != asked.headers.get("Host"):
            raise _stranger(f"the origin {origin} is not ours")
        return
    site = asked.headers.get("Sec-Fetch-Site", "none")
    if site not in ("same-origin", "none"):
        raise _stranger(f"a {site} request")


def _stranger(why: str) -> Problem:
    return Problem(
        403,
        "Not from another site",
        f"Refused: {why}. QUART_ODDS_ALLOWED_ORIGINS lists the other origins that may connect and start work.",
    )


def client_address(asked: Request | Websocket, trusted_proxies: tuple[str, ...]) -> str:
    """The address of the client: the connection's, or behind trusted proxies the last one they did not add."""
    address: str = asked.headers.get("Remote-Addr", "")
    if address in trusted_proxies:
        for hop in reversed(asked.headers.get("X-Forwarded-For", "").split(",")):
            address = hop.strip() or address
            if address not in trusted_proxies:
                break
    return address


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

"""Checks of this machine: its limit of open files, and the address to listen on."""

import asyncio

import aiohttp

from quart_odds.doctor.findings import Finding, failed, ok, warning
from quart_odds.errors import SettingsError
from quart_odds.server.serve import OTHER_FILES
from quart_odds.server.sockets import file_limit, listen, split_bind

ANSWER_SECONDS = 2.0
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Addresses that mean all of this machine's, and one of them."""


def open_files(most_connections: int) -> Finding:
    """Return whether the system allows as many open files as the settings allow live connections (0: any number)."""
    limit, wanted = file_limit(), most_connections + OTHER_FILES
    detail = f"{limit} open files are allowed, and {most_connections or 'any number of'} live connections"
    facts = {"limit": limit, "max_connections": most_connections}
    if limit < wanted:
        advice = f"raise the hard limit (LimitNOFILE=, ulimit -Hn) to {wanted}, or lower QUART_ODDS_MAX_CONNECTIONS"
        return warning("files", detail, advice, **facts)
    return ok("files", detail, **facts)


async def port(bind: str, write_timeout_seconds: float) -> Finding:
    """Return whether a server can listen at HOST:PORT. Raises SettingsError if that is no address.

    It is fine, too, if Quart Odds listens there already.
    """
    host, number = split_bind(bind)
    try:
        listen(bind, write_timeout_seconds).close()
    except SettingsError as error:
        version = await _quart_odds_at(ANY.get(host, host), number)
        if version is not None:
            return ok("port", f"Quart Odds {version} listens at {bind}", is_free=False, version=version)
        return failed("port", str(error), "choose another address with --bind, or stop what listens there")
    return ok("port", f"{bind} is free", is_free=True)


async def _quart_odds_at(host: str, number: int) -> str | None:
    """Return the version of the server that listens at an address; None if that is not Quart Odds."""
    url = f"http://{f'[{host}]' if ':' in host else host}:{number}/healthz"
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            aiohttp.ClientSession() as session,
            session.get(url, allow_redirects=False) as response,
        ):
            told = await response.json()
            return str(told["version"]) if told["status"] == "ok" else None
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, LookupError, TypeError):
        return None

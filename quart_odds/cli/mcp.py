"""`quart-odds mcp`: tools for language models, over standard streams or HTTP."""

import asyncio
import sys
from importlib.util import find_spec

import click

from quart_odds.cli.options import examples
from quart_odds.cli.runner import QUIET
from quart_odds.cli.serve import allowing_its_own_name
from quart_odds.cli.stand_ins import not_given
from quart_odds.errors import MissingExtraError
from quart_odds.settings import load_settings


@click.command(
    "mcp",
    epilog=examples(
        "quart-odds mcp                              # for a client that starts it",
        "quart-odds mcp --url http://127.0.0.1:8000  # from a running server",
        "quart-odds mcp --http 127.0.0.1:8100        # at http://127.0.0.1:8100/mcp",
    ),
)
@click.option("--http", metavar="HOST:PORT", help="Serve at http://HOST:PORT/mcp, not over standard streams.")
@click.option("--url", metavar="URL", help="Ask the server at this address, not the database.")
@click.option(
    "--token", envvar="QUART_ODDS_TOKEN", metavar="TOKEN", help="A token of the server. Better: set QUART_ODDS_TOKEN."
)
@click.option("--open-to-network", is_flag=True, help="With --http, let everybody read, also from elsewhere.")
def mcp_command(http: str | None, url: str | None, token: str | None, open_to_network: bool) -> None:
    """Offer odds to language models as tools that only read (Model Context Protocol). See docs/mcp.md."""
    from quart_odds.logs import ensure_logging

    if open_to_network and http is None:
        raise click.UsageError("--open-to-network is for --http")
    _check_installed()
    settings = load_settings(None, **not_given(QUIET))
    ensure_logging(settings)  # to standard error: standard output is the protocol's
    if http is None:
        from quart_odds.mcp.stdio import serve_stdio

        asyncio.run(serve_stdio(settings, url, token))
    else:
        from quart_odds.mcp.http import serve_http

        if open_to_network:
            settings = settings.model_copy(update={"open_to_network": True})
        asyncio.run(serve_http(allowing_its_own_name(settings, http), url, token, http, _announce))


def _check_installed() -> None:
    """Raise MissingExtraError if the official package is not installed."""
    if find_spec("mcp") is None:
        raise MissingExtraError("quart-odds mcp", "mcp")


def _announce(address: str) -> None:
    click.echo(f"The tools of Quart Odds are at {address}")
    sys.stdout.flush()

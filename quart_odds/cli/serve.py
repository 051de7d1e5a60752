"""`quart-odds serve`: the server with its page and API."""

import sys

import click

from quart_odds.cli.options import DEFAULT_BIND, sandbox_options
from quart_odds.cli.runner import run_command
from quart_odds.cli.stand_ins import stand_ins
from quart_odds.cli.streams import drop_stdout
from quart_odds.settings import Settings


@click.command("serve")
@click.option("--bind", default=DEFAULT_BIND, show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option("--open-to-network", is_flag=True, help="Allow an address that others can reach: there is no login.")
@sandbox_options
def serve_command(bind: str, open_to_network: bool, sandbox: bool, events: int, latency_ms: int) -> None:
    """Serve the page and the API. Settings come from QUART_ODDS_* in the environment: docs/settings.md."""
    import structlog

    from quart_odds.server.serve import serve_settings

    def announce(address: str) -> None:
        try:
            click.echo(f"Quart Odds is at {address}")
            sys.stdout.flush()
        except OSError as error:
            # Nobody reads it, or there is no room for it: that is no reason not to serve.
            drop_stdout()
            structlog.get_logger(__name__).warning("server.address_not_printed", address=address, reason=str(error))

    async def work(settings: Settings) -> None:
        await serve_settings(settings, bind, open_to_network=open_to_network, on_ready=announce)

    run_command(work, stand_ins(sandbox, events, latency_ms))

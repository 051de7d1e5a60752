"""`quart-odds serve`: the server with its pages and API."""

import sys

import click

from quart_odds.cli.options import DEFAULT_BIND, sandbox_options
from quart_odds.cli.runner import run_command
from quart_odds.cli.stand_ins import stand_ins
from quart_odds.cli.streams import drop_stdout
from quart_odds.settings import Settings


@click.command("serve")
@click.option("--bind", default=DEFAULT_BIND, show_default=True, metavar="HOST:PORT", help="Address to listen on.")
@click.option("--open-to-network", is_flag=True, help="Allow an address that others can reach. There is no login.")
@sandbox_options
def serve_command(bind: str, open_to_network: bool, sandbox: bool, events: int, latency_ms: int) -> None:
    """Serve the pages and the API. Settings are QUART_ODDS_* environment variables: see docs/settings.md."""
    import structlog

    from quart_odds.app import create_app
    from quart_odds.server.serve import serve
    from quart_odds.storage.network_files import refuse_network_file

    def announce(address: str) -> None:
        try:
            click.echo(f"Quart Odds is at {address}")
            sys.stdout.flush()
        except OSError as error:
            # Standard output has no reader, or its disk is full. The server works all the same.
            drop_stdout()
            structlog.get_logger(__name__).warning("server.address_not_printed", address=address, reason=str(error))

    async def work(settings: Settings) -> None:
        refuse_network_file(settings.database_url)
        app = create_app(_allowing_its_own_name(settings, bind))
        await serve(app, bind, open_to_network=open_to_network, on_ready=announce)

    run_command(work, stand_ins(sandbox, events, latency_ms))


def _allowing_its_own_name(settings: Settings, bind: str) -> Settings:
    """The settings, with the host name of `--bind` allowed: a server bound to a name is addressed by it."""
    from quart_odds.domain.origins import parse_host
    from quart_odds.server.sockets import split_bind

    host, _ = split_bind(bind)
    named = parse_host(host)
    if named is None or named.is_address:
        return settings
    return settings.model_copy(update={"allowed_hosts": (*settings.allowed_hosts, named.name)})

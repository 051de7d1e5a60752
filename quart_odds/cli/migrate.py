"""`quart-odds migrate`: upgrades the database."""

import asyncio

import click

from quart_odds.cli.options import examples
from quart_odds.settings import load_settings


@click.command(
    "migrate",
    epilog=examples("quart-odds migrate", "QUART_ODDS_DATABASE_URL=sqlite:///odds.db quart-odds migrate"),
)
def migrate_command() -> None:
    """Upgrade the database to the newest revision. `serve` does this by itself."""
    from quart_odds.storage import migrate as migrate_database

    revision = asyncio.run(migrate_database(load_settings().database_url))
    click.echo(f"The database is at revision {revision}.")

"""`quart-odds migrate`: brings the database to the newest form."""

import asyncio

import click

from quart_odds.settings import load_settings


@click.command("migrate")
def migrate_command() -> None:
    """Bring the database to the newest form. `serve` does it by itself."""
    from quart_odds.storage import migrate as migrate_database

    revision = asyncio.run(migrate_database(load_settings().database_url))
    click.echo(f"The database is at revision {revision}.")

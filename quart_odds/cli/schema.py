"""`quart-odds schema`: prints the descriptions of the API that a server would serve."""

import click
import orjson

from quart_odds.cli.options import examples
from quart_odds.settings import load_settings


@click.command(
    "schema",
    epilog=examples("quart-odds schema openapi > openapi.json", "quart-odds schema asyncapi | jq -r .info.version"),
)
@click.argument("kind", type=click.Choice(["openapi", "asyncapi"]))
def schema_command(kind: str) -> None:
    """Print the description of the API (openapi), or of the messages on WebSocket and SSE (asyncapi), as JSON.

    It is what a server with the same settings serves. No database is opened.
    """
    # Imported on demand: other commands need none of it.
    from quart_odds.app import create_app
    from quart_odds.routes.api.openapi import document_of
    from quart_odds.routes.operations.asyncapi import document

    settings = load_settings()
    described = document_of(create_app(settings)) if kind == "openapi" else document(settings.root_path)
    click.echo(orjson.dumps(described, option=orjson.OPT_INDENT_2))

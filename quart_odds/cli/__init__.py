"""The command line: `quart-odds COMMAND`. See docs/cli.md."""

import click

from quart_odds import __version__
from quart_odds.cli.alerts import alerts_command
from quart_odds.cli.completion import completion_command
from quart_odds.cli.config import config_command
from quart_odds.cli.coverage import coverage_command
from quart_odds.cli.doctor import doctor_command
from quart_odds.cli.export import export_command
from quart_odds.cli.group import CommandGroup
from quart_odds.cli.mcp import mcp_command
from quart_odds.cli.migrate import migrate_command
from quart_odds.cli.options import examples
from quart_odds.cli.record import record_command
from quart_odds.cli.schema import schema_command
from quart_odds.cli.scrape import scrape_command
from quart_odds.cli.serve import serve_command
from quart_odds.cli.token import token_command
from quart_odds.cli.watch import watch_command


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "quart-odds serve --sandbox        # try it: no request goes to a bookmaker",
        "quart-odds doctor                 # would it work here?",
        "quart-odds export > odds.csv",
    ),
)
@click.version_option(__version__, prog_name="quart-odds")
def main() -> None:
    """Football odds from several bookmakers, matched and streamed live."""


for command in (
    serve_command,
    scrape_command,
    watch_command,
    record_command,
    export_command,
    coverage_command,
    alerts_command,
    token_command,
    schema_command,
    mcp_command,
    migrate_command,
    config_command,
    doctor_command,
    completion_command,
):
    main.add_command(command)

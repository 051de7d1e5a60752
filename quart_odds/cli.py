"""The command line: `quart-odds serve · scrape · watch · sandbox · record · migrate`."""

import asyncio
import os
import sys
from typing import Any

import click

from quart_odds import __version__
from quart_odds.errors import QuartOddsError, SettingsError
from quart_odds.settings import PREFIX, Settings, load_settings

DEFAULT_BIND = "127.0.0.1:8000"
SANDBOX_DATABASE = "sqlite:///quart-odds-sandbox.db"
SANDBOX_PACE = {"betpawa_concurrency": 4, "sportybet_concurrency": 5, "bet9ja_concurrency": 3}
"""Few requests at once, so that sixty events take about ten seconds."""


class _Group(click.Group):
    """Commands whose errors are sentences, not tracebacks."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; our own errors end it with their text."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise click.UsageError(str(error)) from None
        except QuartOddsError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Group)
@click.version_option(__version__, prog_name="quart-odds")
def main() -> None:
    """Football odds from BetPawa, SportyBet and Bet9ja, matched and told live."""


@main.command()
@click.option("--bind", default=DEFAULT_BIND, show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option("--sandbox", is_flag=True, help="Start stand-in bookmakers beside it, with a database of its own.")
@click.option("--events", default=60, show_default=True, help="Events that the stand-in bookmakers have.")
@click.option("--latency-ms", default=400, show_default=True, help="How long the stand-in bookmakers take to answer.")
def serve(bind: str, sandbox: bool, events: int, latency_ms: int) -> None:
    """Serve the page and the API. Settings come from QUART_ODDS_…: docs/settings.md."""
    from quart_odds.logs import configure_logging
    from quart_odds.server.serve import run_in_loop, serve_settings

    settings = load_settings()
    if not sandbox:
        configure_logging(settings)
        run_in_loop(lambda: serve_settings(settings, bind, on_ready=_announce))
        return
    _serve_with_sandbox(bind, events, latency_ms)


def _serve_with_sandbox(bind: str, events: int, latency_ms: int) -> None:
    from quart_odds.logs import configure_logging
    from quart_odds.sandbox import SandboxOptions, sandbox_process
    from quart_odds.sandbox.process import SandboxStartError
    from quart_odds.server.serve import run_in_loop, serve_settings

    async def both() -> None:
        options = SandboxOptions(events=events, latency_ms=latency_ms, jitter_ms=latency_ms // 2)
        async with sandbox_process(options) as sandbox:
            settings = sandbox_settings({str(platform): url for platform, url in sandbox.urls.items()})
            configure_logging(settings)
            await serve_settings(settings, bind, on_ready=_announce)

    load_settings()
    try:
        run_in_loop(both)
    except SandboxStartError as error:
        raise click.ClickException(str(error)) from error


def sandbox_settings(urls: dict[str, str]) -> Settings:
    """Settings for stand-in bookmakers, where the environment does not say otherwise.

    They have a database of their own, so that invented odds never mix with real ones, and a pace that can be watched.
    """
    given = {name for name in os.environ if name.startswith(PREFIX)}
    defaults: dict[str, Any] = {"database_url": SANDBOX_DATABASE, **SANDBOX_PACE}
    overrides = {name: value for name, value in defaults.items() if PREFIX + name.upper() not in given}
    return load_settings(None, **overrides, **{f"{platform}_url": url for platform, url in urls.items()})


def _announce(address: str) -> None:
    click.echo(f"Quart Odds is at {address}")
    sys.stdout.flush()


@main.command()
def migrate() -> None:
    """Bring the database to the newest form. `serve` does it by itself."""
    from quart_odds.storage import migrate as migrate_database

    revision = asyncio.run(migrate_database(load_settings().database_url))
    click.echo(f"The database is at revision {revision}.")


def _add_commands() -> None:
    from quart_odds.sandbox import sandbox_command

    main.add_command(sandbox_command)


_add_commands()

if __name__ == "__main__":
    main()

"""The command line: `quart-odds serve · scrape · watch · record · coverage · sandbox · migrate`. See docs/cli.md."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from quart_odds import __version__
from quart_odds.cli.streams import drop_stdout, is_stdout_broken, prepare_streams, run_while_read
from quart_odds.domain.platforms import Platform
from quart_odds.domain.secrets import masked
from quart_odds.domain.text import printable
from quart_odds.errors import QuartOddsError, SettingsError
from quart_odds.settings import PREFIX, Settings, load_settings

if TYPE_CHECKING:
    from quart_odds.sandbox import SandboxOptions
    from quart_odds.scraping.schemas import ScrapeProgress

DEFAULT_BIND = "127.0.0.1:8000"
SANDBOX_DATABASE = "sqlite:///quart-odds-sandbox.db"
SANDBOX_PACE = {"betpawa_concurrency": 4, "sportybet_concurrency": 5, "bet9ja_concurrency": 3}
"""Few requests at once, so that sixty events take about ten seconds."""
QUIET = {"log_level": "warning"}
"""For commands that show their progress themselves."""

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., object])


class _Group(click.Group):
    """Commands whose errors are sentences, not tracebacks.

    `sandbox` is imported when it is asked for: the decoding processes import this module, and should stay small.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted([*super().list_commands(ctx), "sandbox"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name."""
        if cmd_name == "sandbox":
            from quart_odds.sandbox import sandbox_command

            return sandbox_command
        return super().get_command(ctx, cmd_name)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command from the command line, on whatever standard streams there are."""
        prepare_streams()
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if not is_stdout_broken():
                raise
            drop_stdout()
            click.echo(f"Error: standard output cannot be written: {error.strerror or error}", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; our own errors, and files that cannot be had, end it with their text."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            # It shows nothing of what was given, and examples with passwords of what is allowed.
            raise click.UsageError(printable(str(error))) from None
        except QuartOddsError as error:
            raise click.ClickException(_shown(error)) from None
        except OSError as error:
            if error.filename is None:
                raise
            raise click.ClickException(f"{os.fsdecode(error.filename)}: {error.strerror or error}") from None


def _shown(error: QuartOddsError) -> str:
    return printable(masked(error.for_operator))


@click.group(cls=_Group)
@click.version_option(__version__, prog_name="quart-odds")
def main() -> None:
    """Football odds from BetPawa, SportyBet and Bet9ja, matched and told live."""


def _sandbox_options(command: Command) -> Command:
    for option in (
        click.option("--latency-ms", default=340, show_default=True, help="How long the stand-ins take to answer."),
        click.option("--events", default=60, show_default=True, help="Events that the stand-ins have."),
        click.option("--sandbox", is_flag=True, help="Start stand-in bookmakers, with a database of their own."),
    ):
        command = option(command)
    return command


_platforms = click.option(
    "--platform",
    "platforms",
    multiple=True,
    type=click.Choice([each.value for each in Platform]),
    help="Only this one; may be repeated.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print each progress as a line of JSON.")


@main.command()
@click.option("--bind", default=DEFAULT_BIND, show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option("--open-to-network", is_flag=True, help="Allow an address that others can reach: there is no login.")
@_sandbox_options
def serve(bind: str, open_to_network: bool, sandbox: bool, events: int, latency_ms: int) -> None:
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

    _run(work, _stand_ins(sandbox, events, latency_ms))


@main.command()
@_platforms
@_json
@_sandbox_options
def scrape(platforms: tuple[str, ...], as_json: bool, sandbox: bool, events: int, latency_ms: int) -> None:
    """Scrape once, here, and show it live.

    Ends with 0 when all went well, 3 when a bookmaker failed, 1 when all did or it was cancelled.
    """
    from quart_odds.cli.one_shot_run import scrape_once
    from quart_odds.cli.terminal import exit_code, opened_screen

    async def work(settings: Settings) -> "ScrapeProgress | None":
        with opened_screen(as_json=as_json) as screen:
            return await run_while_read(scrape_once(settings, [Platform(each) for each in platforms], screen.tell))

    _exit(exit_code(_run(work, _stand_ins(sandbox, events, latency_ms), QUIET)))


@main.command()
@click.argument("url", default=f"http://{DEFAULT_BIND}")
@click.option("--once", is_flag=True, help="End with the run that is going or comes next, with an exit code as scrape.")
@_json
def watch(url: str, once: bool, as_json: bool) -> None:
    """Show the runs of a server live; comes back with its cursor whenever the connection is lost."""
    from quart_odds.cli.terminal import exit_code, opened_screen
    from quart_odds.cli.watcher import Watcher
    from quart_odds.server.serve import run_in_loop

    last: list[ScrapeProgress] = []

    async def follow() -> None:
        with opened_screen(as_json=as_json) as screen:
            async with contextlib.aclosing(Watcher(url, on_state=screen.say).follow()) as progresses:
                async for progress in progresses:
                    screen.tell(progress)
                    if once and progress.is_terminal:
                        last.append(progress)
                        return

    try:
        run_in_loop(lambda: run_while_read(follow()))
    except KeyboardInterrupt:
        # The way to end a watch; but one that was to see a run to its end has not.
        if once and not last:
            _exit(128 + signal.SIGINT)
    if last:
        _exit(exit_code(last[0]))


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_platforms
@click.option("--events", type=click.IntRange(min=1), help="Only so many events, those at most bookmakers first.")
@_json
def record(folder: Path, platforms: tuple[str, ...], events: int | None, as_json: bool) -> None:
    """Record what the bookmakers answer, for `quart-odds sandbox --replay FOLDER`. Ends as `scrape` does."""
    from quart_odds.cli.terminal import exit_code, opened_screen
    from quart_odds.scraping.recording import record as record_into

    async def work(settings: Settings) -> "ScrapeProgress":
        chosen = [Platform(each) for each in platforms] or list(Platform)
        with opened_screen(as_json=as_json) as screen:
            return await run_while_read(record_into(settings, folder, chosen, events, screen.tell))

    _exit(exit_code(_run(work, None, QUIET)))


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the counts by bookmaker as one line of JSON.")
def coverage(folder: Path, as_json: bool) -> None:
    """Count how many prices of a recording are understood. Ends with 3 when a file could not be read."""
    from quart_odds.bookmakers.coverage import measure

    measured = measure(folder)
    for name, reason in measured.broken.items():
        click.echo(f"{name}: {reason}", err=True)
    if as_json:
        click.echo(json.dumps({str(platform): each.counts() for platform, each in measured.bookmakers.items()}))
    else:
        for line in measured.lines():
            click.echo(line)
    if measured.broken:
        _exit(3)


@main.command()
def migrate() -> None:
    """Bring the database to the newest form. `serve` does it by itself."""
    from quart_odds.storage import migrate as migrate_database

    revision = asyncio.run(migrate_database(load_settings().database_url))
    click.echo(f"The database is at revision {revision}.")


def sandbox_settings(urls: Mapping[str, str], defaults: Mapping[str, object] = MappingProxyType({})) -> Settings:
    """Settings for stand-in bookmakers, where the environment does not say otherwise.

    They have a database of their own, so that invented odds never mix with real ones, and a pace that can be watched.
    """
    there = {f"{platform}_url": url for platform, url in urls.items()}
    return load_settings(None, **_not_given({"database_url": SANDBOX_DATABASE, **SANDBOX_PACE, **defaults}), **there)


def _not_given(defaults: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in defaults.items() if PREFIX + name.upper() not in os.environ}


def _stand_ins(sandbox: bool, events: int, latency_ms: int) -> "SandboxOptions | None":
    from quart_odds.sandbox import SandboxOptions

    if not sandbox:
        return None
    try:
        return SandboxOptions(events=events, latency_ms=latency_ms, jitter_ms=latency_ms // 2)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _run(
    work: Callable[[Settings], Awaitable[T]],
    stand_ins: "SandboxOptions | None",
    defaults: Mapping[str, object] = MappingProxyType({}),
) -> T:
    """Do a command's work with the settings of the environment, beside stand-in bookmakers where these are wanted."""
    from hypercorn.utils import LifespanFailureError

    from quart_odds.logs import configure_logging
    from quart_odds.sandbox import sandbox_process
    from quart_odds.sandbox.process import SandboxStartError
    from quart_odds.server.serve import run_in_loop

    results: list[T] = []

    async def do(settings: Settings) -> None:
        configure_logging(settings)
        results.append(await work(settings))

    async def beside_stand_ins() -> None:
        async with sandbox_process(stand_ins) as sandbox:
            await do(sandbox_settings({str(platform): url for platform, url in sandbox.urls.items()}, defaults))

    settings = load_settings(None, **_not_given(defaults))
    try:
        run_in_loop(beside_stand_ins if stand_ins is not None else lambda: do(settings))
    except SandboxStartError as error:
        raise click.ClickException(str(error)) from error
    except LifespanFailureError as error:
        if isinstance(error.__context__, QuartOddsError):
            raise error.__context__ from None
        raise
    return results[0]


def _exit(code: int) -> NoReturn:
    click.get_current_context().exit(code)


if __name__ == "__main__":
    main()

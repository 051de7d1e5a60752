"""`quart-odds watch`: follows the runs of a server from outside, or its odds."""

import contextlib
from typing import TYPE_CHECKING

import click

from quart_odds.cli.ends import interrupted_code
from quart_odds.cli.options import DEFAULT_BIND, examples, json_option
from quart_odds.cli.runner import exit_with
from quart_odds.cli.streams import run_while_read
from quart_odds.domain.runs import RunMode

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from quart_odds.scraping.schemas import ScrapeProgress


@click.command(
    "watch",
    epilog=examples(
        "quart-odds watch",
        "quart-odds watch https://odds.example.org --once",
        "quart-odds watch --json | jq -r .message",
        "quart-odds watch --odds --event 12",
    ),
)
@click.argument("url", default=f"http://{DEFAULT_BIND}")
@click.option("--once", is_flag=True, help="Exit after the active or the next run, with the exit codes of scrape.")
@click.option("--sweeps", is_flag=True, help="Show sweeps, not full runs.")
@click.option("--odds", is_flag=True, help="Show odds as they change, not runs.")
@click.option("--event", "events", multiple=True, type=click.IntRange(1), help="With --odds: only this event.")
@click.option("--market", "markets", multiple=True, help="With --odds: only this market, by id; or main, or all.")
@click.option("--bookmaker", "bookmakers", multiple=True, help="With --odds: only this bookmaker.")
@click.option(
    "--token", envvar="QUART_ODDS_TOKEN", metavar="TOKEN", help="A token of the server. Better: set QUART_ODDS_TOKEN."
)
@json_option
def watch_command(
    url: str,
    once: bool,
    sweeps: bool,
    odds: bool,
    events: tuple[int, ...],
    markets: tuple[str, ...],
    bookmakers: tuple[str, ...],
    token: str | None,
    as_json: bool,
) -> None:
    """Show the runs of a server live, or with --odds its odds. A lost connection is resumed from its cursor."""
    if odds and (once or sweeps):
        raise click.UsageError("--once and --sweeps are for runs, not for --odds")
    if not odds and (events or markets or bookmakers):
        raise click.UsageError("--event, --market and --bookmaker need --odds")
    if odds:
        from quart_odds.cli.followed_odds import follow_odds

        with contextlib.suppress(KeyboardInterrupt):
            _run(
                follow_odds(
                    url, events=events, markets=markets, bookmakers=bookmakers, token=token or None, as_json=as_json
                )
            )
        return
    _watch_runs(url, token or None, once=once, sweeps=sweeps, as_json=as_json)


def _watch_runs(url: str, token: str | None, *, once: bool, sweeps: bool, as_json: bool) -> None:
    from quart_odds.cli.followed_runs import followed_runs
    from quart_odds.cli.terminal import exit_code, opened_screen

    last: list[ScrapeProgress] = []

    async def follow() -> None:
        with opened_screen(as_json=as_json) as screen:
            async with contextlib.aclosing(followed_runs(url, on_state=screen.say, token=token)) as progresses:
                async for progress in progresses:
                    if (progress.mode is RunMode.SWEEP) is not sweeps:
                        continue
                    screen.tell(progress)
                    if once and progress.is_terminal:
                        last.append(progress)
                        return

    try:
        _run(follow())
    except KeyboardInterrupt:
        # Ctrl-C is the normal way to stop watching. With --once it means that no run was seen to its end.
        if once and not last:
            exit_with(interrupted_code())
    if last:
        exit_with(exit_code(last[0]))


def _run(work: "Coroutine[None, None, None]") -> None:
    from quart_odds.server.serve import run_in_loop

    run_in_loop(lambda: run_while_read(work))

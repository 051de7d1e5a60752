"""`quart-odds doctor`: whether a server would work here, and what to do if not."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from quart_odds.cli.options import DEFAULT_BIND, examples
from quart_odds.cli.runner import QUIET, exit_with, run_command
from quart_odds.cli.streams import json_line, run_while_read
from quart_odds.domain.text import printable
from quart_odds.settings import Settings

if TYPE_CHECKING:
    from quart_odds.doctor import Finding

COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}
STATUS_WIDTH = 8


@click.command(
    "doctor",
    epilog=examples(
        "quart-odds doctor",
        "quart-odds doctor --bind 0.0.0.0:8080",
        "quart-odds doctor --json | jq '.findings[] | select(.status != \"ok\")'",
    ),
)
@click.option("--bind", default=DEFAULT_BIND, show_default=True, metavar="HOST:PORT", help="Address to be free.")
@click.option(
    "--timeout",
    "timeout_seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(1, 120),
    metavar="SECONDS",
    help="Maximum time for each check.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor_command(bind: str, timeout_seconds: float, as_json: bool) -> None:
    """Check whether a server would work here, and say what to do if not.

    Looks at the database, Redis, the bookmakers (one request each), the clock, open files, extras and the address. It
    changes nothing. Exits with 1 if something has failed.
    """
    from quart_odds.doctor import Examination
    from quart_odds.server.sockets import split_bind

    split_bind(bind)

    async def work(settings: Settings) -> "list[Finding]":
        with _progress(as_json=as_json) as tell:
            return await run_while_read(Examination(settings, bind, timeout_seconds, tell).findings())

    findings = run_command(work, None, QUIET)
    if as_json:
        click.echo(json_line(_as_json(findings)))
    else:
        _print(findings)
    exit_with(Examination.exit_code(findings))


def _print(findings: "Sequence[Finding]") -> None:
    from quart_odds.domain.terminals import has_colour

    is_coloured = has_colour(sys.stdout)
    width = max(len(each.check) for each in findings)
    for each in findings:
        status = click.style(f"{each.status:<{STATUS_WIDTH}}", fg=COLOURS[each.status], bold=each.status != "ok")
        click.echo(f"{status} {each.check:<{width}}  {printable(each.detail)}", color=is_coloured)
        if each.advice is not None:
            click.echo(f"{'':{STATUS_WIDTH}} {'':{width}}  -> {printable(each.advice)}")


def _as_json(findings: "Sequence[Finding]") -> dict[str, object]:
    counts = {status: sum(each.status == status for each in findings) for status in COLOURS}
    return {
        "status": next(status for status in ("failed", "warning", "ok") if counts[status] or status == "ok"),
        "counts": counts,
        "findings": [
            {
                "check": each.check,
                "status": each.status.value,
                "detail": each.detail,
                "advice": each.advice,
                "facts": dict(each.facts),
            }
            for each in findings
        ],
    }


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[Sequence[str]], None]]:
    """Show which checks are under way, on standard error if that is a terminal."""
    from quart_odds.cli.consoles import console_for
    from quart_odds.domain.terminals import is_live

    if as_json or not is_live(sys.stderr):
        yield lambda _: None
        return
    with console_for(sys.stderr).status("checking", spinner="line") as status:
        yield lambda names: status.update(f"checking {', '.join(names)}")

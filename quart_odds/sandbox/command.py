"""The command `quart-odds sandbox`."""

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click
import orjson
import structlog
from quart import Quart

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.app import create_sandbox
from quart_odds.sandbox.faults.faults import FAULT_NAMES, Fault, parse_faults
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.server import listening_socket, serve_sandbox
from quart_odds.sandbox.world.stand_ins import STAND_INS

_DEFAULTS = SandboxOptions()
T = TypeVar("T")


def _bookmakers(context: click.Context, parameter: click.Parameter, value: str) -> tuple[Platform, ...]:
    return tuple(Platform.of(slug.strip()) for slug in value.split(","))


def _slugs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the last one of several bookmakers."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [f"{before}{comma}{slug}" for slug in STAND_INS if slug.startswith(last) and slug not in given]


def _faults(context: click.Context, parameter: click.Parameter, value: str) -> dict[Platform, Fault]:
    try:
        return parse_faults(value, context.params["bookmakers"])
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


@click.command(
    "sandbox",
    # Also for `python -m quart_odds.sandbox`.
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  quart-odds sandbox --port 8090
  quart-odds sandbox --events 300 --faults betpawa=403,bet9ja=timeout:0.5
  quart-odds sandbox --replay recording/""",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option("--events", default=_DEFAULTS.events, show_default=True, help="Number of events to generate.")
@click.option("--seed", default=_DEFAULTS.seed, show_default=True, help="The same seed produces the same odds.")
@click.option("--latency-ms", default=0.0, show_default=True, help="Wait before each answer.")
@click.option("--jitter-ms", default=0.0, show_default=True, help="Additional random wait, up to this.")
@click.option(
    "--bookmakers",
    default=",".join(STAND_INS),
    callback=_bookmakers,
    shell_complete=_slugs,
    is_eager=True,
    show_default=True,
    metavar="BOOKMAKER,…",
    help="The bookmakers to stand in for.",
)
@click.option(
    "--faults",
    default="",
    callback=_faults,
    metavar="BOOKMAKER=FAULT[@lists|@details][:SHARE],…",
    help=f"Faults to simulate, such as betpawa=403,bet9ja=timeout:0.5. Available: {', '.join(FAULT_NAMES)}.",
)
@click.option("--replay", type=click.Path(path_type=Path), help="Answer from a folder of recorded bodies.")
@click.option("--body-kb", type=float, help="Cut or pad each event's body to about this many KB.")
@click.option("--markets", type=int, help="Market lines per event.  [default: 45; about 170 from 300 events on]")
@click.option("--warm", is_flag=True, help="Write all bodies before reporting readiness.")
@click.option("--move/--no-move", default=True, help="Whether odds move between requests.")
@click.option("--live-prices", is_flag=True, help="Let odds move in time, as a bookmaker's do, not between requests.")
@click.option("--price-pace", default=_DEFAULTS.price_pace, show_default=True, help="How many times as often.")
@click.option("--competitions", type=int, help="Number of competitions.  [default: one for every eight events]")
@click.option("--parent", type=int, hidden=True, help="Exit when this parent process exits.")
def sandbox_command(
    host: str,
    port: int,
    events: int,
    seed: int,
    latency_ms: float,
    jitter_ms: float,
    bookmakers: tuple[Platform, ...],
    faults: dict[Platform, Fault],
    replay: Path | None,
    body_kb: float | None,
    markets: int | None,
    warm: bool,
    move: bool,
    live_prices: bool,
    price_pace: float,
    competitions: int | None,
    parent: int | None,
) -> None:
    """Run stand-in bookmakers that speak the wire formats of the real ones.

    Prints one line of JSON as soon as it listens, with the URL of each: {"ready": true, "betpawa": URL, …}.
    """
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        options = SandboxOptions(
            events,
            seed,
            latency_ms,
            jitter_ms,
            faults,
            replay,
            _DEFAULTS.move if move else 0,
            body_kb,
            markets,
            warm,
            live_prices,
            price_pace,
            competitions,
            bookmakers,
        )
        app = create_sandbox(options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    try:
        bound = listening_socket(host, port)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    if parent is not None:
        _end_with(parent)
    _run(app, bound, host, bookmakers)


def _run(app: Quart, bound: socket.socket, host: str, bookmakers: Sequence[Platform]) -> None:
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{bound.getsockname()[1]}"
    log = structlog.get_logger()

    def ready() -> None:
        log.info("sandbox.listening", url=url)
        click.echo(orjson.dumps({"ready": True, **{str(platform): url for platform in bookmakers}}).decode())
        sys.stdout.flush()

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve_sandbox(app, bound, stop.wait, ready=ready)
        log.info("sandbox.stopped")

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not available on Windows
        return None
    return uvloop.new_event_loop


def _end_with(parent: int) -> None:
    """Make Linux send SIGTERM when the parent exits for any reason. Exit now if it already has."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(1)

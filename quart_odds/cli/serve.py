"""`quart-odds serve`: the server with its pages and API, in one process or in several."""

import os
import sys
from functools import partial

import click

from quart_odds.cli.options import DEFAULT_BIND, examples, sandbox_options
from quart_odds.cli.runner import exit_with, run_command
from quart_odds.cli.stand_ins import sandbox_environment, stand_ins
from quart_odds.cli.streams import drop_stdout
from quart_odds.errors import QuartOddsError, SettingsError
from quart_odds.settings import PREFIX, Settings

MOST_WORKERS = 64


@click.command(
    "serve",
    epilog=examples(
        "quart-odds serve",
        "quart-odds serve --sandbox --bind 127.0.0.1:8080",
        "quart-odds serve --bind 0.0.0.0:8080    # for others, who need a token",
        "QUART_ODDS_ENGINE_URL=redis://localhost quart-odds serve --workers 4",
    ),
)
@click.option("--bind", default=DEFAULT_BIND, show_default=True, metavar="HOST:PORT", help="Address to listen on.")
@click.option("--open-to-network", is_flag=True, help="Let everybody read without a token; changes still need one.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, MOST_WORKERS),
    help="Number of processes. More than one need Redis, see QUART_ODDS_ENGINE_URL.",
)
@click.option("--as-worker", hidden=True, metavar="PLACE", help="Be a worker of this supervisor's.")
@sandbox_options
def serve_command(
    bind: str,
    open_to_network: bool,
    workers: int,
    as_worker: str | None,
    sandbox: bool,
    events: int,
    latency_ms: int,
) -> None:
    """Serve the pages and the API. Settings are QUART_ODDS_* environment variables: see docs/settings.md."""
    if as_worker is not None:
        _be_worker(bind, as_worker)
        return
    beside = stand_ins(sandbox, events, latency_ms)
    if workers > 1:
        from quart_odds.logs import ProcessName
        from quart_odds.server.workers import check_workers

        async def supervise(settings: Settings) -> int:
            environ = sandbox_environment(settings) if sandbox else {}
            return await _supervise(_opened(settings, open_to_network), bind, workers, environ)

        exit_with(
            run_command(
                supervise,
                beside,
                check=lambda settings: check_workers(workers, settings),
                process=ProcessName(),
                # The supervisor has next to nothing to do, and uvloop cannot start processes in groups of their own.
                use_uvloop=False,
            )
        )

    async def work(settings: Settings) -> None:
        from quart_odds.app import create_app
        from quart_odds.server.serve import serve
        from quart_odds.storage.network_files import refuse_network_file

        refuse_network_file(settings.database_url)

        app = create_app(allowing_its_own_name(_opened(settings, open_to_network), bind))
        await serve(app, bind, has_token=partial(_has_token, settings), on_ready=_announce)

    run_command(work, beside)


async def _supervise(settings: Settings, bind: str, workers: int, environ: dict[str, str]) -> int:
    """Run workers until a signal, and return the exit code."""
    from quart_odds.server.serve import check_reach
    from quart_odds.server.sockets import listen_for_workers
    from quart_odds.server.workers import Supervisor
    from quart_odds.storage.network_files import refuse_network_file

    refuse_network_file(settings.database_url)
    sockets = listen_for_workers(bind, settings.write_timeout_seconds, workers)
    try:
        await check_reach(sockets[0], bind, settings, partial(_has_token, settings))
        supervisor = Supervisor(
            sockets,
            _worker_command(bind),
            {**os.environ, **environ, f"{PREFIX}OPEN_TO_NETWORK": "true" if settings.open_to_network else "false"},
            drain_seconds=settings.drain_seconds,
            on_ready=_announce,
        )
        return await supervisor.run()
    finally:
        for sock in sockets:
            sock.close()


def _worker_command(bind: str) -> list[str]:
    """Return the command of a worker, up to its place. Each worker reads the program from the disk anew."""
    # With -m, Python looks for packages in the current folder first. Do so only if this process does.
    current = {"", os.getcwd()}
    isolated = [] if current & set(sys.path) else ["-P"]
    return [sys.executable, *isolated, "-m", "quart_odds", "serve", "--bind", bind, "--as-worker"]


def _be_worker(bind: str, text: str) -> None:
    """Run as a worker. Errors are told to the supervisor, which reports them."""
    from quart_odds.app import create_app
    from quart_odds.logs import ProcessName
    from quart_odds.server.channel import WorkerPlace
    from quart_odds.server.worker import SupervisorLink, serve_as_worker, worker_share

    try:
        place = WorkerPlace.of_text(text)
        link = SupervisorLink(place)
    except (ValueError, OSError) as error:
        raise click.UsageError(f"--as-worker is for the supervisor of --workers: {error}") from None

    async def work(settings: Settings) -> None:
        share = worker_share(settings, len(place.sockets))
        await serve_as_worker(create_app(allowing_its_own_name(share, bind)), link)

    try:
        run_command(work, None, process=ProcessName(place.number))
    except QuartOddsError as error:
        link.tell_reason(error.for_operator)
        exit_with(2 if isinstance(error, SettingsError) else 1)


def _announce(address: str) -> None:
    import structlog

    try:
        click.echo(f"Quart Odds is at {address}")
        sys.stdout.flush()
    except OSError as error:
        # Standard output has no reader, or its disk is full. The server works all the same.
        drop_stdout()
        structlog.get_logger(__name__).warning("server.address_not_printed", address=address, reason=str(error))


def _opened(settings: Settings, open_to_network: bool) -> Settings:
    """The settings, with what the option of the command line says."""
    return settings.model_copy(update={"open_to_network": True}) if open_to_network else settings


async def _has_token(settings: Settings) -> bool:
    """Return whether somebody can have a token: one in the database, or of an issuer."""
    from quart_odds.access.tokens import AccessTokens
    from quart_odds.storage import open_store

    if settings.jwt_issuer is not None:
        return True
    store = await open_store(settings.database_url)
    try:
        return await AccessTokens(store).has_usable()
    finally:
        await store.aclose()


def allowing_its_own_name(settings: Settings, bind: str) -> Settings:
    """The settings, with the host name of `--bind` allowed: a server bound to a name is addressed by it."""
    from quart_odds.domain.origins import parse_host
    from quart_odds.server.sockets import split_bind

    host, _ = split_bind(bind)
    named = parse_host(host)
    if named is None or named.is_address:
        return settings
    return settings.model_copy(update={"allowed_hosts": (*settings.allowed_hosts, named.name)})

"""Runs a command's work with settings, logging and, if wanted, stand-in bookmakers."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from quart_odds.cli.stand_ins import not_given, sandbox_settings
from quart_odds.errors import QuartOddsError
from quart_odds.settings import Settings, load_settings

if TYPE_CHECKING:
    from quart_odds.logs import ProcessName
    from quart_odds.sandbox import SandboxOptions

QUIET = {"log_level": "warning"}
"""Default settings of commands that show their progress themselves."""

T = TypeVar("T")


def run_command(
    work: Callable[[Settings], Awaitable[T]],
    stand_ins: "SandboxOptions | None",
    defaults: Mapping[str, object] = MappingProxyType({}),
    *,
    check: Callable[[Settings], None] = lambda _: None,
    process: "ProcessName | None" = None,
    use_uvloop: bool = True,
) -> T:
    """Run a command's work with settings from the environment and return its result.

    With `stand_ins` it runs against stand-in bookmakers. `defaults` hold where the environment sets nothing. `check`
    raises SettingsError before anything starts. `process` names this process in log lines.
    """
    from hypercorn.utils import LifespanFailureError

    from quart_odds.logs import configure_logging
    from quart_odds.sandbox import sandbox_process
    from quart_odds.sandbox.process import SandboxStartError
    from quart_odds.server.serve import run_in_loop

    results: list[T] = []

    async def do(settings: Settings) -> None:
        configure_logging(settings, process)
        results.append(await work(settings))

    async def beside_stand_ins() -> None:
        async with sandbox_process(stand_ins) as sandbox:
            await do(sandbox_settings({str(platform): url for platform, url in sandbox.urls.items()}, defaults))

    settings = load_settings(None, **not_given(defaults))
    check(settings)
    try:
        run_in_loop(beside_stand_ins if stand_ins is not None else lambda: do(settings), use_uvloop=use_uvloop)
    except SandboxStartError as error:
        raise click.ClickException(str(error)) from error
    except LifespanFailureError as error:
        if isinstance(error.__context__, QuartOddsError):
            raise error.__context__ from None
        raise
    return results[0]


def exit_with(code: int) -> NoReturn:
    """End the current command with an exit code."""
    click.get_current_context().exit(code)

"""Options and settings for a command that runs with stand-in bookmakers."""

import os
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from quart_odds.domain.platforms import Platform
from quart_odds.settings import PREFIX, Settings, load_settings

if TYPE_CHECKING:
    from quart_odds.sandbox import SandboxOptions

SANDBOX_DATABASE = "sqlite:///quart-odds-sandbox.db"
SANDBOX_PRICE_PACE = 3
"""Prices move three times as often as at real bookmakers, so that sixty events look as busy as a thousand."""


def sandbox_settings(urls: Mapping[str, str], defaults: Mapping[str, object] = MappingProxyType({})) -> Settings:
    """Return settings for stand-in bookmakers at `urls`. Values set in the environment win, except the URLs.

    The database is a separate one, so that invented odds never mix with real ones. The pace is slow enough to watch.
    """
    there = {f"{platform}_url": url for platform, url in urls.items()} | {"bookmakers": ",".join(urls)}
    return load_settings(None, **not_given({"database_url": SANDBOX_DATABASE, **_pace(urls), **defaults}), **there)


def sandbox_environment(settings: Settings) -> dict[str, str]:
    """Return what other processes need in their environment to use the same stand-ins and database as `settings`."""
    names = ("database_url", *_pace(settings.bookmakers), *(f"{platform}_url" for platform in settings.bookmakers))
    values = {name: getattr(settings, name) for name in names} | {"bookmakers": ",".join(settings.bookmakers)}
    return {PREFIX + name.upper(): str(value) for name, value in values.items()}


def _pace(bookmakers: Collection[str]) -> dict[str, int]:
    from quart_odds.sandbox import PACE

    return {name: value for name, value in PACE.items() if name.removesuffix("_concurrency") in bookmakers}


def not_given(defaults: Mapping[str, object]) -> dict[str, Any]:
    """Return the defaults of the settings that the environment does not set."""
    return {name: value for name, value in defaults.items() if PREFIX + name.upper() not in os.environ}


def stand_ins(sandbox: bool, events: int, latency_ms: int) -> "SandboxOptions | None":
    """Return the sandbox options that a command line asks for, or None. Raises UsageError for impossible values.

    The sandbox stands in for the installed bookmakers, as far as it can.
    """
    from quart_odds.sandbox import STAND_INS, SandboxOptions

    if not sandbox:
        return None
    try:
        return SandboxOptions(
            events=events,
            latency_ms=latency_ms,
            jitter_ms=latency_ms // 2,
            live_prices=True,
            price_pace=SANDBOX_PRICE_PACE,
            bookmakers=tuple(platform for platform in STAND_INS if platform in Platform),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error

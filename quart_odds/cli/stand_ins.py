"""Stand-in bookmakers beside a command, and the settings for them."""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from quart_odds.settings import PREFIX, Settings, load_settings

if TYPE_CHECKING:
    from quart_odds.sandbox import SandboxOptions

SANDBOX_DATABASE = "sqlite:///quart-odds-sandbox.db"
SANDBOX_PACE = {"betpawa_concurrency": 4, "sportybet_concurrency": 5, "bet9ja_concurrency": 3}
"""Few requests at once, so that sixty events take about ten seconds."""


def sandbox_settings(urls: Mapping[str, str], defaults: Mapping[str, object] = MappingProxyType({})) -> Settings:
    """Settings for stand-in bookmakers, where the environment does not say otherwise.

    They have a database of their own, so that invented odds never mix with real ones, and a pace that can be watched.
    """
    there = {f"{platform}_url": url for platform, url in urls.items()}
    return load_settings(None, **not_given({"database_url": SANDBOX_DATABASE, **SANDBOX_PACE, **defaults}), **there)


def not_given(defaults: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in defaults.items() if PREFIX + name.upper() not in os.environ}


def stand_ins(sandbox: bool, events: int, latency_ms: int) -> "SandboxOptions | None":
    from quart_odds.sandbox import SandboxOptions

    if not sandbox:
        return None
    try:
        return SandboxOptions(events=events, latency_ms=latency_ms, jitter_ms=latency_ms // 2)
    except ValueError as error:
        raise click.UsageError(str(error)) from error

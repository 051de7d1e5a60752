"""Quart Odds: football odds from several bookmakers, matched, and published live over SSE and WebSocket."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quart import Quart

    from quart_odds.embedding import QuartOdds
    from quart_odds.settings import Settings

__version__ = "0.1.0"

__all__ = ["QuartOdds", "__version__", "create_app"]


def create_app(settings: "Settings | None" = None) -> "Quart":
    """Return the application: see `quart_odds.app.create_app`.

    This has to be a function of this module: `hypercorn 'quart_odds:create_app()'` looks it up here. It imports the
    application only when called, so that decoding workers and the command line start fast.
    """
    from quart_odds.app import create_app as create

    return create(settings)


def __getattr__(name: str) -> object:
    """Return `QuartOdds`, which embeds the application in another one. Imported when used, as in `create_app`."""
    if name == "QuartOdds":
        from quart_odds.embedding import QuartOdds

        return QuartOdds
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

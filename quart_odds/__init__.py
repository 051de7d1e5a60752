"""Quart Odds: football odds from three bookmakers, matched, and told live over SSE and WebSocket."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from quart_odds.app import create_app

__all__ = ["__version__", "create_app"]


def __getattr__(name: str) -> Any:
    """`create_app` is imported when asked for, so that decoding workers and the command line start fast."""
    if name == "create_app":
        from quart_odds.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The context-local registry: what `broadcast_registry` refers to in the routes and background tasks of an app.

It replaces the usual lookup of a manager in the app's state. Inside a request, a WebSocket, an app context or a
background task it is the registry of that app, so two apps in one process never see each other's listeners.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, cast

from quart import has_app_context
from quart.globals import current_app
from werkzeug.local import LocalProxy

from quart_odds.broadcast.registry import BroadcastRegistry

if TYPE_CHECKING:
    from quart import Quart

EXTENSION = "quart_odds.broadcast"

_lent: ContextVar[BroadcastRegistry | None] = ContextVar("quart_odds.broadcast_registry", default=None)


def init_app(app: "Quart", registry: BroadcastRegistry) -> None:
    """Make `registry` the one that `broadcast_registry` refers to in the contexts of this app.

    An app with several has to choose one: `with use_registry(registry):`.
    """
    app.extensions[EXTENSION] = None if EXTENSION in app.extensions else registry


@contextmanager
def use_registry(registry: BroadcastRegistry) -> Iterator[BroadcastRegistry]:
    """Use `registry` in this context instead of the app's. For tests and tools."""
    token = _lent.set(registry)
    try:
        yield registry
    finally:
        _lent.reset(token)


def _find() -> BroadcastRegistry:
    if (lent := _lent.get()) is not None:
        return lent
    if not has_app_context() or EXTENSION not in current_app.extensions:
        raise RuntimeError(
            "There is no broadcast registry here. Work inside a request, a WebSocket, `async with app.app_context()` "
            "or app.add_background_task(), of an app made by create_app() or given to QuartOdds(); or lend one with "
            "`with use_registry(registry):`."
        )
    registry: BroadcastRegistry | None = current_app.extensions[EXTENSION]
    if registry is None:
        raise RuntimeError("This app has several broadcast registries: choose one with `with use_registry(registry):`.")
    return registry


broadcast_registry = cast(BroadcastRegistry, LocalProxy(_find))
"""The registry of the current context. Code that outlives the context keeps the result of `current_registry()`."""


def current_registry() -> BroadcastRegistry:
    """Return the object behind `broadcast_registry`.

    Raises RuntimeError, with a message that says how to get one, if the context has no registry.
    """
    return _find()

"""Serving below a path, such as `/odds`: where a request's own path begins, and how addresses are written.

A proxy may pass a request on with the root path or without it. Both are served, and the server always writes addresses
with it, because browsers are in front of the proxy.
"""

from typing import Any

from quart import Quart
from werkzeug.exceptions import HTTPException, NotFound

from quart_odds.services import services

PLACED = "quart_odds.placed"
"""The scope key of a request whose root path the embedding app has already set. No client can set it."""


def public_path(path: str) -> str:
    """Return the path by which clients reach a path of the current app, such as `/odds/api/ws` for `/api/ws`."""
    return services().root_path + path


def own_path(scope: Any) -> str:
    """Return the path of a placed ASGI scope without the root path."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class RootPath:
    """The root path of one app, empty for none.

    A root path may begin like a path of ours: below `/odds`, the list of events is `/odds/odds`. If such a request
    arrives without the root path, `/odds/rows` must not become `/rows`. So when the root path also begins a route, it
    is taken off only if what remains is a route, or if the whole path is none.
    """

    def __init__(self, app: Quart, root_path: str) -> None:
        self._root_path = root_path
        self._routes = app.url_map.bind("")
        rules = [rule.rule for rule in app.url_map.iter_rules()]
        self._begins_a_route = any(rule == root_path or rule.startswith(f"{root_path}/") for rule in rules)

    def place(self, scope: Any) -> None:
        """Make an ASGI scope say which part of its path is the root path, whether or not the proxy kept it."""
        if not self._root_path or scope["type"] == "lifespan" or PLACED in scope:
            return
        path: str = scope["path"]
        if not self._has_root(path, is_websocket=scope["type"] == "websocket"):
            path = self._root_path + path
        scope["root_path"] = self._root_path
        scope["path"] = f"{path}/" if path == self._root_path else path

    def _has_root(self, path: str, *, is_websocket: bool) -> bool:
        rest = path.removeprefix(self._root_path)
        if not path.startswith(self._root_path) or rest[:1] not in ("", "/"):
            return False
        if not self._begins_a_route or not self._is_route(path, is_websocket=is_websocket):
            return True
        return rest != "" and self._is_route(rest, is_websocket=is_websocket)

    def _is_route(self, path: str, *, is_websocket: bool) -> bool:
        try:
            self._routes.match(path, method="GET", websocket=is_websocket)
        except NotFound:
            return False
        except HTTPException:
            # The path is a route, but not for this method.
            return True
        return True

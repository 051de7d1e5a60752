"""Quart Odds in somebody's own Quart application: below a path, opened and closed with it, and otherwise apart from it.

It stays an application of its own. Whatever is below the path is handed to it before the host, which is the application
that embeds it, looks at it. So no routes, templates, static files, error handlers, limits or checks of one apply to the
other.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

from quart import Quart

from quart_odds.addresses import checked_root_path
from quart_odds.app import create_app
from quart_odds.broadcast import BroadcastRegistry
from quart_odds.broadcast import context as broadcast_context
from quart_odds.broadcast.lane import live_connection
from quart_odds.errors import SettingsError
from quart_odds.logs import ensure_logging
from quart_odds.routes.access.root_path import PLACED
from quart_odds.services import EXTENSION, Services
from quart_odds.settings import Settings, load_settings

EMBEDDED = "quart_odds.embedded"
"""The extension of a host with each QuartOdds in it, by prefix."""

TEMPLATES = "quart_odds"
"""The folder in the host's template folder whose templates replace ours."""

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]


class QuartOdds:
    """Quart Odds below a path of one host. It starts and stops with the host.

    `settings` come from the environment by default. Their root path, if any, is the one below which a proxy serves the
    host; the prefix follows it. `app` is our own application; `registry` is what `broadcast_registry` refers to in the
    host's own views, too.

    Raises SettingsError for a prefix that cannot be, or that another one in the same host overlaps.
    """

    def __init__(
        self, app: Quart | None = None, *, url_prefix: str = "/odds", settings: Settings | None = None
    ) -> None:
        try:
            self.url_prefix = checked_root_path(url_prefix)
        except ValueError as error:
            raise SettingsError(f"url_prefix {url_prefix!r}: {error}") from None
        if not self.url_prefix:
            raise SettingsError("url_prefix: give a path such as /odds; at / no route of the host could be reached")
        self._settings = settings
        self._app: Quart | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Quart) -> None:
        """Embed Quart Odds in a host, which has not started yet. Each QuartOdds is for one host."""
        if self._app is not None:
            raise RuntimeError("This QuartOdds is in an app already. Make one for each app.")
        settings = self._settings or load_settings()
        others: dict[str, QuartOdds] = app.extensions.setdefault(EMBEDDED, {})
        for other in others.values():
            self._check_beside(other, settings)
        ensure_logging(settings, is_embedded=True)
        inner = create_app(settings, prefix=self.url_prefix, templates=_templates_of(app))
        app.while_serving(_serving(app, inner, self.url_prefix))
        app.asgi_app = _Mount(  # type: ignore[method-assign]
            app.asgi_app, inner, host_root=settings.root_path, prefix=self.url_prefix
        )
        self._app = inner
        others[self.url_prefix] = self
        broadcast_context.init_app(app, self.registry)
        # The launcher looks for it there, and serves one for each process.
        app.extensions[EXTENSION] = self.services if len(others) == 1 else None

    @property
    def app(self) -> Quart:
        """Our own application. Raises RuntimeError before `init_app`."""
        if self._app is None:
            raise RuntimeError("This QuartOdds is in no app yet: give it one, or call init_app().")
        return self._app

    @property
    def services(self) -> Services:
        """The parts of our application. Most exist once the host has started."""
        parts: Services = self.app.extensions[EXTENSION]
        return parts

    @property
    def registry(self) -> BroadcastRegistry:
        """The broadcast registry, with the listeners below this prefix and no others."""
        return self.services.registry

    def _check_beside(self, other: "QuartOdds", settings: Settings) -> None:
        """Raise SettingsError if another one in the same host leaves no room for this one."""
        one, two = sorted((self.url_prefix, other.url_prefix))
        if two == one or two.startswith(f"{one}/"):
            raise SettingsError(f"url_prefix: {two!r} is below {one!r}, which this app has already")
        shared = other.services.settings
        if settings.database_url == shared.database_url and settings.engine_url is None:
            raise SettingsError(
                f"{self.url_prefix} and {other.url_prefix} have the same database, and only one of them could write: "
                "give each its own database_url"
            )


class _Mount:
    """The ASGI app of a host: what is below the prefix goes to ours, and all else to the host's.

    A request below the prefix may have the path of the host in front, as the server or a proxy passes it on.
    """

    def __init__(self, host: ASGIApp, inner: Quart, *, host_root: str, prefix: str) -> None:
        self._host = host
        self._inner = inner
        self._host_root = host_root
        self._prefix = prefix
        self._root = host_root + prefix
        self._parts: Services = inner.extensions[EXTENSION]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a connection, or the start and the end of the host."""
        rest = None if scope["type"] == "lifespan" else self._rest(scope)
        if rest is not None:
            placed: Any = {**scope, PLACED: True, "root_path": self._root, "path": self._root + (rest or "/")}
            await self._inner(placed, receive, send)
            return
        # The fast lane is for our routes. Without this, it would wait for the host's to take the connection.
        live_connection.set(None)
        if scope["type"] == "http":
            # A stop of our launcher waits for what the host still has to answer, too.
            self._parts.unanswered += 1
            try:
                await self._host(scope, receive, send)
            finally:
                self._parts.unanswered -= 1
        else:
            await self._host(scope, receive, send)

    def _rest(self, scope: Any) -> str | None:
        """Return the path below the prefix, which is empty or begins with `/`; None if it is not below it."""
        path: str = scope["path"]
        for root in (scope.get("root_path", ""), self._host_root, ""):
            before = root + self._prefix
            if path == before or path.startswith(f"{before}/"):
                return path[len(before) :]
        return None


def _serving(app: Quart, inner: Quart, prefix: str) -> Callable[[], AsyncGenerator[None, None]]:
    """Return what starts ours with a host, and stops it with the host."""

    async def serving() -> AsyncGenerator[None, None]:
        for rule in app.url_map.iter_rules():
            if rule.rule == prefix or rule.rule.startswith(f"{prefix}/"):
                raise SettingsError(
                    f"url_prefix: the route {rule.rule} of the app is below {prefix}, and never reached"
                )
        await inner.startup()
        try:
            yield
        finally:
            await inner.shutdown()

    return serving


def _templates_of(app: Quart) -> Path | None:
    """Return the folder of a host's templates that replace ours, None if it has none."""
    if app.template_folder is None:
        return None
    folder = Path(app.root_path) / app.template_folder / TEMPLATES
    return folder if folder.is_dir() else None

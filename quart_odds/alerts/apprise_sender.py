"""Sends messages by Apprise, in a process of its own for each: see `apprise_process`."""

import asyncio
import contextlib
import os
import sys

import orjson

from quart_odds.alerts.apprise_process import LIMIT_SECONDS
from quart_odds.alerts.targets import INSTALL_APPRISE, is_apprise_installed
from quart_odds.alerts.values import Message, Target
from quart_odds.errors import AlertInputError, DeliveryError

KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH")
"""The environment of the process. Proxies would make its connections unseen, and settings contain passwords."""


class AppriseSender:
    """Sends messages by Apprise."""

    def __init__(self, *, allow_private: bool, timeout_seconds: float = LIMIT_SECONDS) -> None:
        self._allow_private = allow_private
        self._timeout_seconds = timeout_seconds

    async def check(self, url: str) -> None:
        """Raise AlertInputError if Apprise is not there, or cannot read this URL."""
        if not is_apprise_installed():
            raise AlertInputError("url", INSTALL_APPRISE)
        reason = await self._order({"url": url})
        if reason is not None:
            raise AlertInputError("url", reason)

    async def send(self, target: Target, message: Message) -> None:
        """Make one attempt. Raises DeliveryError with the reason if it fails."""
        if not is_apprise_installed():
            raise DeliveryError(INSTALL_APPRISE)
        reason = await self._order({"url": target.url, "title": message.title, "text": message.text})
        if reason is not None:
            raise DeliveryError(reason)

    async def _order(self, order: dict[str, object]) -> str | None:
        """Have a process carry out an order. Returns what failed."""
        environ = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            *_command(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**environ, "NETRC": os.devnull, "HOME": os.devnull},
        )
        try:
            async with asyncio.timeout(self._timeout_seconds):
                out, _ = await process.communicate(orjson.dumps({**order, "allow_private": self._allow_private}))
        except TimeoutError:
            return f"Apprise was not done within {self._timeout_seconds:g} s"
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        try:
            answer = orjson.loads(out)
        except orjson.JSONDecodeError:
            return f"Apprise ended without an answer, with exit code {process.returncode}"
        reason: str | None = answer["reason"]
        return reason


def _command() -> list[str]:
    # With -m, Python looks for packages in the current folder first. Do so only if this process does.
    isolated = [] if {"", os.getcwd()} & set(sys.path) else ["-P"]
    return [sys.executable, *isolated, "-m", "quart_odds.alerts.apprise_process"]

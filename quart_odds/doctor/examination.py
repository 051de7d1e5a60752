"""Runs all checks side by side, each with its time limit, and brings what they found in order."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from quart_odds.doctor.bookmaker import bookmaker
from quart_odds.doctor.clock import ClockReading, clock
from quart_odds.doctor.engine import engine
from quart_odds.doctor.extras import extras
from quart_odds.doctor.findings import Finding, Status, failed
from quart_odds.doctor.machine import open_files, port
from quart_odds.doctor.postgres import postgres
from quart_odds.doctor.sqlite import sqlite
from quart_odds.domain.platforms import Platform
from quart_odds.settings import Settings, sqlite_path

T = TypeVar("T")

Check = Callable[[], Awaitable[Sequence[Finding]]]


@dataclass
class Examination:
    """One examination of what a server with these settings, at this address, needs.

    `on_change` is called with the names of the checks that are under way, whenever one begins or ends.
    """

    settings: Settings
    bind: str
    timeout_seconds: float
    on_change: Callable[[Sequence[str]], object] = lambda _: None
    _readings: list[ClockReading] = field(default_factory=list)
    _under_way: list[str] = field(default_factory=list)

    async def findings(self) -> list[Finding]:
        """Run all checks, and return what they found. A check that takes too long has failed; the others go on."""
        done = await asyncio.gather(*(self._run(name, check) for name, check in self._checks().items()))
        found = [each for findings in done for each in findings]
        apprise_targets = sum(int(str(each.facts.get("apprise_targets", 0))) for each in found)
        return [*found, clock(self._readings), *extras(self.settings, apprise_targets)]

    @staticmethod
    def exit_code(findings: Sequence[Finding]) -> int:
        """Return 1 if anything has failed, otherwise 0."""
        return int(any(each.status is Status.FAILED for each in findings))

    def _checks(self) -> dict[str, Check]:
        settings = self.settings

        async def database() -> Sequence[Finding]:
            if settings.database_url.startswith("sqlite"):
                return await in_thread(lambda: sqlite(sqlite_path(settings.database_url)))
            return await postgres(settings.database_url, self._readings.append)

        async def redis() -> Sequence[Finding]:
            return await engine(settings.engine_url)

        async def files() -> Sequence[Finding]:
            return [open_files(settings.max_connections)]

        async def address() -> Sequence[Finding]:
            return [await port(self.bind, settings.write_timeout_seconds)]

        checks: dict[str, Check] = {"database": database, "engine": redis}
        for platform in settings.bookmakers:

            async def site(platform: Platform = platform) -> Sequence[Finding]:
                return [await bookmaker(settings, platform, self.timeout_seconds, self._readings.append)]

            checks[f"bookmaker.{platform}"] = site
        return checks | {"files": files, "port": address}

    async def _run(self, name: str, check: Check) -> Sequence[Finding]:
        self._under_way.append(name)
        self.on_change(self._under_way)
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await check()
        except TimeoutError:
            advice = "find out what holds it up, or allow it more time with --timeout"
            return [failed(name, f"not finished within {self.timeout_seconds:g} s", advice)]
        finally:
            self._under_way.remove(name)
            self.on_change(self._under_way)


async def in_thread(work: Callable[[], T]) -> T:
    """Return the result of work that may block. The process can end while it does: a file system may hang for ever."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(done: Future[T]) -> None:
        if not result.done():
            error = done.exception()
            result.set_result(done.result()) if error is None else result.set_exception(error)

    def run() -> None:
        done: Future[T] = Future()
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, done)

    threading.Thread(target=run, daemon=True, name="doctor").start()
    return await result

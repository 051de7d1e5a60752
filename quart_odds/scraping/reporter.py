"""Publishes the progress of a run: phases at once, and counts a few times a second."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import ScrapePhase
from quart_odds.scraping.progress_tracker import PlatformTracker, RunTracker
from quart_odds.scraping.schemas import ScrapeProgress

REPORT_SECONDS = 0.2
"""Time between two progress messages of one platform. Its few changes of phase are published at once, so there are
never more than ten messages in a second."""

Publish = Callable[[ScrapeProgress], None]


class Reporter(Protocol):
    """Publishes the progress of a run."""

    def report_overall(self) -> None:
        """Publish the progress of the run as a whole."""

    def reporting(self) -> AbstractAsyncContextManager[None]:
        """Publish changes while the `async with` body runs."""


class QuietReporter:
    """Publishes the start of a run and nothing after it. Sweeps are quiet: they are many, and each is short."""

    def __init__(self, tracker: RunTracker, publish: Publish) -> None:
        self._tracker = tracker
        self._publish = publish
        self._has_started = False

    def report_overall(self) -> None:
        """Publish the progress of the run as a whole, the first time."""
        if not self._has_started:
            self._has_started = True
            self._publish(self._tracker.progress())

    def reporting(self) -> AbstractAsyncContextManager[None]:
        """Publish nothing while the `async with` body runs."""
        return contextlib.nullcontext()


class ProgressReporter:
    """Reads a run's counters and publishes what has changed. The counters do not depend on it.

    `publish` is called with the progress of single platforms and, unless `with_overall` is False, of the whole run.
    """

    def __init__(self, tracker: RunTracker, publish: Publish, *, with_overall: bool = True) -> None:
        self._tracker = tracker
        self._publish = publish
        self._with_overall = with_overall
        self._revisions: dict[Platform, int] = {each.platform: each.revision for each in tracker.platforms}
        self._phase: ScrapePhase | None = None
        for each in tracker.platforms:
            each.on_phase = self.report

    def report(self, platform: PlatformTracker) -> None:
        """Publish one platform's progress, and that of the run as a whole if its phase has changed."""
        self._revisions[platform.platform] = platform.revision
        self._publish(platform.progress())
        overall = self._tracker.progress()
        if overall.phase is not self._phase:
            self._report_overall(overall)

    def report_overall(self) -> None:
        """Publish the progress of the run as a whole."""
        self._report_overall(self._tracker.progress())

    def report_changed(self) -> None:
        """Publish the progress of the platforms whose counters have changed since it was last published."""
        changed = [each for each in self._tracker.platforms if each.revision != self._revisions[each.platform]]
        for each in changed:
            self.report(each)
        if changed:
            self.report_overall()

    @contextlib.asynccontextmanager
    async def reporting(self) -> AsyncIterator[None]:
        """Publish changes every REPORT_SECONDS while the `async with` body runs, and at its end."""
        reporter = asyncio.create_task(self._report(), name="report-progress")
        try:
            yield
        finally:
            reporter.cancel()
            self.report_changed()

    async def _report(self) -> None:
        while True:
            self.report_changed()
            await asyncio.sleep(REPORT_SECONDS)

    def _report_overall(self, overall: ScrapeProgress) -> None:
        self._phase = overall.phase
        if self._with_overall:
            self._publish(overall)

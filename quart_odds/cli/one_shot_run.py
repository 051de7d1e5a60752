"""One run without a server: same path, database rows and failure reasons as any other run."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator

from quart_odds.app import create_app
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunMode
from quart_odds.errors import RunStateError, StorageError
from quart_odds.scraping.active_run import ActiveRun
from quart_odds.scraping.reporter import REPORT_SECONDS
from quart_odds.scraping.schemas import ScrapeProgress
from quart_odds.services import EXTENSION, Services
from quart_odds.settings import Settings


async def scrape_once(
    settings: Settings,
    platforms: list[Platform],
    tell: Callable[[ScrapeProgress], None],
    mode: RunMode = RunMode.FULL,
    on_signal: Callable[[signal.Signals], object] = lambda _: None,
) -> ScrapeProgress | None:
    """Run once over these platforms, or over the enabled ones if none are named. Return the last progress.

    A sweep publishes only its start and its end, so `tell` gets what its counters say in between as well. SIGINT and
    SIGTERM cancel the run, and `on_signal` gets the signal. Raises StorageError if another process writes to the
    database.
    """
    app = create_app(settings)
    await app.startup()
    try:
        parts: Services = app.extensions[EXTENSION]
        if not await parts.store.database.take_writer_lock():
            raise StorageError(
                "another process writes to this database: stop it, or watch its runs with quart-odds watch"
            )
        run = await parts.runs.start("cli", platforms or None, mode)
        try:
            with _on_signals(lambda: parts.runs.cancel(run.record.id), on_signal):
                return await (_tell_with_counters(run, tell) if run.is_quiet else _tell_published(run, tell))
        finally:
            # `tell` fails when the reader of standard output is gone, such as `head -1`. Do not finish the run for it.
            if parts.runs.active_run(mode) is run:
                await parts.runs.cancel(run.record.id)
    finally:
        await app.shutdown()


async def _tell_published(run: ActiveRun, tell: Callable[[ScrapeProgress], None]) -> ScrapeProgress | None:
    progress = None
    async for progress in run.broadcaster.subscribe(from_start=True):
        tell(progress)
    return progress


async def _tell_with_counters(run: ActiveRun, tell: Callable[[ScrapeProgress], None]) -> ScrapeProgress | None:
    """Tell what a quiet run publishes, and between its start and its end what its counters say."""
    assert run.work is not None
    progress = None
    async for progress in run.broadcaster.subscribe(from_start=True):
        tell(progress)
        told: dict[Platform, int] = {}
        while not progress.is_terminal:
            _tell_changed(run, told, tell)
            if run.work.done():
                break
            await asyncio.wait([run.work], timeout=REPORT_SECONDS)
    return progress


def _tell_changed(run: ActiveRun, told: dict[Platform, int], tell: Callable[[ScrapeProgress], None]) -> None:
    """Tell the counters that are newer than those in `told`, which has the revision of each platform."""
    changed = [each for each in run.tracker.platforms if each.revision != told.get(each.platform, 0)]
    for each in changed:
        told[each.platform] = each.revision
        tell(run.completed(each.progress()))
    if changed:
        tell(run.completed(run.tracker.progress()))


@contextlib.contextmanager
def _on_signals(
    act: Callable[[], Coroutine[None, None, None]], tell: Callable[[signal.Signals], object]
) -> Iterator[None]:
    """Call `tell` and `act` on SIGINT and SIGTERM instead of exiting.

    A RunStateError of `act` is ignored: the run has ended already.
    """
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def try_to() -> None:
        with contextlib.suppress(RunStateError):
            await act()

    def on_signal(number: signal.Signals) -> None:
        tell(number)
        tasks.add(asyncio.create_task(try_to()))

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

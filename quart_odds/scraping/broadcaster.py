"""Publishes the progress of one run, in an event log that belongs to this run alone.

The log has the same cursors and the same flushing as the shared one. Nothing here depends on a transport, and no
listener can slow down, stop or start the run.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator

import orjson

from quart_odds.broadcast import Entry, EventLog, Flusher, LogBounds
from quart_odds.broadcast.figures import HubFigures
from quart_odds.domain.runs import RunMode
from quart_odds.scraping.schemas import ScrapeProgress

RUN_LOG_BOUNDS = LogBounds(least_entries=50_000, least_bytes=0, least_seconds=0, most_bytes=64 * 1024 * 1024)
"""Keep a run's progress from its beginning. A run of ten minutes at forty messages a second fits easily."""


class ProgressBroadcaster:
    """Publishes one run's progress. `publish` is a plain function and never waits.

    `subscribe` may be called at any time. `log` and `flusher` serve the run's own stream, whose listeners have a
    cursor.
    """

    def __init__(
        self,
        scrape_run_id: int,
        mode: RunMode = RunMode.FULL,
        *,
        heartbeat_seconds: float = 15.0,
        write_timeout_seconds: float = 10.0,
        epoch: str | None = None,
        figures: HubFigures | None = None,
    ) -> None:
        self.scrape_run_id = scrape_run_id
        self.mode = mode
        self.log = EventLog(f"r{scrape_run_id}", bounds=RUN_LOG_BOUNDS, epoch=epoch)
        self.on_publish: Callable[[Entry, bool], object] | None = None
        """Called with every entry, and with whether it is the last one."""
        self.flusher = Flusher(
            self.log,
            heartbeat_seconds=heartbeat_seconds,
            write_timeout_seconds=write_timeout_seconds,
            figures=figures,
        )
        self._latest: ScrapeProgress | None = None
        self._is_completed = False
        self._waiting: set[asyncio.Future[None]] = set()
        self._followers = 0

    @property
    def latest_progress(self) -> ScrapeProgress | None:
        """The newest progress, of any platform or of the run as a whole; None before the first."""
        return self._latest

    @property
    def is_completed(self) -> bool:
        """Whether the terminal progress has been published, or the broadcaster was closed without it."""
        return self._is_completed

    @property
    def subscriber_count(self) -> int:
        """The number of listeners, both through `subscribe` and on the run's own stream."""
        return self._followers + len(self.flusher.subscribers)

    @property
    def end_cursor(self) -> str:
        """The cursor of the newest progress, which is the terminal one once the run is over."""
        return self.log.cursor_at(self.log.next_seq)

    def publish(self, progress: ScrapeProgress) -> None:
        """Publish progress to all listeners. Raises RuntimeError after the terminal progress."""
        if self._is_completed:
            raise RuntimeError(f"run {self.scrape_run_id} has told its end already")
        entry = self.log.append(
            orjson.dumps(progress.model_dump(mode="json")),
            value=progress,
            retain=(self.scrape_run_id, progress.platform),
            ends=progress.is_terminal,
        )
        self._latest = progress
        if self.on_publish is not None:
            self.on_publish(entry, progress.is_terminal)
        if progress.is_terminal:
            self.close()
            return
        self._wake()

    def publish_at(self, seq: int, progress: ScrapeProgress) -> None:
        """Publish progress that has a number in the log of another process. Listeners learn of missing numbers."""
        if seq != self.log.next_seq:
            self.log.restart(self.log.epoch.rpartition("-")[2], seq)
            self.flusher.begin_anew()
        self.publish(progress)

    def close(self) -> None:
        """End each subscription after it has received everything. Can be called more than once."""
        self._is_completed = True
        self.log.close()
        self._wake()

    async def subscribe(self, *, from_start: bool = False) -> AsyncIterator[ScrapeProgress]:
        """Yield the run's progress until the run ends.

        A late listener starts with the newest progress, or with the first if `from_start` is true. A listener that is
        so far behind that the log no longer has its next entry (tens of thousands of messages) continues with the
        newest progress of each platform.
        """
        log = self.log
        seq = log.first_seq if from_start else max(log.first_seq, log.next_seq - 1)
        self._followers += 1
        try:
            while True:
                if seq > log.next_seq:
                    seq = log.first_seq  # Redis has lost entries, and the run goes on with a lower number
                if seq < log.first_seq:
                    missed, seq = log.since(seq), log.next_seq
                    for entry in missed:
                        yield _progress(entry.value)
                for entry in tuple(log.read(seq, log.next_seq)):
                    yield _progress(entry.value)
                    seq = entry.seq + 1
                if seq >= log.next_seq:
                    if log.is_closed:
                        return
                    await self._news()
        finally:
            self._followers -= 1

    async def _news(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self.flusher.schedule()


def _progress(value: object) -> ScrapeProgress:
    assert isinstance(value, ScrapeProgress)
    return value


class BroadcasterRegistry:
    """The broadcasters of active runs and of the last few of each mode that are over, by run id.

    Sweeps are frequent, and must not displace the full runs.
    """

    def __init__(self, keep: int = 8) -> None:
        self._keep = keep
        self._broadcasters: OrderedDict[int, ProgressBroadcaster] = OrderedDict()

    def add(self, broadcaster: ProgressBroadcaster) -> None:
        """Keep a run's broadcaster. The oldest broadcasters of runs of its mode that are over make room for it."""
        self._broadcasters[broadcaster.scrape_run_id] = broadcaster
        alike = {run_id: each for run_id, each in self._broadcasters.items() if each.mode is broadcaster.mode}
        over = [run_id for run_id, each in alike.items() if each.is_completed]
        for run_id in over[: max(0, len(alike) - self._keep)]:
            # Streams that are still reading keep it alive, but new listeners cannot find it.
            del self._broadcasters[run_id]

    def add_unless_known(self, broadcaster: ProgressBroadcaster) -> ProgressBroadcaster:
        """Keep a run's broadcaster unless there is one already. Returns the one that is kept."""
        known = self._broadcasters.get(broadcaster.scrape_run_id)
        if known is None:
            self.add(broadcaster)
        return known or broadcaster

    def get(self, scrape_run_id: int) -> ProgressBroadcaster | None:
        """Return a run's broadcaster; None if there was no such run or it ended too long ago."""
        return self._broadcasters.get(scrape_run_id)

    def active(self) -> list[ProgressBroadcaster]:
        """Return the broadcasters of active runs."""
        return [each for each in self._broadcasters.values() if not each.is_completed]

    def __iter__(self) -> Iterator[ProgressBroadcaster]:
        """Iterate over all broadcasters that are kept, the oldest first."""
        return iter(list(self._broadcasters.values()))

    def close(self) -> None:
        """Stop all timers, at shutdown."""
        for each in self._broadcasters.values():
            each.flusher.close()

"""The progress of one run, told to whoever asks: a log of its own, with the broadcast's cursors and flush.

It knows nothing of transports, and no listener can slow, stop or start the run.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator

import orjson

from quart_odds.broadcast import EventLog, Flusher, LogBounds
from quart_odds.scraping.schemas import ScrapeProgress

RUN_LOG_BOUNDS = LogBounds(least_entries=50_000, least_bytes=0, least_seconds=0, most_bytes=64 * 1024 * 1024)
"""A run is kept from its beginning: ten minutes at forty messages a second, with room to spare."""


class ProgressBroadcaster:
    """What a run tells. `publish` is a plain function that never waits; `subscribe` may be called at any time.

    `log` and `flusher` serve listeners with a cursor: the run's own stream.
    """

    def __init__(
        self,
        scrape_run_id: int,
        *,
        heartbeat_seconds: float = 15.0,
        write_timeout_seconds: float = 10.0,
    ) -> None:
        self.scrape_run_id = scrape_run_id
        self.log = EventLog(f"r{scrape_run_id}", bounds=RUN_LOG_BOUNDS)
        self.flusher = Flusher(
            self.log, heartbeat_seconds=heartbeat_seconds, write_timeout_seconds=write_timeout_seconds
        )
        self._latest: ScrapeProgress | None = None
        self._is_completed = False
        self._waiting: set[asyncio.Future[None]] = set()
        self._followers = 0

    @property
    def latest_progress(self) -> ScrapeProgress | None:
        """The newest progress, of whichever platform; None before the first."""
        return self._latest

    @property
    def is_completed(self) -> bool:
        """Whether the run has told its terminal progress, or was closed without one."""
        return self._is_completed

    @property
    def subscriber_count(self) -> int:
        """How many listen: through `subscribe` and through the run's own streams."""
        return self._followers + len(self.flusher.subscribers)

    @property
    def end_cursor(self) -> str:
        """The cursor of the newest progress; of the terminal one once the run is over."""
        return self.log.cursor_at(self.log.next_seq)

    def publish(self, progress: ScrapeProgress) -> None:
        """Tell a progress to everyone. After the terminal one nothing more is told: RuntimeError."""
        if self._is_completed:
            raise RuntimeError(f"run {self.scrape_run_id} has told its end already")
        self.log.append(
            orjson.dumps(progress.model_dump(mode="json")),
            value=progress,
            retain=(self.scrape_run_id, progress.platform),
            ends=progress.is_terminal,
        )
        self._latest = progress
        if progress.is_terminal:
            self.close()
            return
        self._wake()

    def close(self) -> None:
        """End all subscriptions, once they have had everything. Doing it twice is the same as once."""
        self._is_completed = True
        self.log.close()
        self._wake()

    async def subscribe(self, *, from_start: bool = False) -> AsyncIterator[ScrapeProgress]:
        """The run's progress until it ends: the newest first for one who comes late, or all `from_start`.

        One who falls out of the log (tens of thousands behind) goes on with the newest of each platform.
        """
        log = self.log
        seq = log.first_seq if from_start else max(log.first_seq, log.next_seq - 1)
        self._followers += 1
        try:
            while True:
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
    """The broadcasters of the runs that are going, and of the last few that are over, by run id."""

    def __init__(self, keep: int = 8) -> None:
        self._keep = keep
        self._broadcasters: OrderedDict[int, ProgressBroadcaster] = OrderedDict()

    def add(self, broadcaster: ProgressBroadcaster) -> None:
        """Keep a run's broadcaster; the oldest of those that are over make room for it."""
        self._broadcasters[broadcaster.scrape_run_id] = broadcaster
        over = [run_id for run_id, each in self._broadcasters.items() if each.is_completed]
        for run_id in over[: max(0, len(self._broadcasters) - self._keep)]:
            # Streams that still read it keep it alive; nobody new will find it.
            del self._broadcasters[run_id]

    def get(self, scrape_run_id: int) -> ProgressBroadcaster | None:
        """The broadcaster of a run; None when it is long over, or never was."""
        return self._broadcasters.get(scrape_run_id)

    def active(self) -> list[ProgressBroadcaster]:
        """Those of the runs that are going."""
        return [each for each in self._broadcasters.values() if not each.is_completed]

    def __iter__(self) -> Iterator[ProgressBroadcaster]:
        """All that are kept, the oldest first."""
        return iter(list(self._broadcasters.values()))

    def close(self) -> None:
        """Stop all timers: at shutdown."""
        for each in self._broadcasters.values():
            each.flusher.close()

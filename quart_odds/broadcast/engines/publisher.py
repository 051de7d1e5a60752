"""The writer's end of the stream: appends records in batches, in the background. Publishing never waits.

A record is given its numbers when it is appended here, and is on the log once Redis has it; nobody hears of it before.
While Redis is away, records wait within a bound. If more come, or if Redis has lost entries, a new epoch begins: what
waited is dropped, every process learns of it, and everything is sent anew as one state.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from quart_odds.broadcast.engines.clients import disconnect, end_tasks, no_answer
from quart_odds.broadcast.engines.keys import LogKeys
from quart_odds.broadcast.engines.records import (
    HEARTBEAT,
    MESSAGE,
    RELOAD,
    SEPARATOR,
    Record,
    RetainedRecord,
    read_retained,
)
from quart_odds.broadcast.engines.scripts import BEGIN, FENCED, OTHER_EPOCH, OUT_OF_ORDER, PUBLISH
from quart_odds.broadcast.retained import Key, Retained
from quart_odds.errors import NotWriterError, ReplicationError

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_WAITING_BYTES = 16 * 1024 * 1024
"""How much may wait for Redis before a new epoch begins."""

BATCH_RECORDS = 200
BATCH_BYTES = 256 * 1024
KEPT_BYTES = 32 * 1024 * 1024
"""About how much the stream keeps."""

HEARTBEAT_SECONDS = 1.0
MOST_WAIT_SECONDS = 2.0
CLOSE_SECONDS = 1.0

log = structlog.get_logger(__name__)

Place = tuple[int, int]
"""The number of an entry, and how many records without a number follow it."""


class StreamPublisher:
    """Appends to the log in one term. `begin` before the first `append`.

    `on_begin` is called in the turn in which a term or an epoch begins, with whether it is a new epoch: it has to
    append that the state was replaced, and in a new epoch also the retained messages that came back from the log. Those
    that were appended here follow.
    `on_refused` is called when another process has become the writer. `on_wanted` is called, at most once per batch,
    while a process waits for a snapshot.
    """

    def __init__(
        self,
        connect: Callable[[], "Redis"],
        keys: LogKeys,
        *,
        on_begin: Callable[[bool], object],
        on_refused: Callable[[NotWriterError], object],
        on_wanted: Callable[[], object],
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self.epoch = ""
        self.failure: str | None = None
        """Why Redis does not take anything; None while it does."""
        self.dropped = 0
        self._connect = connect
        self._keys = keys
        self._on_begin = on_begin
        self._on_refused = on_refused
        self._on_wanted = on_wanted
        self._max_waiting_bytes = max_waiting_bytes
        self._term: int | None = None
        self._begun = ""
        self._batch = 0
        self._last: Place = (0, 0)
        self._flushed: Place = (0, 0)
        self._waiting: deque[tuple[Record, Place]] = deque()
        self._waiting_bytes = 0
        self._sending: list[tuple[Record, Place]] = []
        self._early: list[Record] = []
        """Messages from before the term has begun."""
        self._is_begun = False
        self._is_overflown = False
        self._kept: deque[tuple[int, int]] = deque()
        self._kept_bytes = 0
        self._retained: Retained[tuple[int, Record]] = Retained()
        self._noted = 0
        self._drops: list[str] = []
        self._news = asyncio.Event()
        self._progress = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._client: Redis | None = None

    @property
    def place(self) -> Place:
        """The place of the last record that was appended here."""
        return self._last

    @property
    def is_open(self) -> bool:
        """Whether this process is the one that writes the log, as far as it knows."""
        return self._term is not None

    def begin(self, term: int) -> None:
        """Write in this term from now on. The log goes on where it is, as soon as Redis answers."""
        self._clear()
        self._retained = Retained()
        self._term = term
        self._is_begun = False
        self._news.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="log-publisher")

    def end(self) -> None:
        """Write no more, because another process does. What waits is dropped."""
        self._term = None
        self._is_begun = False
        self._clear()
        self._news.set()

    async def close(self) -> None:
        """Give Redis a moment to take what waits, and stop. Idempotent."""
        if self._term is not None and self._waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.flushed(self._last)
        self.end()
        task, self._task = self._task, None
        await end_tasks(task)
        await self._disconnect()

    def append(self, record: Record) -> Place:
        """Append a record, and return its place. Never waits. Raises NotWriterError if this process does not write.

        A retained record of a group that has ended is left out: its end was the last.
        """
        if self._term is None:
            raise NotWriterError
        if not self._is_begun and not self._is_overflown:
            self._keep_early(record)
            return self._last
        if record.retain is not None and self._retained.has_ended(record.retain[0]):
            log.debug("log.ended_before", name=record.name, group=record.retain[0])
            return self._last
        self._note_retained(record)
        if not self._is_begun:
            return self._last
        seq, sub = self._last
        place = self._last = (seq + record.count, 0) if record.count else (seq, sub + 1)
        self._waiting.append((record, place))
        self._waiting_bytes += record.size_bytes
        if self._waiting_bytes > self._max_waiting_bytes:
            self._drop()
        self._news.set()
        return place

    def _keep_early(self, record: Record) -> None:
        """Keep a message until the term has begun. Operations are in the state that replaces all others then."""
        if record.kind == MESSAGE:
            self._early.append(record)
            self._waiting_bytes += record.size_bytes
            if self._waiting_bytes > self._max_waiting_bytes:
                self._drop()

    def _drop(self) -> None:
        """Give up what waits: a new epoch begins when Redis is back, with the newest retained records."""
        early, self._early = self._early, []
        for each in early:
            self._note_retained(each)
        self.dropped += len(self._waiting) + len(early)
        log.error("log.dropped", records=self.dropped, effect="a new epoch begins when Redis is back")
        self._clear()
        self._is_overflown, self._is_begun = True, False

    def retained(self) -> list[Record]:
        """Return the newest record of each retained key, in order, also of those that Redis has never had."""
        return [record for _, (_, record) in sorted(self._retained, key=lambda each: each[1][0])]

    def has_ended(self, group: str) -> bool:
        """Return whether a group of retained records has ended."""
        return self._retained.has_ended(group)

    async def flushed(self, place: Place) -> None:
        """Return when Redis has everything up to a place. Raises ReplicationError if it has been dropped."""
        epoch = self.epoch
        async with self._progress:
            await self._progress.wait_for(lambda: self._flushed >= place or self.epoch != epoch)
        if self.epoch != epoch:
            raise ReplicationError("a new epoch has begun")

    async def _begin(self, term: int) -> None:
        """Begin the term, in a new epoch if something was dropped."""
        is_new_epoch = self._is_overflown
        keys = [self._keys.epochs, self._keys.meta, self._keys.retained, self._keys.snapshot]
        proposed = secrets.token_hex(4)
        arguments = [term, proposed, "1" if is_new_epoch else "0", self._keys.stream("")]
        epoch, last, sub, retained = await self._call(BEGIN, keys, arguments)
        if self._term != term:
            return
        if self._is_overflown and not is_new_epoch:
            return  # something was dropped meanwhile; begin again
        early, self._early = self._early, []
        self._clear()
        self.epoch = epoch.decode()
        is_begun_anew = self.epoch == proposed
        own = self.retained()
        self._restore_retained([read_retained(*each) for each in zip(retained[::2], retained[1::2], strict=True)])
        if is_begun_anew:
            # Redis has none of them any more. Those from here are newer than what Redis had, if they reached it at all.
            own, self._retained = [*self.retained(), *own], Retained()
        self._begun = proposed
        self._batch = 0
        self._last = self._flushed = (int(last), int(sub))
        self._kept.clear()
        self._kept_bytes = 0
        self.failure = None
        self._is_begun = True
        self._on_begin(is_begun_anew)
        for record in (*own, *early):
            self.append(record)
        async with self._progress:
            self._progress.notify_all()

    def _clear(self) -> None:
        self._waiting.clear()
        self._sending = []
        self._waiting_bytes = 0
        self._is_overflown = False
        self._early = []
        self._drops.clear()

    def _restore_retained(self, retained: list[RetainedRecord]) -> None:
        self._retained = Retained()
        for each in sorted(retained, key=lambda each: each.seq):
            self._put_retained(Record(MESSAGE, 1, each.payload, each.topic, each.name, each.retain, each.ends))

    def _note_retained(self, record: Record) -> None:
        """Note which retained entries Redis has to drop, because their groups ended long ago."""
        self._drops += [SEPARATOR.join(map(str, key)) for key in self._put_retained(record)]

    def _put_retained(self, record: Record) -> list[Key]:
        if record.retain is None:
            return []
        self._noted += 1
        return self._retained.put(record.retain, (self._noted, record), ends=record.ends)

    async def _run(self) -> None:
        wait_seconds = 0.0
        while self._term is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._news.wait()
            self._news.clear()
            try:
                if self._term is not None and not self._is_begun:
                    await self._begin(self._term)
                if self._is_begun and not self._waiting:
                    self.append(Record(HEARTBEAT, 0))
                    self._news.clear()
                while self._waiting and self._is_begun and self._term is not None:
                    await self._send()
                if not self._is_begun:
                    self._news.set()
            except NotWriterError as error:
                self._refuse(error)
            except Exception as error:
                # redis-py raises more than its own errors when a peer has closed: TypeError, AttributeError.
                self._fail(error)
                await self._disconnect()
                wait_seconds = min(max(0.05, 2 * wait_seconds), MOST_WAIT_SECONDS)
                await asyncio.sleep(wait_seconds)
                self._news.set()
            else:
                wait_seconds = 0.0

    async def _send(self) -> None:
        term = self._term
        assert term is not None
        # A batch that is sent again has to be the same: Redis may have it.
        batch = self._sending = self._sending or self._next_batch()
        drops, before = list(self._drops), self._flushed[0]
        keys = [self._keys.stream(self.epoch), self._keys.meta, self._keys.retained, self._keys.wanted]
        head = [self.epoch, term, self._batch + 1, before, self._oldest_kept(), len(batch), self._begun]
        fields = [each for record, _ in batch for each in record.fields()]
        try:
            is_wanted = await self._call(PUBLISH, keys, [*head, *fields, *drops])
        except ReplicationError as error:
            log.error("log.lost", reason=str(error), effect="a new epoch begins")
            self._clear()
            self._is_overflown, self._is_begun = True, False
            return
        if self._term != term or self._sending is not batch:
            return
        self._sending = []
        self._batch += 1
        self._took(batch, drops)
        async with self._progress:
            self._progress.notify_all()
        if is_wanted:
            self._on_wanted()

    def _next_batch(self) -> list[tuple[Record, Place]]:
        batch: list[tuple[Record, Place]] = []
        size = 0
        for record, place in self._waiting:
            batch.append((record, place))
            size += record.size_bytes
            if len(batch) >= BATCH_RECORDS or size >= BATCH_BYTES:
                break
        return batch

    def _took(self, batch: list[tuple[Record, Place]], drops: list[str]) -> None:
        if self.failure is not None:
            log.info("log.goes_on", waited=self.failure)
        self.failure = None
        del self._drops[: len(drops)]
        for record, (seq, _) in batch:
            self._waiting.popleft()
            self._waiting_bytes -= record.size_bytes
            self._kept.append((seq, record.size_bytes))
            self._kept_bytes += record.size_bytes
        self._flushed = batch[-1][1]

    def _oldest_kept(self) -> str:
        """Return the id before which the stream may be trimmed; empty if it need not be."""
        seq = 0
        while self._kept_bytes > KEPT_BYTES:
            seq, size = self._kept.popleft()
            self._kept_bytes -= size
        return f"{seq}-0" if seq else ""

    async def _call(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """Call a script. Raises NotWriterError if the term is over, ReplicationError if the log is not what it was."""
        from redis.exceptions import NoScriptError, ResponseError

        if self._client is None:
            self._client = self._connect()
        try:
            prepared = self._client.register_script(script)
            try:
                return await prepared(keys=keys, args=arguments)
            except NoScriptError:
                return await self._client.eval(script, len(keys), *keys, *arguments)
        except ResponseError as error:
            word, _, reason = str(error).partition(" ")
            if word == FENCED:
                raise NotWriterError(f"another process writes the log: {reason}") from None
            if word in (OTHER_EPOCH, OUT_OF_ORDER):
                raise ReplicationError(f"Redis has lost entries of the log: {reason}") from None
            raise

    def _refuse(self, error: NotWriterError) -> None:
        self._term = None
        self._clear()
        log.warning("log.refused", reason=str(error))
        self._on_refused(error)

    def _fail(self, error: Exception) -> None:
        reason = no_answer(error)
        if self.failure is None:
            log.warning("log.waits", reason=reason)
        self.failure = reason

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        await disconnect(client)


def reload_record() -> Record:
    """Return the record that tells every process to take a snapshot, because all odds were replaced."""
    return Record(RELOAD, 1)

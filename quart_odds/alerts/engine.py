"""The engine of alerts: it is told what changes, lets rules fire, and stores what fired with what is to be delivered.

Only the process that writes has rules. They are read when a term begins, and when they change.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import structlog

from quart_odds.alerts.crossings import Crossings, Key
from quart_odds.alerts.matching import Matcher
from quart_odds.alerts.ports import AlertStore
from quart_odds.alerts.rules import Rule
from quart_odds.alerts.service import new_key
from quart_odds.alerts.values import NewAlert, SubjectState
from quart_odds.domain.clock import utc_now
from quart_odds.domain.runs import RunRecord
from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import EventChange
from quart_odds.odds.opportunities import Track, What

LOOK_SECONDS = 1.0
"""How often the engine looks whether rules have changed, whether a bookmaker is stale, and tries again after an error.
"""

CLOSE_SECONDS = 0.4
"""How long a stop waits until what has fired is stored, and then for what it has cancelled."""

log = structlog.get_logger(__name__)


OnFired = Callable[[int, str, str, Mapping[str, object], datetime], object]
"""Called with the id of an alert, its title, text and data, and when it fired."""


class AlertEngine:
    """Lets rules fire while `term` returns the term in which this process writes.

    `on_fired` is called with each alert once it is committed, and `on_queued` when something may have to be delivered.
    """

    def __init__(
        self,
        store: AlertStore,
        cache: OddsCache,
        *,
        term: Callable[[], int | None],
        on_fired: OnFired,
        on_queued: Callable[[], object],
        keys: Callable[[], str] = new_key,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._cache = cache
        self._term = term
        self._on_fired = on_fired
        self._on_queued = on_queued
        self._keys = keys
        self._now = now
        self.opportunities: Callable[[], Iterable[Track]] = tuple
        """Returns the opportunities that there are now, for rules that are new."""
        self._matcher = Matcher(cache, Crossings())
        self._loaded_term: int | None = None
        self._rules: dict[int, Rule] = {}
        self._stamp: object = None
        self._loading = asyncio.Lock()
        self._fired: list[NewAlert] = []
        self._states: dict[Key, SubjectState] = {}
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    # What happens.

    def observe(self, change: EventChange) -> None:
        """Let rules fire because of a change. Call it with every change, right after the cache took it."""
        if self._loaded_term is not None:
            self._note(self._matcher.changed(change, self._now()))

    def run_ended(self, record: RunRecord) -> None:
        """Let rules fire because of the end of a run. Call it with every end, once it is stored."""
        if self._loaded_term is not None:
            self._note(self._matcher.ended(record, self._now()))

    def opportunity(self, what: What, track: Track) -> None:
        """Let rules fire because of an opportunity. Call it with everything that an OpportunityEngine tells."""
        if self._loaded_term is not None:
            self._note(self._matcher.found(track, self._now(), is_gone=what == "gone"))

    def _note(self, fired: Iterable[NewAlert]) -> None:
        """Keep what fires until it is stored. A rule that breaks must not break the recording of odds."""
        try:
            self._fired.extend(fired)
        except Exception:
            log.exception("alerts.rule_broke")
        if self._fired or self._matcher.crossings.changed:
            self._woken.set()

    # The rules.

    async def load(self, term: int | None) -> None:
        """Read the rules for a term of this process, and fire what the present prices call for. Raises StorageError.

        Within a term, the states of subjects are those in memory.
        """
        async with self._loading:
            if term is None:
                self._stop()
                return
            stamp = await self._store.alert_rules_stamp()
            rules = await self._store.alert_rules()
            states = None if term == self._loaded_term else await self._store.alert_states()
            now = self._now()
            if states is not None:
                self._stop()
                seen = {
                    each.header.platform: now for event in self._cache.events.values() for each in event.odds.values()
                }
                self._matcher = Matcher(self._cache, Crossings(states))
                self._matcher.seen_at.update(seen)
                self._matcher.expect(now)
                self._loaded_term = term
            for rule in rules:
                former = self._rules.get(rule.id)
                if former is not None and former.spec != rule.spec:
                    self._matcher.crossings.forget(rule.id)
            self._rules, self._stamp = {rule.id: rule for rule in rules}, stamp
            self._matcher.crossings.keep(self._rules)
            self._matcher.replace(rules)
            self._note(self._matcher.present(now))
            for track in self.opportunities():
                self._note(self._matcher.found(track, now))

    def _stop(self) -> None:
        """Forget everything: another process writes, and fires from what the database has."""
        self._loaded_term, self._stamp, self._rules = None, None, {}
        self._fired, self._states = [], {}
        self._matcher = Matcher(self._cache, Crossings())

    # What is stored.

    def open(self) -> None:
        """Start to store what fires, and to look for changes of rules."""
        self._closing.clear()
        self._task = asyncio.create_task(self._run(), name="alerts")

    async def close(self) -> None:
        """Store what has fired, as far as time allows, and stop.

        A commit that is cancelled may have been made, and would store the same alerts again if it were repeated.
        """
        if self._task is not None:
            self._closing.set()
            self._woken.set()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        look_at = loop.time()
        while True:
            is_last = self._closing.is_set()
            self._woken.clear()
            try:
                if loop.time() >= look_at and not is_last:
                    look_at = loop.time() + LOOK_SECONDS
                    await self._look()
                await self._commit()
            except NotWriterError:
                self._stop()
            except StorageError as error:
                log.warning("alerts.not_stored", reason=error.for_operator)
                await self._rest()
            except Exception:
                log.exception("alerts.broke")
                await self._rest()
            if is_last:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(look_at):
                    await self._woken.wait()

    async def _rest(self) -> None:
        """Wait after an error. A stop tries once more at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._closing.wait()

    async def _look(self) -> None:
        """Read rules that have changed, and note which bookmakers are stale by now."""
        term = self._term()
        if term is None:
            if self._loaded_term is not None:
                self._stop()
            return
        if term != self._loaded_term or await self._store.alert_rules_stamp() != self._stamp:
            await self.load(term)
        self._note(self._matcher.passed(self._now()))

    async def _commit(self) -> None:
        """Store what has fired, with its deliveries and the states, in one transaction."""
        crossings, term = self._matcher.crossings, self._loaded_term
        # Kept until they are stored. A later state of a subject replaces an earlier one.
        self._states.update(crossings.changed)
        crossings.changed.clear()
        if not (self._fired or self._states) or term is None:
            return
        fired, states = list(self._fired), dict(self._states)
        ids = await self._store.add_alerts(fired, list(states.values()), self._keys, term)
        if self._loaded_term == term:
            del self._fired[: len(fired)]
            self._states = {key: each for key, each in self._states.items() if states.get(key) is not each}
        for alert, alert_id in zip(fired, ids, strict=True):
            if alert_id is not None:
                log.info("alerts.fired", alert=alert_id, rule=alert.rule_id, kind=alert.kind)
                self._on_fired(alert_id, alert.title, alert.text, alert.data, alert.fired_at)
        if fired:
            self._on_queued()

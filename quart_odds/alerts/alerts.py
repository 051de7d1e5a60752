"""The parts of alerts, put together: rules fire in the engine, and the queue delivers what fired to targets."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from quart_odds.alerts.delivery import DeliveryQueue, doubling
from quart_odds.alerts.engine import AlertEngine, OnFired
from quart_odds.alerts.ports import AlertStore, DeliveryStore, RuleStore, TargetStore
from quart_odds.alerts.rule_book import RuleBook
from quart_odds.alerts.service import AlertTargets, Senders
from quart_odds.odds.cache import OddsCache


class AlertsStore(TargetStore, RuleStore, AlertStore, DeliveryStore, Protocol):
    """Stores everything about alerts."""

    @property
    def term(self) -> int | None:
        """The term in which this process writes; None while it does not."""


class Alerts:
    """Everything about alerts. `may_deliver` says whether this process is surely the one that writes."""

    def __init__(
        self,
        store: AlertsStore,
        cache: OddsCache,
        *,
        allow_private: bool,
        retry_seconds: float,
        on_fired: OnFired,
        may_deliver: Callable[[], bool],
    ) -> None:
        senders = Senders(allow_private=allow_private)
        self.targets = AlertTargets(store, senders)
        self.queue = DeliveryQueue(
            store, senders, term=lambda: store.term if may_deliver() else None, backoff=doubling(retry_seconds)
        )
        self.engine = AlertEngine(store, cache, term=lambda: store.term, on_fired=on_fired, on_queued=self.queue.wake)
        self.rules = RuleBook(store, on_changed=self.load)
        self._store = store

    async def load(self) -> None:
        """Read the rules, if this process writes. Raises StorageError."""
        await self.engine.load(self._store.term)

    def open(self) -> None:
        """Start to store what fires, and to deliver it."""
        self.engine.open()
        self.queue.open()

    def step_down(self) -> None:
        """Stop to deliver, because another process writes."""
        self.queue.step_down()

    async def close(self) -> None:
        """Store what has fired, as far as time allows, and stop. The rest of the queue waits for the next start."""
        await asyncio.gather(self.engine.close(), self.queue.close())

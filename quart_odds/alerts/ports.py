"""What alerts need of a database. `storage` implements it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from quart_odds.alerts.values import Delivery, DeliveryState, NewAlert, SubjectState, Target, TargetKind


class TargetStore(Protocol):
    """Stores targets. Any process may change them: no process keeps them in memory. Raises StorageError."""

    async def alert_targets(self) -> list[Target]:
        """Return all targets, by id."""

    async def alert_target(self, target_id: int) -> Target | None:
        """Return a target; None if there is none with this id."""

    async def add_alert_target(self, kind: TargetKind, name: str, url: str, secret: str | None, at: datetime) -> Target:
        """Add a target and return it."""

    async def change_alert_target(self, target: Target) -> bool:
        """Store name, URL and secret of a target. Returns False if it is not there any more."""

    async def remove_alert_target(self, target_id: int, at: datetime) -> bool:
        """Remove a target, and cancel what waits for it. Returns False if there was none."""


class DeliveryStore(Protocol):
    """Stores alerts and the queue of their deliveries. Raises StorageError.

    Methods that change something raise NotWriterError if `term` is not the current term of the database.
    """

    async def add_alerts(
        self, fired: Sequence[NewAlert], states: Sequence[SubjectState], keys: Callable[[], str], term: int | None
    ) -> list[int | None]:
        """Store alerts, their deliveries and the states of subjects, in one transaction. Returns the ids of the alerts.

        Of a rule that has been removed nothing is stored, and the id of its alert is None.
        """

    async def next_deliveries(self) -> Sequence[Delivery]:
        """Return the oldest waiting delivery of each rule and target, the next one due first."""

    async def delivery_ended(
        self, delivery_id: int, state: DeliveryState, attempts: int, reason: str | None, at: datetime, term: int | None
    ) -> bool:
        """Store the end of a waiting delivery. Returns False if it was not waiting any more."""

    async def delivery_failed(
        self, delivery_id: int, attempts: int, reason: str, next_at: datetime, term: int | None
    ) -> bool:
        """Store a failed attempt of a waiting delivery, and when the next one is due. Returns False as above."""

"""What alerts need of a database. `storage` implements it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from quart_odds.alerts.rules import Rule
from quart_odds.alerts.values import Delivery, DeliveryState, NewAlert, SubjectState, Target, TargetKind
from quart_odds.odds.ports import StoredEvent


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


class RuleStore(Protocol):
    """Stores rules. Any process may change them; the one that writes notices. Raises StorageError."""

    async def alert_rules(self) -> list[Rule]:
        """Return all rules, by id."""

    async def alert_rule(self, rule_id: int) -> Rule | None:
        """Return a rule; None if there is none with this id."""

    async def add_alert_rule(self, rule: Rule) -> Rule | None:
        """Add a rule and return it with its id. Returns None if one of its targets is not there."""

    async def change_alert_rule(self, rule: Rule) -> bool:
        """Store everything about a rule. Returns False if it, or one of its targets, is not there."""

    async def remove_alert_rule(self, rule_id: int) -> bool:
        """Remove a rule and the states of its subjects. Returns False if there was none."""

    async def load_event(self, event_id: int) -> StoredEvent | None:
        """Return an event; None if there is none with this id."""


class AlertStore(Protocol):
    """Stores what fires, with the states of subjects. Raises StorageError."""

    async def alert_rules_stamp(self) -> object:
        """Return a value that is another one after each change of rules."""

    async def alert_rules(self) -> list[Rule]:
        """Return all rules, by id."""

    async def alert_states(self) -> list[SubjectState]:
        """Return the states of all subjects of all rules."""

    async def add_alerts(
        self, fired: Sequence[NewAlert], states: Sequence[SubjectState], keys: Callable[[], str], term: int | None
    ) -> list[int | None]:
        """Store alerts, their deliveries and the states of subjects, in one transaction. Returns the ids of the alerts.

        Raises NotWriterError if `term` is not the current term of the database.

        Of a rule that has been removed nothing is stored, and the id of its alert is None.
        """


class DeliveryStore(Protocol):
    """Stores the queue of deliveries. Raises StorageError.

    Methods that change something raise NotWriterError if `term` is not the current term of the database.
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

"""The values of alerts: targets, messages to them, and their deliveries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import orjson

from quart_odds.domain.clock import iso_z


class TargetKind(StrEnum):
    """How a target is reached: with a signed request of our own, or by Apprise."""

    WEBHOOK = "webhook"
    APPRISE = "apprise"


@dataclass(frozen=True, slots=True)
class Target:
    """Where alerts are sent. `url` and `secret` are never shown: see `targets.shown`. Apprise targets have no secret.

    `repr` leaves both out, because it may end up in a log.
    """

    id: int
    kind: TargetKind
    name: str
    url: str
    secret: str | None
    created_at: datetime

    def __repr__(self) -> str:
        return f"Target({self.id}, {self.kind.value!r}, {self.name!r})"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to a target. `key` is the same at each attempt, so that a receiver can drop what it has already.

    `title` and `text` are for people; `data` holds the same and more as JSON.
    """

    key: str
    kind: str
    at: datetime
    title: str
    text: str
    data: Mapping[str, object]

    def body(self) -> bytes:
        """Return the body of a webhook: the same bytes at each attempt."""
        fields = {"id": self.key, "type": self.kind, "at": iso_z(self.at), "title": self.title, "text": self.text}
        return orjson.dumps({**fields, "data": self.data})


@dataclass(frozen=True, slots=True)
class NewAlert:
    """An alert that fires now. `subject` is what its rule keeps a state of, such as one price."""

    rule_id: int
    rule_name: str
    kind: str
    subject: str
    title: str
    text: str
    data: Mapping[str, object]
    fired_at: datetime


@dataclass(frozen=True, slots=True)
class SubjectState:
    """Where a subject of a rule is. `is_armed` is False from a crossing until the value has gone back far enough."""

    rule_id: int
    subject: str
    is_armed: bool
    fired_at: datetime | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert that fired, with how its deliveries are."""

    id: int
    rule_id: int | None
    rule_name: str
    kind: str
    title: str
    text: str
    data: Mapping[str, object]
    fired_at: datetime
    deliveries: tuple["DeliveryReport", ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """How a delivery is. `next_at` is None once it has ended, `reason` says why the last attempt failed."""

    target_id: int | None
    target_name: str
    state: "DeliveryState"
    attempts: int
    reason: str | None
    next_at: datetime | None
    ended_at: datetime | None


class DeliveryState(StrEnum):
    """The state of a delivery. All but `waiting` are final; `cancelled` means that its target was removed."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that waits for its next attempt. Deliveries with the same `chain` are made one after the other."""

    id: int
    rule_id: int
    target: Target
    message: Message
    attempts: int
    next_at: datetime
    created_at: datetime

    @property
    def chain(self) -> tuple[int, int]:
        """The rule and the target."""
        return self.rule_id, self.target.id

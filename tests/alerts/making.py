"""Targets, rules and alerts for tests."""

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from quart_odds.alerts.values import Message, NewAlert, Target, TargetKind
from quart_odds.storage import Store
from quart_odds.storage.tables import alert_rule_targets, alert_rules

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SECRET = "whsec_test"


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Return the time that it shows."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


def target(url: str, kind: TargetKind = TargetKind.WEBHOOK) -> Target:
    """Return a target that is not stored."""
    return Target(1, kind, "mine", url, SECRET if kind is TargetKind.WEBHOOK else None, NOW)


def message(key: str = "k1") -> Message:
    """Return a message."""
    return Message(key, "alert", NOW, "A price rose", "1 is at 2.5", {"odds": 2.5})


def keys() -> Callable[[], str]:
    """Return a maker of keys: k1, k2 and so on."""
    numbers = itertools.count(1)
    return lambda: f"k{next(numbers)}"


async def add_rule(store: Store, targets: Sequence[Target]) -> int:
    """Store a rule with these targets, and return its id."""
    values = {"kind": "run", "name": "runs", "spec": "{}", "is_enabled": True, "cooldown_seconds": 0}
    async with store.database.writing() as connection:
        added = await connection.execute(
            insert(alert_rules).values(**values, created_at=NOW, changed_at=NOW).returning(alert_rules.c.id)
        )
        rule_id = int(added.scalar_one())
        for each in targets:
            await connection.execute(insert(alert_rule_targets).values(rule_id=rule_id, target_id=each.id))
    return rule_id


def alert(rule_id: int, text: str = "run 1 failed") -> NewAlert:
    """Return an alert of a rule that fires now."""
    return NewAlert(rule_id, "runs", "run", "run", "A run failed", text, {"run_id": 1}, NOW)

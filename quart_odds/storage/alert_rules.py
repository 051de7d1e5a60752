"""The rules of alerts in the database, and what fired.

Rules are written without the writer lease, as targets are: the process that writes reads them again when they change.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import orjson
from sqlalchemy import ColumnElement, Row, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quart_odds.alerts.rules import Rule, read_spec
from quart_odds.alerts.values import DeliveryReport, DeliveryState, StoredAlert, SubjectState
from quart_odds.storage.database import Database
from quart_odds.storage.tables import (
    MAX_ID,
    alert_deliveries,
    alert_rule_targets,
    alert_rules,
    alert_states,
    alert_targets,
    alerts,
    notes,
)

STAMP = "alert_rules"
"""Key of a number in the table `notes` that grows with each change of rules."""


class AlertRuleRows:
    """The part of the store that holds rules, the states of their subjects, and alerts. Raises StorageError."""

    database: Database

    async def alert_rules_stamp(self) -> str | None:
        """Return a value that is another one after each change of rules."""
        async with self.database.reading() as connection:
            return await connection.scalar(select(notes.c.value).where(notes.c.name == STAMP))

    async def alert_rules(self) -> list[Rule]:
        """Return all rules, by id."""
        return await self._rules()

    async def alert_rule(self, rule_id: int) -> Rule | None:
        """Return a rule; None if there is none with this id."""
        if not 0 < rule_id <= MAX_ID:
            return None
        found = await self._rules(alert_rules.c.id == rule_id)
        return found[0] if found else None

    async def _rules(self, *where: ColumnElement[bool]) -> list[Rule]:
        async with self.database.reading() as connection:
            rows = (await connection.execute(select(alert_rules).where(*where).order_by(alert_rules.c.id))).all()
            targets: dict[int, list[int]] = {}
            for row in await connection.execute(select(alert_rule_targets).order_by(alert_rule_targets.c.target_id)):
                targets.setdefault(row.rule_id, []).append(row.target_id)
        return [_rule(row, targets.get(row.id, ())) for row in rows]

    async def add_alert_rule(self, rule: Rule) -> Rule | None:
        """Add a rule and return it with its id. Returns None if one of its targets is not there."""
        async with self.database.writing() as connection:
            if not await _has_targets(connection, rule.target_ids):
                return None
            added = await connection.execute(
                insert(alert_rules).values(**_values(rule), created_at=rule.created_at).returning(alert_rules.c.id)
            )
            stored = replace(rule, id=int(added.scalar_one()))
            await _tell(connection, stored)
        return stored

    async def change_alert_rule(self, rule: Rule) -> bool:
        """Store everything about a rule. Returns False if it, or one of its targets, is not there."""
        async with self.database.writing() as connection:
            if not await _has_targets(connection, rule.target_ids):
                return False
            done = await connection.execute(
                update(alert_rules).where(alert_rules.c.id == rule.id).values(**_values(rule))
            )
            if done.rowcount != 1:
                return False
            await _tell(connection, rule)
        return True

    async def remove_alert_rule(self, rule_id: int) -> bool:
        """Remove a rule and the states of its subjects. Returns False if there was none."""
        if not 0 < rule_id <= MAX_ID:
            return False
        async with self.database.writing() as connection:
            done = await connection.execute(delete(alert_rules).where(alert_rules.c.id == rule_id))
            await _stamp(connection)
        return done.rowcount == 1

    async def alert_states(self) -> list[SubjectState]:
        """Return the states of all subjects of all rules."""
        async with self.database.reading() as connection:
            rows = await connection.execute(select(alert_states))
            return [SubjectState(row.rule_id, row.subject, row.is_armed, row.fired_at, row.changed_at) for row in rows]

    async def list_alerts(
        self, *, limit: int, before_id: int | None = None, rule_id: int | None = None
    ) -> list[StoredAlert]:
        """Return alerts with their deliveries, newest first; with `before_id`, those that fired before that one."""
        statement = select(alerts).order_by(alerts.c.id.desc()).limit(limit)
        if before_id is not None:
            statement = statement.where(alerts.c.id < before_id)
        if rule_id is not None:
            statement = statement.where(alerts.c.rule_id == rule_id)
        async with self.database.reading() as connection:
            rows = (await connection.execute(statement)).all()
            reports: dict[int, list[DeliveryReport]] = {}
            for row in await connection.execute(
                select(alert_deliveries)
                .where(alert_deliveries.c.alert_id.in_([row.id for row in rows]))
                .order_by(alert_deliveries.c.id)
            ):
                reports.setdefault(row.alert_id, []).append(_report(row))
        return [
            StoredAlert(
                id=row.id,
                rule_id=row.rule_id,
                rule_name=row.rule_name,
                kind=row.kind,
                title=row.title,
                text=row.text,
                data=orjson.loads(row.data),
                fired_at=row.fired_at,
                deliveries=tuple(reports.get(row.id, ())),
            )
            for row in rows
        ]

    async def last_alerts(self) -> dict[int, datetime]:
        """Return when each rule fired last, by its id. Rules of which no alert is kept are not in it."""
        statement = select(alerts.c.rule_id, func.max(alerts.c.fired_at).label("at")).where(
            alerts.c.rule_id.is_not(None)
        )
        async with self.database.reading() as connection:
            rows = await connection.execute(statement.group_by(alerts.c.rule_id))
            return {row.rule_id: row.at for row in rows}


async def remove_alerts(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Remove alerts with their deliveries, those that still wait included."""
    await connection.execute(delete(alerts).where(alerts.c.id.in_(ids)))


async def remove_states(connection: AsyncConnection, before: datetime) -> None:
    """Remove states that say nothing any more: armed ones, and those of single runs, that are as old."""
    is_over = alert_states.c.is_armed | alert_states.c.subject.like("run:%")
    await connection.execute(delete(alert_states).where(alert_states.c.changed_at < before, is_over))


async def _has_targets(connection: AsyncConnection, target_ids: Sequence[int]) -> bool:
    count = select(func.count()).where(alert_targets.c.id.in_(target_ids))
    return await connection.scalar(count) == len(set(target_ids))


async def _tell(connection: AsyncConnection, rule: Rule) -> None:
    """Store the targets of a rule, and that rules have changed."""
    await connection.execute(delete(alert_rule_targets).where(alert_rule_targets.c.rule_id == rule.id))
    if rule.target_ids:
        rows = [{"rule_id": rule.id, "target_id": target_id} for target_id in sorted(set(rule.target_ids))]
        await connection.execute(insert(alert_rule_targets), rows)
    await _stamp(connection)


async def _stamp(connection: AsyncConnection) -> None:
    await connection.execute(
        text(
            "INSERT INTO notes (name, value) VALUES (:name, '1') ON CONFLICT (name) "
            "DO UPDATE SET value = CAST(CAST(notes.value AS INTEGER) + 1 AS TEXT)"
        ),
        {"name": STAMP},
    )


def _values(rule: Rule) -> dict[str, object]:
    return {
        "kind": rule.spec.kind,
        "name": rule.name,
        "spec": rule.spec.model_dump_json(),
        "is_enabled": rule.is_enabled,
        "cooldown_seconds": rule.cooldown_seconds,
        "changed_at": rule.changed_at,
    }


def _rule(row: "Row[tuple[object, ...]]", target_ids: Sequence[int]) -> Rule:
    return Rule(
        id=row.id,
        name=row.name,
        spec=read_spec(row.spec),
        target_ids=tuple(target_ids),
        is_enabled=row.is_enabled,
        cooldown_seconds=row.cooldown_seconds,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def _report(row: "Row[tuple[object, ...]]") -> DeliveryReport:
    state = DeliveryState(row.state)
    next_at = row.next_at if state is DeliveryState.WAITING else None
    return DeliveryReport(row.target_id, row.target_name, state, row.attempts, row.reason, next_at, row.ended_at)

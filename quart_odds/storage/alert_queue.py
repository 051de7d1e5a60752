"""Alerts that fired and the queue of their deliveries in the database. Only the writer changes them, in its term."""

from collections.abc import Callable, Sequence
from datetime import datetime

import orjson
from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quart_odds.alerts.values import Delivery, DeliveryState, Message, NewAlert, SubjectState, Target, TargetKind
from quart_odds.storage.database import Database
from quart_odds.storage.tables import (
    alert_deliveries,
    alert_rule_targets,
    alert_rules,
    alert_states,
    alert_targets,
    alerts,
)

WAITING = alert_deliveries.c.state == DeliveryState.WAITING.value


class AlertQueueRows:
    """The part of the store that holds deliveries. Every method raises StorageError."""

    database: Database

    async def add_alerts(
        self, fired: Sequence[NewAlert], states: Sequence[SubjectState], keys: Callable[[], str], term: int | None
    ) -> list[int | None]:
        """Store alerts, their deliveries and the states of subjects, in one transaction. Returns the ids of the alerts.

        Of a rule that has been removed nothing is stored, and the id of its alert is None.
        """
        rule_ids = {alert.rule_id for alert in fired} | {state.rule_id for state in states}
        async with self.database.writing_as(term, is_new=False) as connection:
            known = set(await connection.scalars(select(alert_rules.c.id).where(alert_rules.c.id.in_(rule_ids))))
            targets: dict[int, list[tuple[int, str]]] = {}
            for row in await connection.execute(
                select(alert_rule_targets.c.rule_id, alert_targets.c.id, alert_targets.c.name)
                .join(alert_targets, alert_targets.c.id == alert_rule_targets.c.target_id)
                .where(alert_rule_targets.c.rule_id.in_(known))
                .order_by(alert_targets.c.id)
            ):
                targets.setdefault(row.rule_id, []).append((row.id, row.name))
            ids = [
                await _add_alert(connection, each, targets.get(each.rule_id, ()), keys)
                if each.rule_id in known
                else None
                for each in fired
            ]
            for state in states:
                if state.rule_id in known:
                    await _save_state(connection, state)
        return ids

    async def next_deliveries(self) -> Sequence[Delivery]:
        """Return the oldest waiting delivery of each rule and target, the next one due first."""
        heads = (
            select(func.min(alert_deliveries.c.id).label("id"))
            .where(WAITING)
            .group_by(alert_deliveries.c.rule_id, alert_deliveries.c.target_id)
            .subquery()
        )
        statement = (
            select(
                alert_deliveries,
                alerts.c.title,
                alerts.c.text,
                alerts.c.data,
                alerts.c.fired_at,
                alert_targets.c.kind,
                alert_targets.c.name,
                alert_targets.c.url,
                alert_targets.c.secret,
                alert_targets.c.created_at.label("target_created_at"),
            )
            .join(heads, heads.c.id == alert_deliveries.c.id)
            .join(alerts, alerts.c.id == alert_deliveries.c.alert_id)
            .join(alert_targets, alert_targets.c.id == alert_deliveries.c.target_id)
            .order_by(alert_deliveries.c.next_at, alert_deliveries.c.id)
        )
        async with self.database.reading() as connection:
            return [_delivery(row) for row in await connection.execute(statement)]

    async def delivery_ended(
        self, delivery_id: int, state: DeliveryState, attempts: int, reason: str | None, at: datetime, term: int | None
    ) -> bool:
        """Store the end of a waiting delivery. Returns False if it was not waiting any more."""
        return await self._changed(delivery_id, term, state=state.value, attempts=attempts, reason=reason, ended_at=at)

    async def delivery_failed(
        self, delivery_id: int, attempts: int, reason: str, next_at: datetime, term: int | None
    ) -> bool:
        """Store a failed attempt of a waiting delivery, and when the next one is due.

        Returns False if it was not waiting any more.
        """
        return await self._changed(delivery_id, term, attempts=attempts, reason=reason, next_at=next_at)

    async def _changed(self, delivery_id: int, term: int | None, **values: object) -> bool:
        async with self.database.writing_as(term, is_new=False) as connection:
            done = await connection.execute(
                update(alert_deliveries).where(alert_deliveries.c.id == delivery_id, WAITING).values(**values)
            )
        return done.rowcount == 1


async def _add_alert(
    connection: AsyncConnection, alert: NewAlert, targets: Sequence[tuple[int, str]], keys: Callable[[], str]
) -> int:
    values = {
        "rule_id": alert.rule_id,
        "rule_name": alert.rule_name,
        "kind": alert.kind,
        "subject": alert.subject,
        "title": alert.title,
        "text": alert.text,
        "data": orjson.dumps(alert.data).decode(),
        "fired_at": alert.fired_at,
    }
    alert_id = int((await connection.execute(insert(alerts).values(values).returning(alerts.c.id))).scalar_one())
    if targets:
        await connection.execute(
            insert(alert_deliveries),
            [
                {
                    "key": keys(),
                    "alert_id": alert_id,
                    "rule_id": alert.rule_id,
                    "target_id": target_id,
                    "target_name": name,
                    "state": DeliveryState.WAITING.value,
                    "attempts": 0,
                    "next_at": alert.fired_at,
                    "created_at": alert.fired_at,
                }
                for target_id, name in targets
            ],
        )
    return alert_id


async def _save_state(connection: AsyncConnection, state: SubjectState) -> None:
    where = (alert_states.c.rule_id == state.rule_id, alert_states.c.subject == state.subject)
    values = {"is_armed": state.is_armed, "fired_at": state.fired_at, "changed_at": state.changed_at}
    done = await connection.execute(update(alert_states).where(*where).values(values))
    if done.rowcount == 0:
        await connection.execute(insert(alert_states).values(rule_id=state.rule_id, subject=state.subject, **values))


def _delivery(row: "Row[tuple[object, ...]]") -> Delivery:
    data = orjson.loads(row.data)
    target = Target(row.target_id, TargetKind(row.kind), row.name, row.url, row.secret, row.target_created_at)
    message = Message(row.key, "alert", row.fired_at, row.title, row.text, data)
    return Delivery(row.id, row.rule_id, target, message, row.attempts, row.next_at, row.created_at)

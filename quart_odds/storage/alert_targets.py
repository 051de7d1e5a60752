"""The targets of alerts in the database.

They are written without the writer lease: each transaction stands for itself, and every process reads them anew.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Row, delete, insert, select, update

from quart_odds.alerts.values import DeliveryState, Target, TargetKind
from quart_odds.storage.database import Database
from quart_odds.storage.tables import MAX_ID, alert_deliveries, alert_targets


class AlertTargetRows:
    """The part of the store that holds targets. Every method raises StorageError."""

    database: Database

    async def alert_targets(self) -> list[Target]:
        """Return all targets, by id."""
        async with self.database.reading() as connection:
            rows = await connection.execute(select(alert_targets).order_by(alert_targets.c.id))
            return [target_of(row) for row in rows]

    async def alert_target(self, target_id: int) -> Target | None:
        """Return a target; None if there is none with this id."""
        if not 0 < target_id <= MAX_ID:
            return None
        async with self.database.reading() as connection:
            found = (await connection.execute(select(alert_targets).where(alert_targets.c.id == target_id))).first()
        return None if found is None else target_of(found)

    async def add_alert_target(self, kind: TargetKind, name: str, url: str, secret: str | None, at: datetime) -> Target:
        """Add a target and return it."""
        target = Target(0, kind, name, url, secret, at)
        values = {"kind": kind.value, "name": name, "url": url, "secret": secret, "created_at": at}
        async with self.database.writing() as connection:
            added = await connection.execute(insert(alert_targets).values(values).returning(alert_targets.c.id))
            return replace(target, id=int(added.scalar_one()))

    async def change_alert_target(self, target: Target) -> bool:
        """Store name, URL and secret of a target. Returns False if it is not there any more."""
        async with self.database.writing() as connection:
            done = await connection.execute(
                update(alert_targets)
                .where(alert_targets.c.id == target.id)
                .values(name=target.name, url=target.url, secret=target.secret)
            )
        return done.rowcount == 1

    async def remove_alert_target(self, target_id: int, at: datetime) -> bool:
        """Remove a target, and cancel what waits for it. Returns False if there was none."""
        if not 0 < target_id <= MAX_ID:
            return False
        async with self.database.writing() as connection:
            waiting = alert_deliveries.c.state == DeliveryState.WAITING.value
            await connection.execute(
                update(alert_deliveries)
                .where(alert_deliveries.c.target_id == target_id, waiting)
                .values(state=DeliveryState.CANCELLED.value, reason="the target was removed", ended_at=at)
            )
            done = await connection.execute(delete(alert_targets).where(alert_targets.c.id == target_id))
        return done.rowcount == 1


def target_of(row: "Row[tuple[object, ...]]") -> Target:
    """Return a target from a row that has all its columns."""
    return Target(row.id, TargetKind(row.kind), row.name, row.url, row.secret, row.created_at)

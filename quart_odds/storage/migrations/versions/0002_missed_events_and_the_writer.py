"""Adds Genius ids, the time of a missed event, promotions and the writer's term; clears invalid SportRadar ids."""

from dataclasses import dataclass

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PLATFORMS = ("betpawa", "sportybet", "bet9ja")
TOLERANCE = 10 * 60 * 1_000_000
"""Maximum difference between the kick-offs of one match, in microseconds."""

ONES = "1111111"


def upgrade() -> None:
    """Add the columns and the table, then correct SportRadar ids and the events that they determine."""
    op.add_column("quotes", sa.Column("genius_id", sa.Text(), nullable=True))
    op.add_column("quotes", sa.Column("missed_at", sa.BigInteger(), nullable=True))
    op.add_column("quotes", sa.Column("promotions", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "writer",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("term", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_writer")),
    )
    op.execute("INSERT INTO writer (id, term, revision) VALUES (1, 0, 0)")
    _match_anew(op.get_bind())


def downgrade() -> None:
    """Restore the previous tables. Cleared SportRadar ids stay cleared."""
    op.drop_table("writer")
    # Promoted prices have negative keys, which older versions do not understand.
    op.execute("DELETE FROM odds_history WHERE key < 0")
    for column in ("promotions", "missed_at", "genius_id"):
        op.drop_column("quotes", column)


def sportradar_id(kept: str) -> str | None:
    """Return the corrected form of a stored id, or None if it is invalid.

    A valid id has 8 or 9 digits. A longer one loses a prefix of seven ones first.
    """
    if len(kept) > 9:
        kept = kept.removeprefix(ONES)
    return kept if len(kept) in (8, 9) and kept.isascii() and kept.isdigit() else None


@dataclass(frozen=True, slots=True)
class _Quote:
    id: int
    event_id: int
    platform: str
    external_id: str
    sportradar_id: str | None
    home_team: str
    away_team: str
    kickoff: int
    first_seen_at: int

    @property
    def lone_key(self) -> str:
        return f"{self.platform}:{self.external_id}"


_COLUMNS = "id, event_id, platform, external_id, sportradar_id, home_team, away_team, kickoff, first_seen_at"


def _match_anew(connection: sa.Connection) -> None:
    """Correct wrong ids, split events that only shared a wrong id, and join events that only a prefix kept apart.

    Every row of `quotes` keeps its id, and with it its prices and history. A split event keeps its id for one of them.
    """
    wrong: dict[int, str | None] = {}
    for row in connection.execute(sa.text("SELECT id, sportradar_id FROM quotes WHERE sportradar_id IS NOT NULL")):
        right = sportradar_id(row.sportradar_id)
        if right != row.sportradar_id:
            wrong[row.id] = right
    if not wrong:
        return
    ids = sorted(wrong)
    for start in range(0, len(ids), 500):
        change = sa.text("UPDATE quotes SET sportradar_id = :right WHERE id = :id")
        connection.execute(
            change, [{"id": quote_id, "right": wrong[quote_id]} for quote_id in ids[start : start + 500]]
        )
    seen: set[int] = set()
    for quote_id in ids:
        event_id = connection.scalar(sa.text("SELECT event_id FROM quotes WHERE id = :id"), {"id": quote_id})
        if event_id not in seen:
            seen.add(event_id)
            _place(connection, event_id)


def _place(connection: sa.Connection, event_id: int) -> None:
    """Move the odds of one event to the events that their corrected ids determine."""
    quotes = _quotes_of(connection, event_id)
    claim = quotes[0].sportradar_id
    if any(quote.sportradar_id != claim for quote in quotes):
        claim = None
    key = f"sr:{claim}"
    there: int | None = None
    if claim:
        there = connection.scalar(
            sa.text("SELECT id FROM events WHERE key = :key AND id <> :id"), {"key": key, "id": event_id}
        )
    if claim and there is None:
        _name(connection, event_id, key, claim, quotes[0])
        return
    left = [quote for quote in quotes if there is None or not _joins(connection, quote, there)]
    if not left:
        connection.execute(sa.text("DELETE FROM events WHERE id = :id"), {"id": event_id})
        return
    _name(connection, event_id, left[0].lone_key, None, left[0])
    for quote in left[1:]:
        _move(connection, quote, _new_event(connection, quote, event_id))


def _joins(connection: sa.Connection, quote: _Quote, event_id: int) -> bool:
    """Move event odds to the event of the same match, and return whether that was possible.

    It is not if the event already has odds of the same bookmaker, or if the kick-offs differ too much.
    """
    others = _quotes_of(connection, event_id)
    if any(each.platform == quote.platform or abs(each.kickoff - quote.kickoff) > TOLERANCE for each in others):
        return False
    _move(connection, quote, event_id)
    _name(connection, event_id, None, None, _quotes_of(connection, event_id)[0])
    return True


def _quotes_of(connection: sa.Connection, event_id: int) -> list[_Quote]:
    rows = connection.execute(sa.text(f"SELECT {_COLUMNS} FROM quotes WHERE event_id = :id"), {"id": event_id})  # noqa: S608
    return sorted((_Quote(*row) for row in rows), key=lambda quote: (PLATFORMS.index(quote.platform), quote.id))


def _move(connection: sa.Connection, quote: _Quote, event_id: int) -> None:
    connection.execute(
        sa.text("UPDATE quotes SET event_id = :event_id WHERE id = :id"), {"id": quote.id, "event_id": event_id}
    )


def _name(connection: sa.Connection, event_id: int, key: str | None, claim: str | None, leading: _Quote) -> None:
    """Set teams and kick-off of an event from its leading odds. The event keeps its key if `key` is None."""
    values: dict[str, object] = {
        "id": event_id,
        "home": leading.home_team,
        "away": leading.away_team,
        "kickoff": leading.kickoff,
    }
    keyed = ""
    if key is not None:
        keyed = ", key = :key, sportradar_id = :claim"
        values |= {"key": key, "claim": claim}
    connection.execute(
        sa.text(f"UPDATE events SET home_team = :home, away_team = :away, kickoff = :kickoff{keyed} WHERE id = :id"),  # noqa: S608
        values,
    )


def _new_event(connection: sa.Connection, quote: _Quote, like: int) -> int:
    new_id = 1 + int(connection.scalar(sa.text("SELECT MAX(id) FROM events")) or 0)
    connection.execute(
        sa.text(
            "INSERT INTO events (id, key, sportradar_id, home_team, away_team, kickoff, created_at, changed_at)"
            " SELECT :new_id, :key, NULL, :home, :away, :kickoff, :created_at, changed_at FROM events WHERE id = :like"
        ),
        {
            "new_id": new_id,
            "key": quote.lone_key,
            "home": quote.home_team,
            "away": quote.away_team,
            "kickoff": quote.kickoff,
            "created_at": quote.first_seen_at,
            "like": like,
        },
    )
    return new_id

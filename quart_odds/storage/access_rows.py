"""Tokens, sessions and tickets in the database.

They are written without the writer lease: each transaction stands for itself, and every process reads them anew.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, or_, select, update

from quart_odds.access.values import AccessToken, Session, Ticket
from quart_odds.domain.scopes import Scope
from quart_odds.storage.database import Database
from quart_odds.storage.tables import access_sessions, access_tickets, access_tokens

IDS_AT_ONCE = 500


class AccessRows:
    """The part of the store that holds tokens, sessions and tickets. Every method raises StorageError."""

    database: Database

    async def access_tokens(self, ids: Collection[str] | None = None) -> list[AccessToken]:
        """Return all tokens, or those with these ids, the oldest first."""
        asked = select(access_tokens).order_by(access_tokens.c.created_at, access_tokens.c.id)
        async with self.database.reading() as connection:
            if ids is None:
                return [_token_of(row) for row in await connection.execute(asked)]
            found = []
            for part in _parts(ids):
                found += [_token_of(row) for row in await connection.execute(asked.where(access_tokens.c.id.in_(part)))]
            return found

    async def add_access_token(self, token: AccessToken, *, forget_before: datetime) -> None:
        """Add a token. Those that were over before `forget_before` are removed."""
        values = {
            "id": token.id,
            "name": token.name,
            "scope": token.scope.value,
            "digest": token.digest,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
        }
        gone = or_(access_tokens.c.revoked_at < forget_before, access_tokens.c.expires_at < forget_before)
        async with self.database.writing() as connection:
            await connection.execute(delete(access_tokens).where(gone))
            await connection.execute(insert(access_tokens).values(values))

    async def revoke_access_token(self, token_id: str, at: datetime) -> bool:
        """Revoke a token, and remove its sessions. Returns False if there is none that is not revoked yet."""
        async with self.database.writing() as connection:
            done = await connection.execute(
                update(access_tokens)
                .where(access_tokens.c.id == token_id, access_tokens.c.revoked_at.is_(None))
                .values(revoked_at=at)
            )
            await connection.execute(delete(access_sessions).where(access_sessions.c.token_id == token_id))
        return done.rowcount == 1

    async def note_token_uses(self, uses: Mapping[str, datetime]) -> None:
        """Store when tokens were last used. A later time that is stored already stays."""
        last = access_tokens.c.last_used_at
        async with self.database.writing() as connection:
            for token_id, at in uses.items():
                await connection.execute(
                    update(access_tokens)
                    .where(access_tokens.c.id == token_id, or_(last.is_(None), last < at))
                    .values(last_used_at=at)
                )

    async def sessions(self, digests: Collection[str]) -> list[Session]:
        """Return the sessions with these digests."""
        found = []
        async with self.database.reading() as connection:
            for part in _parts(digests):
                rows = await connection.execute(select(access_sessions).where(access_sessions.c.digest.in_(part)))
                found += [Session(row.digest, row.token_id, row.created_at, row.expires_at) for row in rows]
        return found

    async def add_session(self, session: Session) -> None:
        """Add a session. Those that have expired are removed."""
        values = {
            "digest": session.digest,
            "token_id": session.token_id,
            "created_at": session.created_at,
            "expires_at": session.expires_at,
        }
        async with self.database.writing() as connection:
            await connection.execute(delete(access_sessions).where(access_sessions.c.expires_at <= session.created_at))
            await connection.execute(insert(access_sessions).values(values))

    async def remove_session(self, digest: str) -> None:
        """Remove a session, if it is there."""
        async with self.database.writing() as connection:
            await connection.execute(delete(access_sessions).where(access_sessions.c.digest == digest))

    async def add_ticket(self, ticket: Ticket, at: datetime) -> None:
        """Add a ticket. Those that have expired at this moment are removed."""
        values = {
            "digest": ticket.digest,
            "scope": ticket.scope.value,
            "token_id": ticket.token_id,
            "ends_at": ticket.ends_at,
            "expires_at": ticket.expires_at,
        }
        async with self.database.writing() as connection:
            await connection.execute(delete(access_tickets).where(access_tickets.c.expires_at <= at))
            await connection.execute(insert(access_tickets).values(values))

    async def take_ticket(self, digest: str) -> Ticket | None:
        """Remove a ticket and return it. Of several who want the same, one gets it, and the others get None."""
        taking = delete(access_tickets).where(access_tickets.c.digest == digest).returning(*access_tickets.c)
        async with self.database.writing() as connection:
            row = (await connection.execute(taking)).first()
        if row is None:
            return None
        return Ticket(row.digest, Scope(row.scope), row.token_id, row.ends_at, row.expires_at)


def _parts(values: Collection[str]) -> list[list[str]]:
    """Return values in parts that one query can name."""
    ordered = list(values)
    return [ordered[start : start + IDS_AT_ONCE] for start in range(0, len(ordered), IDS_AT_ONCE)]


def _token_of(row: Row[Any]) -> AccessToken:
    return AccessToken(
        row.id,
        row.name,
        Scope(row.scope),
        row.digest,
        row.created_at,
        row.expires_at,
        row.revoked_at,
        row.last_used_at,
    )

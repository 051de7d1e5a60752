"""What access control needs of a database."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from quart_odds.access.values import AccessToken, Session, Ticket


class TokenStore(Protocol):
    """Stores tokens. Any process may change them, and none keeps them for long. Raises StorageError."""

    async def access_tokens(self, ids: Collection[str] | None = None) -> list[AccessToken]:
        """Return all tokens, or those with these ids, the oldest first."""

    async def add_access_token(self, token: AccessToken, *, forget_before: datetime) -> None:
        """Add a token. Those that were over before `forget_before` are removed."""

    async def revoke_access_token(self, token_id: str, at: datetime) -> bool:
        """Revoke a token, and remove its sessions. Returns False if there is none that is not revoked yet."""


class CredentialStore(TokenStore, Protocol):
    """Stores tokens, sessions and tickets. Raises StorageError."""

    async def note_token_uses(self, uses: Mapping[str, datetime]) -> None:
        """Store when tokens were last used. A later time that is stored already stays."""

    async def sessions(self, digests: Collection[str]) -> list[Session]:
        """Return the sessions with these digests."""

    async def add_session(self, session: Session) -> None:
        """Add a session. Those that have expired are removed."""

    async def remove_session(self, digest: str) -> None:
        """Remove a session, if it is there."""

    async def add_ticket(self, ticket: Ticket, at: datetime) -> None:
        """Add a ticket. Those that have expired at this moment are removed."""

    async def take_ticket(self, digest: str) -> Ticket | None:
        """Remove a ticket and return it. Of several who want the same, one gets it, and the others get None."""

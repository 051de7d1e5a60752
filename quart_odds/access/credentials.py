"""Checks what a request proves with: a token, a session of a page, or a ticket."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from hmac import compare_digest

import structlog

from quart_odds.access.lookups import Lookups
from quart_odds.access.ports import CredentialStore
from quart_odds.access.values import (
    AccessToken,
    Grant,
    Session,
    Ticket,
    digest_of,
    id_of_token,
    is_secret,
    new_secret,
)
from quart_odds.domain.clock import utc_now
from quart_odds.domain.scopes import Scope
from quart_odds.errors import StorageError

CACHE_SECONDS = 2.0
"""How old what a process knows of a token or a session may be. So long may one be used after its revocation."""
USE_SECONDS = 60
"""The time of the last use of a token is stored at most this often."""
SESSION_DAYS = 7
TICKET_SECONDS = 30
MOST_WAIT_SECONDS = 1.0
"""How long a stop waits until the last uses are stored."""

log = structlog.get_logger(__name__)


class CredentialError(Exception):
    """Raised when what a request proves with is not good. `reason` is a word for logs and metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Credentials:
    """The tokens, sessions and tickets of one database, as one process knows them.

    Every method that reads raises StorageError: nobody gets in on what is not known.
    """

    def __init__(
        self,
        store: CredentialStore,
        *,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._now = now
        self._tokens = Lookups(self._read_token, CACHE_SECONDS, clock)
        self._sessions = Lookups(self._read_session, CACHE_SECONDS, clock)
        self._uses: dict[str, datetime] = {}
        self._noted: dict[str, datetime] = {}
        self._noting: asyncio.Task[None] | None = None

    def knows(self, text: str) -> bool:
        """Return whether the id in the text of a token is one that was there when it was last asked for."""
        return id_of_token(text) in self._tokens

    async def of_token(self, text: str) -> Grant:
        """Return what the text of a token grants. Raises CredentialError."""
        token_id = id_of_token(text)
        token = None if token_id is None else await self._tokens.get(token_id)
        # In constant time: how much of a wrong text is right takes no measurable time to find out.
        if token is None or not compare_digest(digest_of(text), token.digest):
            raise CredentialError("unknown")
        return self._grant_of(token)

    async def of_session(self, secret: str) -> Grant:
        """Return what the secret of a session grants. Raises CredentialError."""
        digest = digest_of(secret) if is_secret(secret) else ""
        session = await self._sessions.get(digest) if digest else None
        if session is None:
            raise CredentialError("unknown")
        if session.expires_at <= self._now():
            raise CredentialError("expired")
        token = await self._tokens.get(session.token_id)
        if token is None:
            raise CredentialError("unknown")
        return self._grant_of(token, session)

    async def of_ticket(self, text: str) -> Grant:
        """Use a ticket up, and return what it grants. Raises CredentialError."""
        ticket = await self._store.take_ticket(digest_of(text)) if is_secret(text) else None
        if ticket is None:
            raise CredentialError("unknown")
        now = self._now()
        if ticket.expires_at <= now or (ticket.ends_at is not None and ticket.ends_at <= now):
            raise CredentialError("expired")
        if ticket.token_id is None:
            return Grant(ticket.scope, ends_at=ticket.ends_at)
        token = await self._tokens.get(ticket.token_id)
        if token is None:
            raise CredentialError("unknown")
        return self._grant_of(token)

    async def log_in(self, text: str, former: str | None) -> tuple[str, datetime]:
        """Begin a session with the text of a token. Returns the session's secret, and when it expires.

        The secret is a new one, and a `former` session of the same browser ends: whoever knew that has nothing.
        Raises CredentialError.
        """
        grant = await self.of_token(text)
        assert grant.token_id is not None
        now = self._now()
        expires_at = now + timedelta(days=SESSION_DAYS)
        if grant.ends_at is not None:
            expires_at = min(expires_at, grant.ends_at)
        secret = new_secret()
        await self._store.add_session(Session(digest_of(secret), grant.token_id, now, expires_at))
        if former is not None:
            await self.log_out(former)
        return secret, expires_at

    async def log_out(self, secret: str) -> None:
        """End a session, if there is one with this secret."""
        digest = digest_of(secret)
        await self._store.remove_session(digest)
        self._sessions.forget(digest)

    async def ticket_for(self, grant: Grant) -> tuple[str, datetime]:
        """Make a ticket for one live connection. Returns its text, and when it expires.

        It allows what the grant does, except what no live connection does.
        """
        now = self._now()
        expires_at = now + timedelta(seconds=TICKET_SECONDS)
        scope = Scope.RUN if grant.scope.includes(Scope.RUN) else Scope.READ
        text = new_secret()
        await self._store.add_ticket(Ticket(digest_of(text), scope, grant.token_id, grant.ends_at, expires_at), now)
        return text, expires_at

    async def over(self, grants: Collection[Grant]) -> set[Grant]:
        """Return those that are over now, by what the database says at this moment."""
        token_ids = {grant.token_id for grant in grants if grant.token_id is not None}
        digests = {grant.session for grant in grants if grant.session is not None}
        tokens = {token.id: token for token in await self._store.access_tokens(token_ids)} if token_ids else {}
        sessions = {each.digest for each in await self._store.sessions(digests)} if digests else set()
        now = self._now()

        def is_over(grant: Grant) -> bool:
            if grant.ends_at is not None and grant.ends_at <= now:
                return True
            if grant.session is not None and grant.session not in sessions:
                return True
            if grant.token_id is None:
                return False
            token = tokens.get(grant.token_id)
            return token is None or token.end_reason(now) is not None

        return {grant for grant in grants if is_over(grant)}

    async def close(self) -> None:
        """Store the last uses, as far as time allows."""
        noting = self._noting
        if noting is not None and not (await asyncio.wait([noting], timeout=MOST_WAIT_SECONDS))[0]:
            noting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await noting

    def _grant_of(self, token: AccessToken, session: Session | None = None) -> Grant:
        now = self._now()
        reason = token.end_reason(now)
        if reason is not None:
            raise CredentialError(reason)
        self._note_use(token, now)
        if session is None:
            return Grant(token.scope, token.id, None, token.expires_at)
        return Grant(token.scope, token.id, session.digest, session.expires_at)

    def _note_use(self, token: AccessToken, now: datetime) -> None:
        noted = max(filter(None, (self._noted.get(token.id), token.last_used_at)), default=None)
        if noted is not None and now - noted < timedelta(seconds=USE_SECONDS):
            return
        self._noted[token.id] = self._uses[token.id] = now
        if self._noting is None or self._noting.done():
            self._noting = asyncio.create_task(self._note(), name="token-uses")

    async def _note(self) -> None:
        """Store uses beside the requests, which do not wait for it."""
        try:
            await self._store_uses()
        except StorageError as error:
            log.warning("access.uses_not_stored", reason=error.for_operator)

    async def _store_uses(self) -> None:
        while self._uses:
            uses, self._uses = self._uses, {}
            await self._store.note_token_uses(uses)

    async def _read_token(self, token_id: str) -> AccessToken | None:
        found = await self._store.access_tokens([token_id])
        return found[0] if found else None

    async def _read_session(self, digest: str) -> Session | None:
        found = await self._store.sessions([digest])
        return found[0] if found else None

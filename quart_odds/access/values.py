"""Tokens, sessions, tickets, and what a request may do that has one of them.

A secret has 256 random bits. So a plain SHA-256 of it is stored: a slow hash protects passwords that people choose,
because they can be guessed, and these cannot. A fast one lets every request be checked.
"""

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from quart_odds.domain.scopes import Scope

SECRET_BYTES = 32
TOKEN_PREFIX = "qo_"  # noqa: S105 - what all tokens begin with
_TOKEN = re.compile(r"qo_([0-9a-f]{12})_[0-9a-f]{64}")
_SECRET = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token as it is stored: `id` is public and part of its text, `digest` is what its text has to hash to."""

    id: str
    name: str
    scope: Scope
    digest: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def end_reason(self, now: datetime) -> str | None:
        """Return why it is over: `revoked` or `expired`. None if it can be used."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else None


@dataclass(frozen=True, slots=True)
class Session:
    """A login with a token in a browser. The cookie has a secret of its own, and `digest` is its hash."""

    digest: str = field(repr=False)
    token_id: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Ticket:
    """Lets one live connection begin, in place of a token. `ends_at` is when what it stands for expires."""

    digest: str = field(repr=False)
    scope: Scope
    token_id: str | None
    ends_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request may do, and what that rests on: a token, a session with one, a JWT, or only where it came from."""

    scope: Scope
    token_id: str | None = None
    session: str | None = field(default=None, repr=False)
    """The digest of the session's secret, if the request has a cookie."""
    ends_at: datetime | None = None

    @property
    def may_end(self) -> bool:
        """Whether it may be over before the connection of its request is."""
        return self.token_id is not None or self.ends_at is not None


def new_token_text() -> tuple[str, str]:
    """Return the id and the text of a new token. The text is not stored anywhere."""
    token_id = secrets.token_hex(6)
    return token_id, f"{TOKEN_PREFIX}{token_id}_{new_secret()}"


def new_secret() -> str:
    """Return the secret of a new session or ticket."""
    return secrets.token_hex(SECRET_BYTES)


def id_of_token(text: str) -> str | None:
    """Return the id in the text of a token; None if it is not the text of one."""
    found = _TOKEN.fullmatch(text)
    return None if found is None else found[1]


def is_secret(text: str) -> bool:
    """Return whether a text may be the secret of a session or a ticket."""
    return _SECRET.fullmatch(text) is not None


def digest_of(text: str) -> str:
    """Return what is stored of a secret."""
    return sha256(text.encode()).hexdigest()

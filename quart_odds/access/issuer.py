"""JWTs of an issuer, whose public keys are a JWK set at an address. Needs the extra `jwt`.

Only asymmetric signatures count: with a shared secret, who can check a token could make one. Keys are fetched by a task
of its own. So no request waits for the issuer, and none makes the server ask it more often.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import jwt
import orjson
import structlog

from quart_odds.access.credentials import CredentialError
from quart_odds.access.values import Grant
from quart_odds.domain.scopes import Scope
from quart_odds.errors import IssuerUnavailableError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
KEY_TYPES = frozenset({"RSA", "EC", "OKP"})
RENEW_SECONDS = 600.0
"""How old the keys may be before they are fetched again."""
LEAST_SECONDS = 30.0
"""The least time between two fetches, also after a JWT with an unknown key, and after a failure."""
FETCH_SECONDS = 10.0
MOST_BYTES = 256 * 1024
MOST_LENGTH = 8192

log = structlog.get_logger(__name__)

Fetch = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, and the only algorithm that it is for, if the issuer names one."""

    public: Any
    algorithm: str | None


class Issuer:
    """Checks the JWTs of one issuer. `fetch` returns its JWK set as JSON."""

    def __init__(
        self, issuer: str, audience: str, fetch: Fetch, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._fetch = fetch
        self._clock = clock
        self._keys: Mapping[str | None, Key] = {}
        self._fetched_at: float | None = None
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to fetch keys."""
        self._task = asyncio.create_task(self._keep_keys(), name="issuer-keys")

    async def close(self) -> None:
        """Stop to fetch keys."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def grant_of(self, text: str) -> Grant:
        """Return what a JWT grants, until it expires.

        Raises CredentialError, and IssuerUnavailableError while there are no keys.
        """
        if len(text) > MOST_LENGTH:
            raise CredentialError("invalid")
        try:
            header = jwt.get_unverified_header(text)
            key = self._key(header)
            claims: dict[str, Any] = jwt.decode(
                text,
                key,
                algorithms=[str(header["alg"])],
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "iss", "aud"]},
            )
            ends_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
        except jwt.ExpiredSignatureError:
            raise CredentialError("expired") from None
        except (jwt.PyJWTError, ValueError, OverflowError, TypeError):
            raise CredentialError("invalid") from None
        return Grant(_scope_of(claims.get("scope")), ends_at=ends_at)

    def _key(self, header: Mapping[str, Any]) -> Any:
        """Return the public key that a JWT names. Raises CredentialError, and IssuerUnavailableError."""
        algorithm, name = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or not isinstance(name, str | None):
            raise CredentialError("invalid")
        if self._fetched_at is None:
            self._wanted.set()
            raise IssuerUnavailableError("the keys of the issuer of JWTs are not known yet; try again in a moment")
        key = self._keys.get(name)
        if key is None and name is None and len(self._keys) == 1:
            (key,) = self._keys.values()
        if key is None:
            self._wanted.set()
            raise CredentialError("invalid")
        if key.algorithm not in (None, algorithm):
            raise CredentialError("invalid")
        return key.public

    async def _keep_keys(self) -> None:
        while True:
            began = self._clock()
            self._wanted.clear()
            try:
                async with asyncio.timeout(FETCH_SECONDS):
                    self._keys = keys_of(await self._fetch())
                self._fetched_at = began
                wait = RENEW_SECONDS
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                log.warning("access.keys_not_fetched", reason=str(error) or type(error).__name__)
                wait = LEAST_SECONDS
            await asyncio.sleep(LEAST_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait - LEAST_SECONDS):
                    await self._wanted.wait()


def keys_of(text: bytes) -> dict[str | None, Key]:
    """Return the keys in a JWK set that check signatures, by their names. Raises ValueError for anything else."""
    said = orjson.loads(text)
    listed = said.get("keys") if isinstance(said, dict) else None
    if not isinstance(listed, list):
        raise ValueError("what is there is no JWK set")
    keys: dict[str | None, Key] = {}
    for each in listed:
        if not isinstance(each, dict) or each.get("kty") not in KEY_TYPES or each.get("use", "sig") != "sig":
            continue
        # One of a kind that is not known here is of no use, and the others are.
        with contextlib.suppress(jwt.PyJWTError, ValueError, KeyError, TypeError):
            keys[each.get("kid")] = Key(jwt.PyJWK(each).key, each.get("alg"))
    if not keys:
        raise ValueError("there is no key in it that checks signatures")
    return keys


def fetching(url: str) -> Fetch:
    """Return what fetches the JWK set at an address. Redirects are not followed."""

    async def fetch() -> bytes:
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status != 200:
                raise ValueError(f"the address of the keys answers with status {answer.status}")
            body = await answer.content.read(MOST_BYTES + 1)
            while len(body) <= MOST_BYTES and (more := await answer.content.read(MOST_BYTES)):
                body += more
            if len(body) > MOST_BYTES:
                raise ValueError(f"the keys have more than {MOST_BYTES} bytes")
            return body

    return fetch


def _scope_of(claim: object) -> Scope:
    """Return the highest of our scopes in a claim `scope`. Raises CredentialError if there is none."""
    words = claim.split() if isinstance(claim, str) else []
    found = [scope for scope in Scope if scope.value in words]
    if not found:
        raise CredentialError("scope")
    return found[-1]

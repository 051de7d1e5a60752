"""JWTs of an issuer, played against: signatures, claims and keys."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from quart_odds.access.credentials import CredentialError
from quart_odds.access.issuer import LEAST_SECONDS, RENEW_SECONDS, Issuer, keys_of
from quart_odds.access.values import Grant
from quart_odds.domain.scopes import Scope
from quart_odds.errors import IssuerUnavailableError
from tests.virtual_time import in_virtual_time

ISSUER = "https://login.example.com/"
AUDIENCE = "quart-odds"
MINE = ec.generate_private_key(ec.SECP256R1())
THEIRS = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)


def jwk(key: Any, kid: str, **more: object) -> dict[str, Any]:
    """Return the public part of a key as a JWK."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        text = ECAlgorithm.to_jwk(key.public_key())
    elif isinstance(key, rsa.RSAPrivateKey):
        text = RSAAlgorithm.to_jwk(key.public_key())
    else:
        text = OKPAlgorithm.to_jwk(key.public_key())
    made: dict[str, Any] = json.loads(text)
    return made | {"kid": kid} | more


KEYS = [
    jwk(MINE, "mine"),
    jwk(ED, "ed"),
    jwk(RSA, "rsa", alg="RS256"),
    {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
]


def token(key: Any = MINE, kid: str | None = "mine", algorithm: str = "ES256", drop: str = "", **claims: object) -> str:
    """Return a signed JWT that is good, except for what is given."""
    now = datetime.now(UTC)
    said = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + timedelta(hours=1), "scope": "openid read run", **claims}
    said.pop(drop, None)
    return jwt.encode(said, key, algorithm, headers={} if kid is None else {"kid": kid})


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer whose keys are known."""
    is_fetched = asyncio.Event()

    async def fetch() -> bytes:
        is_fetched.set()
        return orjson.dumps({"keys": KEYS})

    opened = Issuer(ISSUER, AUDIENCE, fetch)
    opened.open()
    await is_fetched.wait()
    yield opened
    await opened.close()


async def test_a_jwt_grants_the_highest_of_its_scopes_until_it_expires(issuer: Issuer) -> None:
    """With any asymmetric algorithm that fits its key."""
    ends_at = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    grant = issuer.grant_of(token(exp=ends_at))
    assert grant == Grant(Scope.RUN, ends_at=ends_at)
    assert grant.may_end
    assert issuer.grant_of(token(ED, "ed", "EdDSA", scope="admin")).scope is Scope.ADMIN
    assert issuer.grant_of(token(RSA, "rsa", "RS256", aud=["other", AUDIENCE])).scope is Scope.RUN


def unsigned(algorithm: str = "none") -> str:
    """Return a JWT without a signature."""
    parts = [{"alg": algorithm, "kid": "mine"}, {"iss": ISSUER, "aud": AUDIENCE, "exp": 2**33, "scope": "admin"}]
    return ".".join(base64.urlsafe_b64encode(orjson.dumps(each)).rstrip(b"=").decode() for each in parts) + "."


def signed_with_the_public_key() -> str:
    """Return a JWT with a shared-secret signature whose secret is the public key that everybody knows."""
    public = MINE.public_key()
    secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    said = unsigned("HS256").rstrip(".")
    signature = hmac.new(secret, said.encode(), sha256).digest()
    return f"{said}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


BAD: list[tuple[str, Callable[[], str], str]] = [
    ("another key", lambda: token(THEIRS), "invalid"),
    ("an unknown key", lambda: token(THEIRS, "theirs"), "invalid"),
    ("no key named", lambda: token(MINE, None), "invalid"),
    ("a key of another kind", lambda: token(ED, "mine", "EdDSA"), "invalid"),
    ("another algorithm than the key is for", lambda: token(RSA, "rsa", "PS256"), "invalid"),
    ("no signature", unsigned, "invalid"),
    ("no signature, but an algorithm", lambda: unsigned("ES256"), "invalid"),
    ("the public key as a shared secret", signed_with_the_public_key, "invalid"),
    ("a shared secret of the set", lambda: token("secret" * 8, "shared", "HS256"), "invalid"),
    ("another issuer", lambda: token(iss="https://evil.example/"), "invalid"),
    ("no issuer", lambda: token(drop="iss"), "invalid"),
    ("another audience", lambda: token(aud="other"), "invalid"),
    ("no audience", lambda: token(drop="aud"), "invalid"),
    ("no expiry", lambda: token(drop="exp"), "invalid"),
    ("expired", lambda: token(exp=datetime.now(UTC) - timedelta(seconds=1)), "expired"),
    ("not yet", lambda: token(nbf=datetime.now(UTC) + timedelta(hours=1)), "invalid"),
    ("no scope", lambda: token(drop="scope"), "scope"),
    ("other scopes", lambda: token(scope="openid reader"), "scope"),
    ("a list of scopes", lambda: token(scope=["admin"]), "scope"),
    ("no JWT", lambda: "x.y.z", "invalid"),
    ("nothing", lambda: "", "invalid"),
    ("too long", lambda: token(scope="x" * 9000), "invalid"),
    ("an altered signature", lambda: token()[:-8] + "AAAAAAAA", "invalid"),
]


@pytest.mark.parametrize(("make", "reason"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
async def test_any_other_jwt_grants_nothing(make: Callable[[], str], reason: str, issuer: Issuer) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(CredentialError) as refused:
        issuer.grant_of(make())
    assert refused.value.reason == reason


@in_virtual_time
async def test_keys_are_fetched_beside_the_requests_and_not_too_often() -> None:
    """At the start, every ten minutes, and after an unknown key or a failure; with a pause, however many ask."""
    loop = asyncio.get_running_loop()
    fetched: list[int] = []
    keys = [jwk(MINE, "mine")]
    is_away = True

    async def fetch() -> bytes:
        fetched.append(round(loop.time()))
        if is_away:
            raise OSError("no way there")
        return orjson.dumps({"keys": keys})

    issuer = Issuer(ISSUER, AUDIENCE, fetch, clock=loop.time)
    issuer.open()
    await asyncio.sleep(1)
    with pytest.raises(IssuerUnavailableError):
        issuer.grant_of(token())
    is_away = False
    await asyncio.sleep(LEAST_SECONDS)
    issuer.grant_of(token())
    assert len(fetched) == 2
    for _ in range(100):
        with pytest.raises(CredentialError):
            issuer.grant_of(token(THEIRS, "theirs"))
    keys.append(jwk(THEIRS, "theirs"))
    await asyncio.sleep(LEAST_SECONDS)
    issuer.grant_of(token(THEIRS, "theirs"))
    assert len(fetched) == 3
    is_away = True
    await asyncio.sleep(RENEW_SECONDS + 1)
    assert len(fetched) == 4
    issuer.grant_of(token())
    assert [later - earlier for earlier, later in pairwise(fetched)] == [30, 30, 600]
    await issuer.close()


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [1, {"kty": "EC"}]}'])
def test_what_is_no_set_of_keys_is_refused(text: bytes) -> None:
    """The keys before stay."""
    with pytest.raises(ValueError):
        keys_of(text)


def test_keys_that_are_of_no_use_are_left_out() -> None:
    """Shared secrets, those for encryption, and those that are broken."""
    listed = [*KEYS, jwk(THEIRS, "enc", use="enc"), {"kty": "EC", "kid": "broken", "crv": "P-256", "x": "!", "y": 1}]
    assert set(keys_of(orjson.dumps({"keys": listed}))) == {"mine", "ed", "rsa"}

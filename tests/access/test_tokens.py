"""Tokens: what is made, what is stored of it, and when it is over."""

from datetime import timedelta

import pytest

from quart_odds.access.tokens import AccessTokens, lifetime_of
from quart_odds.access.values import digest_of, id_of_token
from quart_odds.domain.clock import utc_now
from quart_odds.domain.scopes import Scope
from quart_odds.errors import AccessTokenError
from quart_odds.storage import Store


async def test_a_token_is_told_once_and_only_its_hash_is_stored(store: Store) -> None:
    """Its text has a public id and 256 random bits, and differs from every other."""
    tokens = AccessTokens(store)
    token, text = await tokens.create(" mine ", Scope.RUN)
    _, other = await tokens.create("mine", Scope.RUN)
    assert text != other
    assert id_of_token(text) == token.id
    assert len(text.rpartition("_")[2]) == 64
    (stored, _) = await tokens.all()
    assert stored == token
    assert (stored.name, stored.scope, stored.digest) == ("mine", Scope.RUN, digest_of(text))
    assert text.rpartition("_")[2] not in repr(stored)
    assert stored.digest not in repr(stored)


async def test_a_token_that_is_revoked_or_has_expired_is_not_usable(store: Store) -> None:
    """It is listed all the same. Revoking it again, or one that there is not, is an error."""
    now = utc_now()
    tokens = AccessTokens(store, now=lambda: now)
    token, _ = await tokens.create("mine", Scope.READ)
    assert await tokens.has_usable()
    await tokens.revoke(token.id)
    assert [each.end_reason(now) for each in await tokens.all()] == ["revoked"]
    assert not await tokens.has_usable()
    for token_id in (token.id, "nobody"):
        with pytest.raises(AccessTokenError, match="that can be revoked"):
            await tokens.revoke(token_id)
    now += timedelta(seconds=1)
    await tokens.create("short", Scope.READ, lifetime=timedelta(hours=1))
    assert await tokens.has_usable()
    now += timedelta(hours=1)
    assert [each.end_reason(now) for each in await tokens.all()] == ["revoked", "expired"]
    assert not await tokens.has_usable()


async def test_tokens_that_have_been_over_for_long_are_forgotten(store: Store) -> None:
    """When the next one is made."""
    now = utc_now()
    tokens = AccessTokens(store, now=lambda: now)
    await tokens.create("short", Scope.READ, lifetime=timedelta(hours=1))
    now += timedelta(days=91)
    await tokens.create("new", Scope.READ)
    assert [each.name for each in await tokens.all()] == ["new"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x1b[2J", "a\nb"])
async def test_a_name_is_for_people(name: str, store: Store) -> None:
    """Nothing that a terminal would take for a command."""
    with pytest.raises(AccessTokenError, match="needs a name"):
        await AccessTokens(store).create(name, Scope.READ)


def test_lifetimes() -> None:
    """A number and a unit, up to ten years."""
    assert lifetime_of("45m") == timedelta(minutes=45)
    assert lifetime_of("12h") == timedelta(hours=12)
    assert lifetime_of("30d") == timedelta(days=30)
    assert lifetime_of("8w") == timedelta(weeks=8)
    for text in ("", "0d", "d", "30", "-1d", "1y", "30 d", "4000d", "9" * 10 + "d", "٣d"):
        with pytest.raises(AccessTokenError, match="give one such as 45m"):
            lifetime_of(text)


def test_a_scope_includes_those_before_it() -> None:
    """In this order: read, run, admin."""
    assert [[each.includes(other) for other in Scope] for each in Scope] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]

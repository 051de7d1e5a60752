"""What is checked of tokens, sessions and tickets, and how soon an end of theirs takes effect."""

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import pytest

from quart_odds.access import credentials as module
from quart_odds.access.credentials import CACHE_SECONDS, TICKET_SECONDS, CredentialError, Credentials
from quart_odds.access.tokens import AccessTokens
from quart_odds.access.values import AccessToken, Grant, digest_of
from quart_odds.domain.clock import utc_now
from quart_odds.domain.scopes import Scope
from quart_odds.storage import Store
from tests.tokens import TOKEN, add_token


class Clock:
    """A clock of both kinds that a test sets ahead."""

    def __init__(self) -> None:
        self.began = utc_now()
        self.seconds = 0.0

    def now(self) -> datetime:
        """Return the time."""
        return self.began + timedelta(seconds=self.seconds)


def checking(store: Store, clock: Clock) -> Credentials:
    """Return what one process knows of the credentials in a database."""
    return Credentials(store, now=clock.now, clock=lambda: clock.seconds)


async def refused(credentials: Credentials, text: str) -> str:
    """Return why a token is refused."""
    with pytest.raises(CredentialError) as raised:
        await credentials.of_token(text)
    return raised.value.reason


async def test_a_token_grants_its_scope(store: Store) -> None:
    """Any other text grants nothing, also one with the id of a token."""
    await add_token(store, scope=Scope.RUN)
    credentials = checking(store, Clock())
    assert await credentials.of_token(TOKEN) == Grant(Scope.RUN, "0" * 12)
    assert credentials.knows(TOKEN)
    for text in ("", "qo_", TOKEN[:-1], TOKEN[:-1] + "2", TOKEN.upper(), f"{TOKEN}\n", f"qo_{'2' * 12}_{'1' * 64}"):
        assert await refused(credentials, text) == "unknown", text


async def test_tokens_are_compared_in_constant_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `hmac.compare_digest`, and by their hashes: neither tells how much of a wrong one is right."""
    await add_token(store)
    compared = []

    def comparing(one: str, other: str) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(module, "compare_digest", comparing)
    wrong = TOKEN[:-1] + "2"
    assert await refused(checking(store, Clock()), wrong) == "unknown"
    assert compared == [(digest_of(wrong), digest_of(TOKEN))]


async def test_a_revocation_takes_effect_in_every_process_within_seconds(store: Store) -> None:
    """No process uses what it knows for longer than CACHE_SECONDS."""
    token = await add_token(store)
    clock = Clock()
    one, other = checking(store, clock), checking(store, clock)
    for each in (one, other):
        await each.of_token(TOKEN)
    await AccessTokens(store).revoke(token.id)
    clock.seconds = CACHE_SECONDS
    for each in (one, other):
        assert await refused(each, TOKEN) == "revoked"


async def test_an_expiry_takes_effect_at_once(store: Store) -> None:
    """Without a look into the database."""
    clock = Clock()
    await add_token(store, expires_at=clock.now() + timedelta(seconds=1))
    credentials = checking(store, clock)
    await credentials.of_token(TOKEN)
    clock.seconds = 1.0
    assert await refused(credentials, TOKEN) == "expired"


async def test_many_who_come_at_once_cost_one_query(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the first of them leaves."""
    await add_token(store)
    queries = 0
    read = store.access_tokens

    async def counting(ids: Collection[str] | None = None) -> list[AccessToken]:
        nonlocal queries
        queries += 1
        return await read(ids)

    monkeypatch.setattr(store, "access_tokens", counting)
    credentials = checking(store, Clock())
    tasks = [asyncio.create_task(credentials.of_token(TOKEN)) for _ in range(50)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert {each for each in done[1:] if isinstance(each, Grant)} == {Grant(Scope.ADMIN, "0" * 12)}
    assert queries == 1
    await credentials.close()


async def test_the_last_use_is_stored_once_a_minute(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the requests, which do not wait for it."""
    await add_token(store)
    clock = Clock()
    noted: list[Any] = []
    note = store.note_token_uses

    async def noting(uses: Any) -> None:
        noted.append(dict(uses))
        await note(uses)

    monkeypatch.setattr(store, "note_token_uses", noting)
    credentials = checking(store, clock)
    for second in (0, 1, 59, 60):
        clock.seconds = second
        await credentials.of_token(TOKEN)
    await credentials.close()
    (token,) = await store.access_tokens()
    assert token.last_used_at == clock.began + timedelta(seconds=60)
    assert sum(map(len, noted)) <= 2


async def test_a_ticket_is_good_once(store: Store) -> None:
    """Of many who use it at once, in several processes, one gets in, with what the token allows a live connection."""
    await add_token(store)
    clock = Clock()
    processes = [checking(store, clock) for _ in range(3)]
    grant = await processes[0].of_token(TOKEN)
    text, expires_at = await processes[0].ticket_for(grant)
    assert expires_at == clock.now() + timedelta(seconds=TICKET_SECONDS)
    done = await asyncio.gather(*(each.of_ticket(text) for each in processes * 4), return_exceptions=True)
    assert [each for each in done if isinstance(each, Grant)] == [grant]
    assert sum(isinstance(each, CredentialError) for each in done) == 11
    for each in processes:
        await each.close()


async def test_a_ticket_is_good_for_seconds_and_no_longer_than_what_it_stands_for(store: Store) -> None:
    """A token that was revoked meanwhile lets nobody in, with a ticket either."""
    token = await add_token(store)
    clock = Clock()
    credentials = checking(store, clock)
    grant = await credentials.of_token(TOKEN)
    late, _ = await credentials.ticket_for(grant)
    local, _ = await credentials.ticket_for(Grant(Scope.ADMIN))
    assert await credentials.of_ticket(local) == Grant(Scope.RUN)
    other, _ = await credentials.ticket_for(grant)
    await AccessTokens(store).revoke(token.id)
    clock.seconds = CACHE_SECONDS
    for seconds, text, reason in (
        (CACHE_SECONDS, other, "revoked"),
        (TICKET_SECONDS, late, "expired"),
        (TICKET_SECONDS, "x", "unknown"),
    ):
        clock.seconds = seconds
        with pytest.raises(CredentialError) as raised:
            await credentials.of_ticket(text)
        assert raised.value.reason == reason
    await credentials.close()


async def test_a_session_ends_with_its_token_with_a_logout_and_by_itself(store: Store) -> None:
    """Its secret is a new one at each login, and the session before is over: one that was planted grants nothing."""
    clock = Clock()
    token = await add_token(store, scope=Scope.READ, expires_at=clock.now() + timedelta(days=2))
    credentials = checking(store, clock)
    planted = "f" * 64
    first, _ = await credentials.log_in(TOKEN, planted)
    assert first != planted
    with pytest.raises(CredentialError):
        await credentials.of_session(planted)
    grant = await credentials.of_session(first)
    assert (grant.scope, grant.token_id) == (Scope.READ, token.id)
    second, expires_at = await credentials.log_in(TOKEN, first)
    assert expires_at == token.expires_at
    with pytest.raises(CredentialError):
        await credentials.of_session(first)
    await credentials.log_out(second)
    with pytest.raises(CredentialError):
        await credentials.of_session(second)
    third, _ = await credentials.log_in(TOKEN, None)
    kept = await credentials.of_session(third)
    assert await credentials.over([kept]) == set()
    await AccessTokens(store).revoke(token.id)
    assert await credentials.over([kept]) == {kept}
    clock.seconds = CACHE_SECONDS
    with pytest.raises(CredentialError):
        await credentials.of_session(third)
    await credentials.close()

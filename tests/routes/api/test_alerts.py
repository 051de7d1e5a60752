"""The targets of alerts over HTTP: who may change them, and what is shown of them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from quart import Response

from quart_odds.domain.scopes import Scope
from quart_odds.routes.access.gate import FORWARDING_HEADERS
from tests.alerts.receiving import receiving
from tests.apps import RunningApp, running_app
from tests.tokens import HEADERS, add_token

NOWHERE = "http://127.0.0.1:9"
TARGETS = "/api/alerts/targets"
WEBHOOK = {"kind": "webhook", "name": "mine", "url": "https://odds.example/s3cret"}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app that may send to this machine."""
    async with running_app(tmp_path, NOWHERE, alerts_allow_private=True) as opened:
        yield opened


async def send(
    running: RunningApp,
    method: str,
    path: str,
    body: object = None,
    *,
    peer: str = "127.0.0.1",
    headers: dict[str, str] | None = None,
) -> Response:
    """Return the response to a request over a connection from this peer."""
    words: dict[str, Any] = {} if body is None else {"json": body}
    return await running.client.open(
        path, method=method, headers=headers or {}, scope_base={"client": (peer, 50_000)}, **words
    )


async def added(running: RunningApp, body: object = WEBHOOK) -> Any:
    """Add a target and return the response's JSON."""
    response = await send(running, "POST", TARGETS, body)
    assert response.status_code == 201, await response.get_data()
    return await response.get_json()


async def test_a_target_is_added_with_a_secret_that_is_shown_once(running: RunningApp) -> None:
    """Nothing else ever has the secret, or what is secret in the URL."""
    target = await added(running)
    assert target["secret"].startswith("whsec_")
    assert (target["kind"], target["name"], target["url"]) == ("webhook", "mine", "https://odds.example/***")
    shown = {name: value for name, value in target.items() if name != "secret"}
    assert await running.get(TARGETS) == {"targets": [shown]}
    assert await running.get(f"{TARGETS}/{target['id']}") == shown
    (stored,) = await running.parts.alerts.targets.all()
    assert (stored.url, stored.secret) == (WEBHOOK["url"], target["secret"])
    assert "s3cret" not in repr(stored)
    assert target["secret"] not in repr(stored)


async def test_a_target_is_changed_and_removed(running: RunningApp) -> None:
    """A new secret is shown once as well. What is not named stays."""
    target = await added(running)
    path = f"{TARGETS}/{target['id']}"
    changed = await (await send(running, "PUT", path, {"name": "other", "url": "http://other.example"})).get_json()
    assert (changed["name"], changed["url"], changed["secret"]) == ("other", "http://other.example", None)
    renewed = await (await send(running, "PUT", path, {"new_secret": True})).get_json()
    assert renewed["name"] == "other"
    assert renewed["secret"] not in (None, target["secret"])
    removed = await send(running, "DELETE", path)
    assert await removed.get_json() == {"id": target["id"], "removed": True}
    assert await running.get(TARGETS) == {"targets": []}
    for method in ("GET", "PUT", "DELETE"):
        response = await send(running, method, path, {} if method == "PUT" else None)
        assert response.status_code == 404, method
        assert (await response.get_json())["detail"] == f"there is no target {target['id']}"


WRONG: list[tuple[object, str, str]] = [
    ({**WEBHOOK, "url": "https://me:s3cret@odds.example/"}, "url", "leave out user and password"),
    ({**WEBHOOK, "url": "ftp://odds.example/s3cret"}, "url", "a webhook is https://host"),
    ({**WEBHOOK, "kind": "apprise", "url": "dbus://s3cret"}, "url", "dbus is no service"),
    ({**WEBHOOK, "kind": "apprise", "url": "tgram://s3cret"}, "url", "Apprise cannot read this URL"),
    ({**WEBHOOK, "kind": "pigeon"}, "kind", "Input should be 'webhook' or 'apprise'"),
    ({**WEBHOOK, "name": " "}, "name", "give a name"),
    ({**WEBHOOK, "secret": "mine"}, "secret", "is not known"),
]


async def test_a_wrong_target_is_refused(running: RunningApp) -> None:
    """The field is named with what is allowed, without what may be a secret."""
    for body, field, said in WRONG:
        response = await send(running, "POST", TARGETS, body)
        assert response.status_code == 400, body
        (error,) = (await response.get_json())["errors"]
        assert error["field"] == field
        assert said in error["message"]
        assert "s3cret" not in await response.get_data(as_text=True)
    assert await running.parts.alerts.targets.all() == []


CHANGES = [
    ("POST", TARGETS, WEBHOOK),
    ("PUT", f"{TARGETS}/1", {"name": "theirs"}),
    ("DELETE", f"{TARGETS}/1", None),
    ("POST", f"{TARGETS}/1/test", None),
]


ELSEWHERE: list[tuple[str, dict[str, str]]] = [
    ("192.0.2.9", {}),
    ("192.0.2.9", {"Host": "localhost", "Origin": "http://localhost", "X-Forwarded-For": "127.0.0.1"}),
    ("", {}),
    ("<local>", {}),
    ("localhost", {}),
    ("::ffff:192.0.2.9", {}),
    *[("127.0.0.1", {name.title(): "127.0.0.1"}) for name in sorted(FORWARDING_HEADERS)],
    ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}),
    ("::1", {"X-Forwarded-Proto": "http"}),
]


async def test_targets_are_changed_on_this_machine_or_with_a_token(running: RunningApp) -> None:
    """Neither another peer nor a request through a proxy may without one, whatever it says of itself."""
    await added(running)
    before = await running.parts.alerts.targets.all()
    for peer, headers in ELSEWHERE:
        for method, path, body in CHANGES:
            response = await send(running, method, path, body, peer=peer, headers=headers)
            assert response.status_code == 401, (method, path, peer, headers)
    assert await running.parts.alerts.targets.all() == before
    await add_token(running.parts.store, scope=Scope.RUN)
    for method, path, body in CHANGES:
        response = await send(running, method, path, body, peer="192.0.2.9", headers=HEADERS)
        assert response.status_code == 403, (method, path)
        assert (await response.get_json())["scope"] == "admin"
    assert await running.parts.alerts.targets.all() == before


async def test_every_loopback_peer_may_change_them(running: RunningApp) -> None:
    """IPv4 and IPv6 alike."""
    for peer in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"):
        assert (await send(running, "POST", TARGETS, WEBHOOK, peer=peer)).status_code == 201


async def test_a_target_is_tested_in_one_attempt(running: RunningApp) -> None:
    """The answer says whether the message was taken, and if not, why."""
    async with receiving(200, 500) as receiver:
        target = await added(running, {**WEBHOOK, "url": f"{receiver.url}/s3cret"})
        path = f"{TARGETS}/{target['id']}/test"
        assert await (await send(running, "POST", path)).get_json() == {"delivered": True, "reason": None}
        failed = await (await send(running, "POST", path)).get_json()
        assert failed == {"delivered": False, "reason": "the answer is 500"}
    assert len(receiver.requests) == 2
    assert b'"type":"test"' in receiver.requests[0].body


async def test_private_addresses_need_the_setting(tmp_path: Path) -> None:
    """Without it the test says which setting it is."""
    async with receiving() as receiver, running_app(tmp_path, NOWHERE) as running:
        target = await added(running, {**WEBHOOK, "url": receiver.url})
        answer = await (await send(running, "POST", f"{TARGETS}/{target['id']}/test")).get_json()
    assert answer["delivered"] is False
    assert "QUART_ODDS_ALERTS_ALLOW_PRIVATE=true" in answer["reason"]
    assert receiver.requests == []

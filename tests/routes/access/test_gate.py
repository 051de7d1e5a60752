"""The gate, played against: who is let in to which route, and with what."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from quart import Quart, Response
from quart.testing import WebsocketResponseError
from structlog.testing import capture_logs

from quart_odds.access.credentials import CredentialError
from quart_odds.access.tokens import AccessTokens
from quart_odds.access.values import Grant
from quart_odds.app import create_app
from quart_odds.domain.clock import utc_now
from quart_odds.domain.scopes import Scope
from quart_odds.routes.access import attempts
from quart_odds.routes.access.gate import FORWARDING_HEADERS
from quart_odds.routes.access.scopes import LIVE, PAGES, ROUTES, TICKET_PATHS, scope_of
from quart_odds.settings import load_settings
from tests.apps import RunningApp, running_app
from tests.routes.test_every_route import path_of, things
from tests.tokens import HEADERS, TOKEN, LocalClient, add_token

NOWHERE = "http://127.0.0.1:9"
ELSEWHERE = {"client": ("192.0.2.9", 50_000)}
READING = {"GET", "HEAD", "OPTIONS"}
TEXTS = {scope: f"qo_{place:012x}_{place:064x}" for place, scope in enumerate(Scope, 1)}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app without data, and a token of each scope."""
    async with running_app(tmp_path, NOWHERE) as opened:
        for scope, text in TEXTS.items():
            await add_token(opened.parts.store, text, scope)
        yield opened


def guarded(app: Quart) -> list[tuple[str, str, Scope | None]]:
    """Return method, path and scope of each route that is answered over HTTP, from the table."""
    rules = [rule for rule in app.url_map.iter_rules() if not rule.websocket]
    return [
        (method, path_of(rule), scope_of(rule, method))
        for rule in rules
        for method in sorted((rule.methods or set()) - {"OPTIONS"})
    ]


async def send(
    running: RunningApp, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
) -> Response:
    """Return the response to a request from another machine."""
    return await running.client.open(path, method=method, headers=headers or {}, **{"scope_base": ELSEWHERE, **options})


def with_token(scope: Scope) -> dict[str, str]:
    """Return the headers of a request with a token of this scope."""
    return {"Authorization": f"Bearer {TEXTS[scope]}"}


def test_the_table_has_every_route_and_nothing_else() -> None:
    """A route that is added without a row fails here, and so does a row whose route is gone."""
    app = create_app(load_settings({}))
    rules = list(app.url_map.iter_rules())
    there = {f"{method} {rule.rule}" for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert there == set(ROUTES)
    assert {path for path in (*PAGES, *TICKET_PATHS, *LIVE) if f"GET {path}" not in ROUTES} == set()


def test_what_changes_something_needs_more_than_reading() -> None:
    """Except the login itself, the logout, and a ticket, which allows nothing that its token does not."""
    changing = {name: scope for name, scope in ROUTES.items() if name.partition(" ")[0] not in READING}
    weak = {name for name, scope in changing.items() if scope is None or not scope.includes(Scope.RUN)}
    assert weak == {"POST /login", "POST /logout", "POST /api/tickets"}
    assert ROUTES["GET /api/scrape/stream"] is Scope.RUN
    open_to_all = {name for name, scope in ROUTES.items() if scope is None}
    assert not any("/api/" in name for name in open_to_all)


async def test_nothing_is_answered_from_elsewhere_without_a_token(running: RunningApp) -> None:
    """401 as a problem with a challenge, or for a page the way to the login. Health probes and the login are open."""
    before = await things(running)
    for method, path, scope in guarded(running.app):
        response = await send(running, method, path)
        if scope is None:
            assert response.status_code not in (403, 421), (method, path)
            continue
        assert response.status_code == 401, (method, path)
        assert response.headers["WWW-Authenticate"].startswith("Bearer"), (method, path)
        assert response.content_type == "application/problem+json", (method, path)
    for path in ("/nowhere", "/api/nowhere"):
        assert (await send(running, "GET", path)).status_code == 401
    with pytest.raises(WebsocketResponseError) as refused:
        async with running.client.websocket("/api/ws", scope_base=ELSEWHERE) as websocket:
            await websocket.receive()
    assert refused.value.response.status_code == 401
    assert await things(running) == before
    text = await (await running.client.get("/metrics")).get_data(as_text=True)
    assert re.search(r'quart_odds_access_refused_total\{reason="none"\} [1-9]', text)


@pytest.mark.parametrize("held", list(Scope))
async def test_a_token_opens_what_its_scope_includes_and_nothing_else(held: Scope, running: RunningApp) -> None:
    """Otherwise 403 names the scope that is missing, and nothing has changed."""
    before = await things(running)
    allowed = 0
    for method, path, needed in guarded(running.app):
        if needed is None:
            continue
        if not held.includes(needed):
            response = await send(running, method, path, with_token(held))
            assert response.status_code == 403, (method, path)
            assert f'scope="{needed}"' in response.headers["WWW-Authenticate"]
            if method != "HEAD":
                assert (await response.get_json())["scope"] == needed.value
        elif method in READING and path not in ("/api/sse", "/api/scrape/stream"):
            response = await send(running, method, path, with_token(held))
            assert response.status_code not in (401, 403), (method, path)
            allowed += 1
    assert allowed > 30
    assert await things(running) == before


@pytest.mark.parametrize(
    "forged",
    [
        {"Host": "localhost"},
        {"Host": "127.0.0.1"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "127.0.0.1", "Host": "localhost"},
        {"Authorization": "Basic cW86cW8="},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"Bearer {TEXTS[Scope.ADMIN][:-1]}f"},
        {"Authorization": TEXTS[Scope.ADMIN]},
        {"Cookie": f"quart_odds_session={'a' * 64}"},
        {"Cookie": f"quart_odds_session={TEXTS[Scope.ADMIN]}"},
        {"Cookie": f"__Host-quart_odds_session={'a' * 64}", "X-Forwarded-Proto": "https"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
async def test_nothing_that_a_request_says_of_itself_replaces_a_token(
    forged: dict[str, str], running: RunningApp
) -> None:
    """Neither where it claims to come from, nor anything that only looks like a credential."""
    before = await things(running)
    for method, path in (
        ("GET", "/api/settings"),
        ("PUT", "/api/settings"),
        ("POST", "/api/scrape"),
        ("GET", "/api/scrape/stream"),
        ("POST", "/runs"),
        ("POST", "/api/alerts/targets"),
        ("POST", "/api/tickets"),
    ):
        assert (await send(running, method, path, forged)).status_code in (401, 429), (method, path)
    assert await things(running) == before


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("192.0.2.9", {}),
        ("", {}),
        ("<local>", {}),
        ("localhost", {}),
        ("::ffff:192.0.2.9", {}),
        *[("127.0.0.1", {name.title(): "127.0.0.1"}) for name in sorted(FORWARDING_HEADERS)],
        ("127.0.0.1", {"X-Forwarded-For": ""}),
        ("::1", {"X-Forwarded-Anything": "http"}),
        ("127.0.0.1", {"Host": "192.168.1.7"}),
        ("127.0.0.1", {"Host": "[2001:db8::1]:8000"}),
    ],
)
async def test_who_is_not_plainly_on_this_machine_needs_a_token(
    peer: str, headers: dict[str, str], running: RunningApp
) -> None:
    """A Unix socket has no peer, and a proxy that says so speaks for somebody else."""
    scope = {"client": (peer, 50_000) if peer else None}
    assert (await send(running, "GET", "/api/settings", headers, scope_base=scope)).status_code == 401
    allowed = await send(running, "GET", "/api/settings", headers | with_token(Scope.READ), scope_base=scope)
    assert allowed.status_code == 200


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000"])
async def test_who_is_plainly_on_this_machine_needs_none(peer: str, host: str, running: RunningApp) -> None:
    """For anything."""
    scope = {"client": (peer, 50_000)}
    for method, path in (("GET", "/api/settings"), ("POST", "/api/scheduler/pause"), ("POST", "/api/tickets")):
        response = await send(running, method, path, {"Host": host}, scope_base=scope)
        assert response.status_code in (200, 201), (method, path)


@pytest.mark.parametrize(
    "proxied", [{"trusted_proxies": "10.0.0.9"}, {"allowed_hosts": "odds.example"}, {"root_path": "/odds"}], ids=str
)
async def test_behind_a_proxy_nobody_is_plainly_on_this_machine(proxied: dict[str, str], tmp_path: Path) -> None:
    """Every peer is, because the proxy is: also for one that adds no header and sends `Host: localhost`."""
    async with running_app(tmp_path, NOWHERE, **proxied) as running:
        bare = LocalClient(running.app)
        for headers in ({}, {"Host": "localhost"}, {"X-Forwarded-For": "127.0.0.1"}):
            for method, path in (("GET", "/api/settings"), ("POST", "/api/scrape"), ("GET", "/metrics")):
                response = await bare.open(path, method=method, headers=headers)
                assert response.status_code == 401, (method, path, headers)
        assert (await bare.get("/healthz")).status_code == 200
        assert (await running.client.get("/api/settings")).status_code == 200


async def test_a_host_of_another_name_is_no_name_of_this_machine(running: RunningApp) -> None:
    """Monitors may use any, but then they need a token as well: a page that was rebound to us has its own name."""
    response = await send(running, "GET", "/metrics", {"Host": "evil.example"}, scope_base={"client": ("127.0.0.1", 1)})
    assert response.status_code == 401


async def test_a_server_that_is_open_lets_everybody_read_and_nobody_change_anything(tmp_path: Path) -> None:
    """Pages, the API and live connections, also behind a proxy. What changes something needs a token as ever."""
    async with running_app(tmp_path, NOWHERE, open_to_network=True, allowed_hosts="odds.example") as running:
        before = await things(running)
        client = LocalClient(running.app)
        for method, path, scope in guarded(running.app):
            if scope is None or path == "/api/sse":
                continue
            response = await client.open(path, method=method, headers={"Host": "odds.example"}, scope_base=ELSEWHERE)
            assert (response.status_code == 401) == (scope is not Scope.READ or path == "/api/tickets"), (method, path)
        async with client.websocket("/api/ws?watch=1", scope_base=ELSEWHERE) as websocket:
            assert (await websocket.receive_json())["type"] == "connection_ack"
            # Watching costs requests to bookmakers.
            assert len(running.parts.watched) == 0
        assert await things(running) == before
        for path in ("/", "/docs"):
            page = await client.get(path, headers={"Accept": "text/html"}, scope_base=ELSEWHERE)
            assert 'href="/login">Log in</a>' in await page.get_data(as_text=True)
        allowed = await client.post("/api/scheduler/pause", headers=HEADERS, scope_base=ELSEWHERE)
        assert allowed.status_code == 200


async def test_a_token_in_an_address_is_refused(running: RunningApp) -> None:
    """Even a good one, even on this machine: it has been leaked by then."""
    for name in ("token", "access_token"):
        for scope in (ELSEWHERE, {"client": ("127.0.0.1", 1)}):
            response = await send(running, "GET", f"/api/settings?{name}={TEXTS[Scope.ADMIN]}", scope_base=scope)
            assert response.status_code == 400
            assert "Revoke it" in (await response.get_json())["detail"]


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_a_token_that_is_over_says_so(how: str, running: RunningApp) -> None:
    """The challenge says that it is the token, and not that there is none."""
    if how == "revoked":
        await add_token(running.parts.store)
        await AccessTokens(running.parts.store).revoke("0" * 12)
    else:
        await add_token(running.parts.store, expires_at=utc_now() - timedelta(seconds=1))
    response = await send(running, "GET", "/api/settings", HEADERS)
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
    assert how in (await response.get_json())["detail"]


async def test_wrong_tokens_are_limited_by_address_and_good_ones_are_not(running: RunningApp) -> None:
    """Whoever tries gets 429 after some attempts. A token that is known works from the same address."""
    assert (await send(running, "GET", "/api/settings", with_token(Scope.READ))).status_code == 200
    wrong = [f"qo_{number:012x}_{'a' * 64}" for number in range(100, 110 + attempts.AT_ONCE)]
    with capture_logs() as logs:
        statuses = [
            (await send(running, "GET", "/api/settings", {"Authorization": f"Bearer {each}"})).status_code
            for each in wrong
        ]
    assert statuses == [401] * attempts.AT_ONCE + [429] * 10
    response = await send(running, "GET", "/api/settings", {"Authorization": f"Bearer {wrong[0]}"})
    assert int(response.headers["Retry-After"]) > 0
    assert (await send(running, "GET", "/api/settings", with_token(Scope.READ))).status_code == 200
    elsewhere = {"client": ("192.0.2.10", 1)}
    refused = {"Authorization": f"Bearer {wrong[0]}"}
    other = await send(running, "GET", "/api/settings", refused, scope_base=elsewhere)
    assert other.status_code == 401
    assert len(logs) < 2 * attempts.AT_ONCE
    assert not any("a" * 64 in str(each) for each in logs)
    text = await (await running.client.get("/metrics")).get_data(as_text=True)
    assert f'quart_odds_access_refused_total{{reason="unknown"}} {attempts.AT_ONCE + 1}.0' in text
    assert re.search(r'quart_odds_access_refused_total\{reason="limited"\} 1[12]\.0', text)


class KnownIssuer:
    """An issuer with one JWT, and one that has none of our scopes."""

    def grant_of(self, text: str) -> Grant:
        """Return what a JWT grants."""
        if text != "a.b.c":
            raise CredentialError("scope" if text == "none.of.ours" else "invalid")
        return Grant(Scope.READ, ends_at=utc_now() + timedelta(minutes=5))


async def test_a_jwt_of_the_issuer_is_a_token(running: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """For requests, tickets and live connections, but not for the login. Without an issuer it is none."""
    headers = {"Authorization": "Bearer a.b.c"}
    assert (await send(running, "GET", "/api/settings", headers)).status_code == 401
    with monkeypatch.context() as patched:
        patched.setattr(running.parts, "issuer", KnownIssuer())
        assert (await send(running, "GET", "/api/settings", headers)).status_code == 200
        assert (await send(running, "POST", "/api/scrape", headers)).status_code == 403
        assert (await send(running, "GET", "/api/settings", {"Authorization": "Bearer x.y.z"})).status_code == 401
        response = await send(running, "GET", "/api/settings", {"Authorization": "Bearer none.of.ours"})
        assert (response.status_code, (await response.get_json())["scope"]) == (403, "read")
        ticket = (await (await send(running, "POST", "/api/tickets", headers)).get_json())["ticket"]
        assert (await send(running, "HEAD", f"/api/sse?ticket={ticket}")).status_code == 200
        login = await send(running, "POST", "/login", {"Origin": "http://localhost"}, form={"token": "a.b.c"})
        assert login.status_code == 401


async def test_a_page_leads_to_the_login_and_back(running: RunningApp) -> None:
    """Only people's pages do. An address of another site is nowhere to lead to."""
    page = {"Accept": "text/html"}
    response = await send(running, "GET", "/odds?search=a%20b&page=2", page)
    assert (response.status_code, response.headers["Location"]) == (
        303,
        "/login?next=/odds%3Fsearch%3Da%2520b%26page%3D2",
    )
    assert (await send(running, "GET", "/odds/rows", page)).status_code == 401
    assert (await send(running, "POST", "/runs", page)).status_code == 401
    for wanted, led in (
        ("/odds?page=2", "/odds?page=2"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("", "/"),
    ):
        form = {"token": TEXTS[Scope.READ], "next": wanted}
        response = await send(running, "POST", "/login", {"Origin": "http://localhost"}, form=form)
        assert (response.status_code, response.headers["Location"]) == (303, led)


async def test_the_descriptions_of_the_api_say_what_each_route_needs(running: RunningApp) -> None:
    """As the table says: OpenAPI with the scope, 401 and 403, and AsyncAPI with schemes that there are."""
    described = await running.get("/openapi.json")
    schemes = described["components"]["securitySchemes"]
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer"}
    checked = 0
    for rule in running.app.url_map.iter_rules():
        path = re.sub(r"<(?:[^:<>]+:)?([a-z_]+)>", r"{\1}", str(rule.rule))
        for method, operation in described["paths"].get(path, {}).items():
            if method.upper() not in (rule.methods or set()):
                continue
            needed = scope_of(rule, method.upper())
            asked = [list(each.items()) for each in operation["security"]]
            assert (asked == []) == (needed is None), (method, path)
            assert needed is None or asked[0] == [("bearer", [needed.value])]
            assert (needed is None) == ("401" not in operation["responses"]) == ("403" not in operation["responses"])
            assert (["ticket"] in [list(each) for each in operation["security"]]) == (rule.rule in TICKET_PATHS)
            checked += 1
    assert checked > 50
    channels = await running.get("/asyncapi.json")
    schemes = channels["components"]["securitySchemes"]
    for operation in channels["operations"].values():
        assert [each["$ref"].rpartition("/")[2] for each in operation["security"]] == list(schemes)
    assert "ticket" in channels["channels"]["hub"]["bindings"]["ws"]["query"]["properties"]

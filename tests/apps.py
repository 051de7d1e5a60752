"""The real app over stand-in bookmakers, for tests of scraping and of routes.

The bookmakers are one process for a whole module of tests. Each test has its own app in the test's event loop.
"""

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import orjson
from quart import Quart, Response

from quart_odds.app import create_app
from quart_odds.domain.platforms import Platform
from quart_odds.services import EXTENSION, Services
from quart_odds.settings import load_settings
from tests.platforms import FIRST_THREE
from tests.tokens import TOKEN, LocalClient, add_token
from tests.traffic import checked

Json = dict[str, Any]

HASTE: Mapping[str, object] = {
    "decode_workers": 0,
    "request_timeout_seconds": 10,
    "request_tries": 2,
    "retry_wait_seconds": 0.02,
    "retry_wait_max_seconds": 0.05,
    "max_body_bytes": 4_000_000,
    "drain_seconds": 0.1,
    "refresh_cooldown_seconds": 0,
}
"""Settings with waits that are short enough for tests."""


@dataclass(frozen=True)
class Sandbox:
    """Three stand-in bookmakers in a separate process."""

    url: str

    def post(self, path: str, body: object) -> Json:
        """Control the sandbox: `/_sandbox/faults`, `/_sandbox/odds`."""
        request = Request(f"{self.url}{path}", orjson.dumps(body), {"content-type": "application/json"}, method="POST")
        with urlopen(request, timeout=30) as response:
            answer: Json = orjson.loads(response.read())
        return answer

    def state(self) -> Json:
        """Return the sandbox's events and requests."""
        with urlopen(f"{self.url}/_sandbox/state", timeout=30) as response:
            answer: Json = orjson.loads(response.read())
        return answer

    def strike(self, fault: object, *platforms: Platform) -> None:
        """Set a fault at these bookmakers, and none at the others."""
        self.post("/_sandbox/faults", {each.value: fault if each in platforms else None for each in FIRST_THREE})

    def heal(self) -> None:
        """End all faults."""
        self.strike(None)


@contextlib.contextmanager
def running_sandbox(*words: str) -> Iterator[Sandbox]:
    """Run a sandbox process of three bookmakers with these options, whose odds do not move by themselves."""
    three = ("--bookmakers", ",".join(FIRST_THREE))
    command = [sys.executable, "-m", "quart_odds.sandbox", "--no-move", *three, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            ready = orjson.loads(process.stdout.readline())
            # All bookmakers have one address.
            yield Sandbox(next(url for name, url in ready.items() if name != "ready"))
        finally:
            process.terminate()


@dataclass(frozen=True)
class RunningApp:
    """A started app, its parts and a client for it."""

    app: Quart
    parts: Services
    client: LocalClient

    async def get(self, path: str) -> Any:
        """Return the JSON of a successful response."""
        response = await self.client.get(path)
        assert response.status_code == 200, await response.get_data()
        return await response.get_json()

    async def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Response:
        """Return the response to a request with this method and without a body, from this machine."""
        send: Callable[..., Awaitable[Response]] = getattr(self.client, method.lower())
        return await send(path, headers=dict(headers or {}))

    async def start(self, *platforms: Platform) -> int:
        """Start a run and return its id."""
        response = await self.client.post(
            "/api/scrape", json={"platforms": [each.value for each in platforms or FIRST_THREE]}
        )
        assert response.status_code == 202, await response.get_data()
        return int((await response.get_json())["scrape_run_id"])

    async def published(self, scrape_run_id: int) -> list[Json]:
        """Return every progress of a run, from its beginning to its end."""
        response = await self.client.get(f"/api/scrape/runs/{scrape_run_id}/progress")
        assert response.status_code == 200
        return blocks(await response.get_data())

    async def scrape(self, *platforms: Platform) -> tuple[Json, list[Json]]:
        """Make a whole run. Return its row and every progress."""
        run_id = await self.start(*platforms)
        published = await self.published(run_id)
        return await self.get(f"/api/scrape/{run_id}"), published

    async def odds(self, platform: Platform) -> dict[str, Json]:
        """Return the odds at a bookmaker, by its own event ids, as the list of events shows them."""
        answer = await self.get("/api/events?include_started=true&page_size=100")
        assert answer["total"] <= 100
        return {
            event_odds["external_event_id"]: event_odds
            for event in answer["events"]
            for event_odds in event["bookmakers"]
            if event_odds["bookmaker_slug"] == platform
        }


def without_times(odds: Mapping[str, Json]) -> dict[str, Json]:
    """Return odds without the times at which they were seen. When bodies fail, lists may still have them again."""
    times = {"last_seen_at", "source_changed_at"}
    return {
        external_id: {name: value for name, value in event_odds.items() if name != "snapshot_time"}
        | {"inline_odds": [{n: v for n, v in each.items() if n not in times} for each in event_odds["inline_odds"]]}
        for external_id, event_odds in odds.items()
    }


@contextlib.asynccontextmanager
async def running_app(folder: Path, url: str, **settings: object) -> AsyncIterator[RunningApp]:
    """Run an app with a database in this folder. All bookmakers are at one address unless settings say otherwise.

    With settings of a proxy the client has a token.
    """
    given = {f"{platform}_url": url for platform in Platform} | {"database_url": f"sqlite:///{folder / 'odds.db'}"}
    given["bookmakers"] = ",".join(FIRST_THREE)
    app = create_app(load_settings({}, **(given | dict(HASTE) | settings)))
    async with app.test_app():
        parts: Services = app.extensions[EXTENSION]
        token = None
        if parts.settings.may_be_behind_proxy and not await parts.store.access_tokens():
            token = TOKEN
            await add_token(parts.store)
        yield RunningApp(app, parts, checked(LocalClient(app, token)))


def blocks(stream: str | bytes) -> list[Json]:
    """Return the `data` of each block of an SSE stream."""
    text = stream.decode() if isinstance(stream, bytes) else stream
    return [orjson.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]

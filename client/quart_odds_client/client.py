"""The HTTP API of a server: `Client`. Pages are put together, and errors are typed."""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from quart_odds_client.addresses import ServerAddress, bearer
from quart_odds_client.errors import ProtocolError, ServerUnreachableError, api_error
from quart_odds_client.links import reason_of
from quart_odds_client.resources import (
    EventDetail,
    EventHistory,
    ListedEvent,
    Opportunities,
    Opportunity,
    Run,
    StartedRun,
)

PAGE_SIZE = 100
MOST_READINGS = 3
"""How often a list is read if it changes while its pages are read."""

Model = TypeVar("Model", bound=BaseModel)
Value = str | int | float | bool | datetime | None | Iterable[str] | Iterable[int]


class Client:
    """The API of a server. Close it, or open it with `async with`.

    Every method raises ServerUnreachableError if there is no answer, ProtocolError if the answer is not one of Quart
    Odds, and an ApiError otherwise. A `session` is used as it is, and not closed. Raises AddressError for a `url` that
    is not the address of a server.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout_seconds: float = 30.0,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._address = ServerAddress(url)
        self._headers = bearer(token)
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session = session
        self._owns_session = session is None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        """Return the client. Nothing is sent yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        self._is_closed = True
        if self._owns_session and self._session is not None:
            await self._session.close()

    async def events(self, **selection: Value) -> AsyncIterator[ListedEvent]:
        """Yield the events of `GET /api/events`, each once. `selection` has its parameters, without pages.

        Lists may be given where there may be several. If events come or go meanwhile, the pages are read again, so that
        none is left out that was there all the time.
        """
        seen: set[int] = set()
        for _ in range(MOST_READINGS):
            totals: list[int] = []
            async for total, items in self._pages("/api/events", "events", selection):
                totals.append(total)
                for event in self._all(ListedEvent, items):
                    if event.id not in seen:
                        seen.add(event.id)
                        yield event
            if len(set(totals)) <= 1:
                return

    async def event(self, event_id: int, *, bookmakers: Iterable[str] = ()) -> EventDetail:
        """Return an event with all its markets, at these bookmakers or at all. Raises NotFoundError."""
        return self._one(EventDetail, await self._get(f"/api/events/{int(event_id)}", {"bookmakers": bookmakers}))

    async def history(
        self,
        event_id: int,
        market: str,
        *,
        line: float | None = None,
        bookmaker: str | None = None,
        promotion: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> EventHistory:
        """Return the history of a market, by id or slug, at one bookmaker or at all, in a period or as a whole.

        A market with lines needs a `line`. Raises NotFoundError and InvalidRequestError.
        """
        query: dict[str, Value] = {
            "market": market,
            "line": line,
            "platform": bookmaker,
            "promotion": promotion,
            "from": since,
            "to": until,
        }
        return self._one(EventHistory, await self._get(f"/api/events/{int(event_id)}/history", query))

    async def opportunities(
        self,
        kind: str = "arbitrage",
        *,
        min_margin: float | None = None,
        max_age_seconds: float | None = None,
        bookmakers: Iterable[str] = (),
        bank: float | None = None,
        rounding: float | None = None,
        suspicious: bool = False,
        include_started: bool = False,
    ) -> Opportunities:
        """Return the opportunities of `GET /api/opportunities`, whose parameters these are, those worth most first."""
        query: dict[str, Value] = {
            "kind": kind,
            "min_margin": min_margin,
            "max_age_seconds": max_age_seconds,
            "bookmakers": ",".join(bookmakers) or None,
            "bank": bank,
            "rounding": rounding,
            "suspicious": suspicious or None,
            "include_started": include_started or None,
        }
        found: dict[object, Opportunity] = {}
        left_out = 0
        async for body in self._bodies("/api/opportunities", "opportunities", query):
            left_out = body.get("left_out_count", 0)
            for each in self._all(Opportunity, body["opportunities"]):
                # One that moved to a later page while it was read is there twice.
                outcomes = tuple((leg.name, leg.line, leg.bookmaker_slug) for leg in each.outcomes)
                found.setdefault((each.id, each.kind, each.market_id, outcomes), each)
        return Opportunities(sorted(found.values(), key=lambda each: -each.margin), left_out)

    async def runs(self, *, status: str | None = None, mode: str | None = None) -> AsyncIterator[Run]:
        """Yield the runs, the newest first: full runs, or those of `mode` `sweep` or `all`."""
        seen: set[int] = set()
        offset = 0
        while True:
            query: dict[str, Value] = {"status": status, "mode": mode, "limit": PAGE_SIZE, "offset": offset}
            items = await self._get("/api/scrape/runs", query)
            # A run that began meanwhile moves the others towards the end.
            for run in self._all(Run, items):
                if run.id not in seen:
                    seen.add(run.id)
                    yield run
            if len(items) < PAGE_SIZE:
                return
            offset += PAGE_SIZE

    async def start_scrape(self, *, platforms: Iterable[str] | None = None, mode: str | None = None) -> StartedRun:
        """Start a run at these bookmakers or at all. Raises ConflictError if one of its mode is active."""
        body = {"platforms": None if platforms is None else list(platforms), "mode": mode}
        given = {name: value for name, value in body.items() if value is not None}
        return self._one(StartedRun, await self._ask("POST", "/api/scrape", json=given))

    async def _pages(self, path: str, name: str, query: Mapping[str, Value]) -> AsyncIterator[tuple[int, list[Any]]]:
        async for body in self._bodies(path, name, query):
            yield body["total"], body[name]

    async def _bodies(self, path: str, name: str, query: Mapping[str, Value]) -> AsyncIterator[dict[str, Any]]:
        """Yield the bodies of all pages of a list, which have the items under this name."""
        page = 1
        while True:
            body = await self._get(path, {**query, "page": page, "page_size": PAGE_SIZE})
            if not isinstance(body, dict) or not isinstance(body.get(name), list) or "total" not in body:
                raise ProtocolError(self._address.shown, f"{path} has no list of {name}")
            yield body
            if page * PAGE_SIZE >= body["total"] or not body[name]:
                return
            page += 1

    def _all(self, model: type[Model], items: Any) -> list[Model]:
        if not isinstance(items, list):
            raise ProtocolError(self._address.shown, "a list was expected")
        return [self._one(model, each) for each in items]

    def _one(self, model: type[Model], value: Any) -> Model:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise ProtocolError(self._address.shown, f"{model.__name__} {place}: {first['msg']}") from error

    async def _get(self, path: str, query: Mapping[str, Value]) -> Any:
        return await self._ask("GET", path, params=list(_pairs(query)))

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        if self._is_closed:
            raise RuntimeError("this client is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession()
        url = self._address.at(path)
        try:
            async with self._session.request(
                method, url, headers=self._headers, timeout=self._timeout, allow_redirects=False, **options
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServerUnreachableError(self._address.shown, reason_of(error)) from error
        if answer.status >= 300:
            raise api_error(f"{method} {url.path}", answer.status, body, answer.headers.get("Retry-After"))
        try:
            return from_json(body)
        except ValueError as error:
            raise ProtocolError(self._address.shown, f"{path} is no JSON") from error


def _pairs(query: Mapping[str, Value]) -> Iterable[tuple[str, str]]:
    """Yield the parameters of a query as text; those that are None, or without any value, are left out."""
    for name, value in query.items():
        if value is None:
            continue
        if isinstance(value, str | int | float | datetime):
            yield name, _text(value)
        else:
            yield from ((name, _text(each)) for each in value)


def _text(value: str | int | float | bool | datetime) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)

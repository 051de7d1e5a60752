"""Opening of bookmaker clients with the address, proxy and request rate from the settings."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from types import TracebackType

import structlog

from quart_odds.bookmakers.budget import Budget, RequestBudget
from quart_odds.bookmakers.client import BookmakerClient, SiteClient
from quart_odds.bookmakers.decoder import Decoder
from quart_odds.bookmakers.kept_lists import KeptLists
from quart_odds.bookmakers.politeness import Pace, Priority, Throttle
from quart_odds.bookmakers.recorder import Recorder
from quart_odds.bookmakers.registry import site_of
from quart_odds.bookmakers.transport import AiohttpTransport, Transport
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.settings import Settings

log = structlog.get_logger(__name__)


def open_client(
    platform: Platform,
    settings: Settings,
    *,
    transport: Transport | None = None,
    recorder: Recorder | None = None,
    throttle: Throttle | None = None,
    decoder: Decoder | None = None,
    kept: KeptLists | None = None,
    now: Callable[[], datetime] = utc_now,
) -> BookmakerClient:
    """Open a client for a bookmaker; close it with `aclose`.

    A given `transport` is closed with the client, `recorder` and `decoder` are not. Without a `throttle` the client has
    its own, and so it has without `kept` lists; use ClientPool for clients that share them. Without a `decoder` lists
    are parsed in the event loop. `now` dates the answers.
    """
    transport = transport or AiohttpTransport(
        platform,
        proxy=settings.proxy(platform),
        max_body_bytes=settings.max_body_bytes,
        hosts=site_of(platform).hosts,
    )
    return SiteClient(
        site_of(platform),
        settings,
        transport,
        throttle or Throttle(lambda: pace(settings, platform)),
        decoder or Decoder(0),
        recorder,
        kept,
        now=now,
    )


def pace(settings: Settings, platform: Platform) -> Pace:
    """Return the request rate that the settings allow for a bookmaker. There is a budget while sweeps are on."""
    budget = settings.requests_per_second(platform) if settings.sweep_interval_seconds else None
    return Pace(settings.concurrency(platform), settings.delay_seconds(platform), budget)


class ClientPool:
    """One throttle, one HTTP session and the kept lists per bookmaker, for the lifetime of the process.

    `settings` is called for each client, so changes apply to new clients. Lists are parsed by `decoder`, or in the
    event loop if there is none. `make_throttle` makes the throttles, which then share a clock of a test.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        recorder: Recorder | None = None,
        decoder: Decoder | None = None,
        make_throttle: Callable[[Callable[[], Pace]], Throttle] = Throttle,
    ) -> None:
        self._settings = settings
        self._make_throttle = make_throttle
        self._decoder = decoder or Decoder(0)
        self._recorder = recorder
        self._throttles: dict[Platform, Throttle] = {}
        self._transports: dict[Platform, Transport] = {}
        self._kept = {platform: KeptLists() for platform in Platform}

    async def __aenter__(self) -> "ClientPool":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @asynccontextmanager
    async def client(self, platform: Platform, priority: Priority = Priority.FULL) -> AsyncIterator[BookmakerClient]:
        """Provide a client for one piece of work. It counts its own requests; the more urgent ones go first."""
        settings = self._settings()
        yield SiteClient(
            site_of(platform),
            settings,
            self._transport(platform, settings),
            self._throttle(platform),
            self._decoder,
            self._recorder,
            self._kept[platform],
            priority,
        )

    def budgets(self) -> list[RequestBudget]:
        """Return the requests to each bookmaker and its budget now."""
        settings = self._settings()
        return [self._budget(settings, platform) for platform in Platform]

    def rate(self, platform: Platform) -> float:
        """Return how many requests per second a bookmaker's budget allows now, or would while sweeps are on."""
        budget = self._throttle(platform).budget
        return budget.rate if budget is not None else self._settings().requests_per_second(platform)

    def budget(self, platform: Platform) -> Budget | None:
        """Return a bookmaker's budget; None while sweeps are off."""
        return self._throttle(platform).budget

    def is_resting(self, platform: Platform) -> bool:
        """Return whether a bookmaker gets no requests for now, because it refused too many."""
        return self._throttle(platform).is_resting

    def trouble(self, platform: Platform) -> str | None:
        """Return why a bookmaker's budget is below the configured rate, as a sentence; None if it is not."""
        found = self._budget(self._settings(), platform)
        if found.reason is None or found.budget_per_second is None:
            return None
        did = "refuses requests" if found.reason == "refused" else "answers slowly"
        return (
            f"{platform.display_name} {did} and gets {found.budget_per_second:.1f} requests per second "
            f"instead of {found.configured_per_second:g}"
        )

    async def aclose(self) -> None:
        """Close all connections."""
        while self._transports:
            _, transport = self._transports.popitem()
            await transport.aclose()

    def _budget(self, settings: Settings, platform: Platform) -> RequestBudget:
        throttle = self._throttle(platform)
        budget = throttle.budget
        return RequestBudget(
            platform,
            throttle.requests_total,
            throttle.requests_per_second,
            None if budget is None else budget.rate,
            settings.requests_per_second(platform),
            None if budget is None else budget.reason,
        )

    def _throttle(self, platform: Platform) -> Throttle:
        if platform not in self._throttles:
            throttle = self._throttles[platform] = self._make_throttle(lambda: pace(self._settings(), platform))
            throttle.on_halved = partial(_log_halved, platform)
        return self._throttles[platform]

    def _transport(self, platform: Platform, settings: Settings) -> Transport:
        if platform not in self._transports:
            self._transports[platform] = AiohttpTransport(
                platform,
                proxy=settings.proxy(platform),
                max_body_bytes=settings.max_body_bytes,
                hosts=site_of(platform).hosts,
            )
        return self._transports[platform]


def _log_halved(platform: Platform, budget: Budget) -> None:
    log.warning(
        "bookmaker.budget_halved",
        platform=platform,
        reason=budget.last_reason,
        requests_per_second=round(budget.rate, 2),
        configured=budget.configured,
    )

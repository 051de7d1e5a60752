"""Opening of bookmaker clients with the address, proxy and request rate from the settings."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType

from quart_odds.bookmakers.client import BookmakerClient, SiteClient
from quart_odds.bookmakers.decoder import Decoder
from quart_odds.bookmakers.kept_lists import KeptLists
from quart_odds.bookmakers.politeness import Pace, Throttle
from quart_odds.bookmakers.recorder import Recorder
from quart_odds.bookmakers.sites import SITES
from quart_odds.bookmakers.transport import AiohttpTransport, Transport
from quart_odds.domain.platforms import Platform
from quart_odds.settings import Settings


def open_client(
    platform: Platform,
    settings: Settings,
    *,
    transport: Transport | None = None,
    recorder: Recorder | None = None,
    throttle: Throttle | None = None,
    decoder: Decoder | None = None,
    kept: KeptLists | None = None,
) -> BookmakerClient:
    """Open a client for a bookmaker; close it with `aclose`.

    A given `transport` is closed with the client, `recorder` and `decoder` are not. Without a `throttle` the client has
    its own, and so it has without `kept` lists; use ClientPool for clients that share them. Without a `decoder` lists
    are parsed in the event loop.
    """
    transport = transport or AiohttpTransport(
        platform,
        proxy=settings.proxy(platform),
        max_body_bytes=settings.max_body_bytes,
        hosts=SITES[platform].hosts,
    )
    return SiteClient(
        SITES[platform],
        settings,
        transport,
        throttle or Throttle(lambda: pace(settings, platform)),
        decoder or Decoder(0),
        recorder,
        kept,
    )


def pace(settings: Settings, platform: Platform) -> Pace:
    """Return the request rate that the settings allow for a bookmaker."""
    return Pace(settings.concurrency(platform), settings.delay_seconds(platform))


class ClientPool:
    """One throttle, one HTTP session and the kept lists per bookmaker, for the lifetime of the process.

    `settings` is called for each client, so changes apply to new clients. Lists are parsed by `decoder`, or in the
    event loop if there is none.
    """

    def __init__(
        self, settings: Callable[[], Settings], recorder: Recorder | None = None, decoder: Decoder | None = None
    ) -> None:
        self._settings = settings
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
    async def client(self, platform: Platform) -> AsyncIterator[BookmakerClient]:
        """Provide a client for one piece of work. It counts its own requests."""
        settings = self._settings()
        yield SiteClient(
            SITES[platform],
            settings,
            self._transport(platform, settings),
            self._throttle(platform),
            self._decoder,
            self._recorder,
            self._kept[platform],
        )

    async def aclose(self) -> None:
        """Close all connections."""
        while self._transports:
            _, transport = self._transports.popitem()
            await transport.aclose()

    def _throttle(self, platform: Platform) -> Throttle:
        if platform not in self._throttles:
            self._throttles[platform] = Throttle(lambda: pace(self._settings(), platform))
        return self._throttles[platform]

    def _transport(self, platform: Platform, settings: Settings) -> Transport:
        if platform not in self._transports:
            self._transports[platform] = AiohttpTransport(
                platform,
                proxy=settings.proxy(platform),
                max_body_bytes=settings.max_body_bytes,
                hosts=SITES[platform].hosts,
            )
        return self._transports[platform]

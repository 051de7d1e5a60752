"""Opening a bookmaker's client with the settings' address, proxy and politeness."""

from quart_odds.bookmakers.client import BookmakerClient, SiteClient
from quart_odds.bookmakers.recorder import Recorder
from quart_odds.bookmakers.sites import SITES
from quart_odds.bookmakers.transport import AiohttpTransport, Transport
from quart_odds.domain.platforms import Platform
from quart_odds.settings import Settings


def open_client(
    platform: Platform, settings: Settings, *, transport: Transport | None = None, recorder: Recorder | None = None
) -> BookmakerClient:
    """A client for a bookmaker; `aclose` it. Another `transport` is closed with it, a `recorder` is not."""
    return SiteClient(
        SITES[platform],
        settings,
        transport
        or AiohttpTransport(
            platform,
            max_connections=settings.concurrency(platform),
            proxy=settings.proxy(platform),
            max_body_bytes=settings.max_body_bytes,
        ),
        recorder,
    )

"""Follows the runs of a server with the client library. Each reconnection resumes from the last cursor."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from pydantic import ValidationError

import quart_odds_client as client
from quart_odds.domain.secrets import masked
from quart_odds.errors import QuartOddsError
from quart_odds.scraping.schemas import ScrapeProgress
from quart_odds_client.options import Choice
from quart_odds_client.stream import Sleep

Say = Callable[[str], None]


class WatchError(QuartOddsError):
    """Raised when there is nothing to watch: the server is missing, is not Quart Odds, or refuses the connection."""


def watch_error(error: client.ClientError) -> WatchError:
    """Return the error for one of the client library."""
    is_token_missing = isinstance(error, client.ConnectionRefused) and error.status == 401
    advice = "; give a token with --token or QUART_ODDS_TOKEN" if is_token_missing else ""
    return WatchError(f"{error}{advice}")


def state_teller(url: str, say: Say) -> Callable[[client.StateChange], None]:
    """Return a function that tells the state of a connection in words."""
    shown = masked(url.rstrip("/"))

    def tell(change: client.StateChange) -> None:
        if change.state == "live":
            say(f"watching {shown}")
        elif change.retry_in_seconds is not None:
            say(f"lost {shown}; retrying in {change.retry_in_seconds:.1f} s")

    return tell


async def followed_runs(
    url: str,
    *,
    on_state: Say = lambda _: None,
    token: str | None = None,
    transport: Choice = "auto",
    sleep: Sleep = asyncio.sleep,
) -> AsyncGenerator[ScrapeProgress, None]:
    """Yield every progress, without end. Raises WatchError if the first connection fails or any is refused.

    Nothing is missed as long as the server's log reaches back to the cursor. After that, the newest state follows.
    `on_state` gets the state of the connection as text.
    """
    try:
        stream = client.connect(
            url,
            topics=["scrape_progress"],
            transport=transport,
            token=token,
            on_state=state_teller(url, on_state),
            sleep=sleep,
        )
        async with stream:
            async for message in stream:
                if isinstance(message, client.ScrapeProgress):
                    yield ScrapeProgress.model_validate(message.data.model_dump())
    except client.ClientError as error:
        raise watch_error(error) from error
    except ValidationError as error:
        raise WatchError(f"{masked(url)} answers, but not as Quart Odds does") from error

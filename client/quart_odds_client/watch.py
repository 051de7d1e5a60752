"""A live copy of odds over a stream: `watch_odds`."""

from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Self

import aiohttp

from quart_odds_client.messages import EventChange, Gap, OddsChange, OddsImage
from quart_odds_client.odds_copy import OddsCopy
from quart_odds_client.options import Choice, OddsFilter, Options, StateChange
from quart_odds_client.stream import Stream, connect

Change = OddsImage | OddsChange | EventChange | Gap
"""What a watch yields, once the copy has it."""


def watch_odds(
    url: str,
    *,
    event_id: int | Iterable[int] = (),
    tournament_id: int | Iterable[int] = (),
    market: str | Iterable[str] = "main",
    bookmaker: str | Iterable[str] = (),
    min_move: float | None = None,
    transport: Choice = "auto",
    token: str | None = None,
    options: Options | None = None,
    on_state: Callable[[StateChange], None] = lambda _: None,
    session: aiohttp.ClientSession | None = None,
) -> "OddsWatch":
    """Return a watch of the odds of some events, to be opened with `async with`.

    `event_id` and `tournament_id` name the events, all of the future without either. `market` is `main`, `all` (with at
    most 100 events by `event_id`) or ids of markets. `bookmaker` names bookmakers, all of them if it is empty.
    `min_move` leaves out changes of a price by less than this percentage, also from the copy. The rest is as for
    `connect`.
    """
    chosen = OddsFilter.of(
        event_id=event_id,
        tournament_id=tournament_id,
        market=market,
        platform=bookmaker,
        min_move=min_move,
        image=True,
    )
    stream = connect(
        url,
        topics=["odds"],
        odds=chosen,
        transport=transport,
        token=token,
        options=options,
        on_state=on_state,
        session=session,
    )
    return OddsWatch(stream)


class OddsWatch:
    """Keeps a copy of odds. Once it is open, the copy is whole, and each step of the iteration brings it up to date.

    The copy is exact after a lost connection, and after a Gap, as soon as the image after it has come.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.copy = OddsCopy()

    async def __aenter__(self) -> Self:
        """Connect, and read until the copy is whole. Raises what opening a Stream raises."""
        await self.stream.__aenter__()
        try:
            while not self.copy.is_whole:
                await anext(self)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the stream. The copy stays as it is."""
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[Change]:
        """Return the watch."""
        return self

    async def __anext__(self) -> Change:
        """Return the next change, which the copy has by then."""
        while True:
            message = await anext(self.stream)
            self.copy.apply(message)
            if isinstance(message, OddsImage | OddsChange | EventChange | Gap):
                return message

    async def follow(self) -> None:
        """Keep the copy current until the watch is closed: for a task of its own, where changes do not matter."""
        async for _ in self:
            pass

    async def aclose(self) -> None:
        """Close the stream. Idempotent."""
        await self.stream.aclose()

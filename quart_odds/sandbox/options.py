"""The options of a sandbox."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.faults.faults import Fault
from quart_odds.sandbox.world.stand_ins import STAND_INS
from quart_odds.sandbox.world.world import most_competitions

PACE: Mapping[str, int] = {
    "betpawa_concurrency": 4,
    "sportybet_concurrency": 5,
    "bet9ja_concurrency": 3,
    "msport_concurrency": 4,
    "betking_concurrency": 3,
}
"""Settings of a client that is to be watched: few concurrent requests, so sixty events take about ten seconds."""

FULL_MARKETS = (320, 170, 170, 110, 110)
"""Market lines per event as at the real bookmakers: many in every fifth league, about 170 on average."""
DEMO_MARKETS = (45,)
LARGE_EVENTS = 300
"""With this many events or more, events have as many markets as at a real bookmaker by default."""


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """The options of a sandbox. Equal options produce equal events and prices, relative to the start time.

    `events` is the number of events with a SportRadar id, each at two to five bookmakers. There are a few additional
    ones that clients should leave out or cannot match. `move` is the share of all prices that change between two
    requests for an event; three in ten events take part. `body_kb` cuts or pads the body of an event to about this many
    thousand bytes. `markets` is the number of market lines per event; None means 45, or about 170 from 300 events on.
    `warm` writes all bodies before the sandbox reports that it is ready, so that a benchmark measures only the client.
    `replay` answers from a folder of recorded bodies instead.

    With `live_prices` prices move as a process in time instead of between requests, and `move` has no effect. The same
    seed and start time produce the same changes, whatever is requested. `price_pace` multiplies how often prices move.
    `competitions` is the number of competitions; None means one for every eight events.

    `bookmakers` are those that the sandbox has. With fewer, the events and odds of these are the same, without the
    events that only others list.
    """

    events: int = 60
    seed: int = 1
    latency_ms: float = 0
    jitter_ms: float = 0
    faults: Mapping[Platform, Fault] = field(default_factory=dict)
    replay: Path | None = None
    move: float = 0.02
    body_kb: float | None = None
    markets: int | None = None
    warm: bool = False
    live_prices: bool = False
    price_pace: float = 1
    competitions: int | None = None
    bookmakers: tuple[Platform, ...] = STAND_INS

    def __post_init__(self) -> None:
        if not self.bookmakers or not set(self.bookmakers) <= set(STAND_INS):
            raise ValueError(f"bookmakers {','.join(self.bookmakers)!r} are not one or more of {', '.join(STAND_INS)}")
        if len(set(self.bookmakers)) < len(self.bookmakers):
            raise ValueError(f"bookmakers {','.join(self.bookmakers)!r} name one twice")
        elsewhere = sorted(set(self.faults) - set(self.bookmakers))
        if elsewhere:
            raise ValueError(f"faults of {', '.join(elsewhere)}, but the bookmakers are {', '.join(self.bookmakers)}")
        if self.events < 1:
            raise ValueError(f"events {self.events} is not at least 1")
        if self.latency_ms < 0 or self.jitter_ms < 0:
            raise ValueError("latency and jitter cannot be negative")
        if not 0 <= self.move <= 1:
            raise ValueError(f"move {self.move:g} is not a share between 0 and 1")
        if self.body_kb is not None and self.body_kb < 2:
            raise ValueError(f"body_kb {self.body_kb:g} is not at least 2")
        if self.markets is not None and self.markets < 10:
            raise ValueError(f"markets {self.markets} is not at least 10")
        if self.price_pace <= 0:
            raise ValueError(f"price_pace {self.price_pace:g} is not above 0")
        most = most_competitions(self.events)
        if self.competitions is not None and not 1 <= self.competitions <= most:
            raise ValueError(f"competitions {self.competitions} of {self.events} events is not from 1 to {most}")
        if self.live_prices and self.replay is not None:
            raise ValueError("the prices of a replay cannot be live")
        if self.replay is not None and not (self.replay / "requests.json").is_file():
            raise ValueError(f"{self.replay} is not a recording: it has no requests.json")

    @property
    def market_lines(self) -> tuple[int, ...]:
        """The maximum number of market lines per event. Leagues alternate between several numbers."""
        if self.markets is not None:
            return (self.markets,)
        if self.body_kb is not None:
            return (max(FULL_MARKETS),)
        return FULL_MARKETS if self.events >= LARGE_EVENTS else DEMO_MARKETS

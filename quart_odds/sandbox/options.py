"""What a sandbox is asked to be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.faults.faults import Fault

FULL_MARKETS = (320, 170, 170, 110, 110)
"""Market lines of an event as the real bookmakers have them: many in every fifth league, about 170 on average."""
DEMO_MARKETS = (45,)
LARGE_EVENTS = 300
"""From so many events on an event has as many markets as at a real bookmaker, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """A sandbox: the same options give the same events and prices, relative to the time of the start.

    `events` have a SportRadar id and are at two or three bookmakers; a few more are there to be left out or to stand
    alone. `move` is the share of all prices that move between two times of asking; three events in ten have part in it.
    `body_kb` cuts or pads the body of an event to about that many thousand bytes. `markets` is the number of market
    lines an event has, None for 45, or about 170 with 300 events and more. `warm` writes all bodies before the sandbox
    says that it is ready, so that a benchmark measures the client and not the writing. `replay` answers from a folder
    of recorded bodies instead.
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

    def __post_init__(self) -> None:
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
        if self.replay is not None and not (self.replay / "requests.json").is_file():
            raise ValueError(f"{self.replay} is no recording: it has no requests.json")

    @property
    def market_lines(self) -> tuple[int, ...]:
        """Market lines an event has at each bookmaker, at most; leagues take turns where there are several numbers."""
        if self.markets is not None:
            return (self.markets,)
        if self.body_kb is not None:
            return (max(FULL_MARKETS),)
        return FULL_MARKETS if self.events >= LARGE_EVENTS else DEMO_MARKETS

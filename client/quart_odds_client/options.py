"""What a stream is asked for, and how patient it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Transport = Literal["websocket", "sse"]
Choice = Literal["websocket", "sse", "auto"]
State = Literal["connecting", "live", "waiting", "closed"]


@dataclass(frozen=True, slots=True)
class Options:
    """The times of a stream. The defaults are good for most.

    After `ping_seconds` of silence a WebSocket is asked for a sign of life, and given up after `answer_seconds` more.
    An event stream is given up after `silence_seconds`; the server sends something every 15 seconds. A connection has
    `open_seconds` for its first message. The wait before another attempt doubles from `least_wait_seconds` to
    `most_wait_seconds`, and is drawn at random between half of that and all of it. On server-sent events, WebSocket is
    tried again after `upgrade_seconds`, and then twice as long, up to twenty times. Silence counts only while the
    caller waits for a message.
    """

    ping_seconds: float = 20.0
    answer_seconds: float = 8.0
    silence_seconds: float = 40.0
    open_seconds: float = 10.0
    least_wait_seconds: float = 0.5
    most_wait_seconds: float = 30.0
    upgrade_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class StateChange:
    """The state of a stream, its transport while it is live, and while it waits, for how long and why."""

    state: State
    transport: Transport | None = None
    retry_in_seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OddsFilter:
    """What to hear of the topic `odds`: the parameters of docs/protocol.md, and its defaults.

    Without any event and tournament it selects all events. `image` None leaves it to the server whether the stream
    begins with an image.
    """

    event_id: tuple[int, ...] = ()
    tournament_id: tuple[int, ...] = ()
    market: tuple[str, ...] = ()
    platform: tuple[str, ...] = ()
    min_move: float | None = None
    image: bool | None = None

    @classmethod
    def of(
        cls,
        *,
        event_id: int | Iterable[int] = (),
        tournament_id: int | Iterable[int] = (),
        market: str | Iterable[str] = (),
        platform: str | Iterable[str] = (),
        min_move: float | None = None,
        image: bool | None = None,
    ) -> "OddsFilter":
        """Return a filter; wherever there may be several, one may be given alone."""
        return cls(
            (event_id,) if isinstance(event_id, int) else tuple(event_id),
            (tournament_id,) if isinstance(tournament_id, int) else tuple(tournament_id),
            (market,) if isinstance(market, str) else tuple(market),
            (platform,) if isinstance(platform, str) else tuple(platform),
            min_move,
            image,
        )

    def query(self) -> Mapping[str, str]:
        """Return the filter as parameters of a query."""
        lists = {
            "event_id": self.event_id,
            "tournament_id": self.tournament_id,
            "market": self.market,
            "platform": self.platform,
        }
        query = {name: ",".join(map(str, values)) for name, values in lists.items() if values}
        if self.min_move is not None:
            query["min_move"] = str(self.min_move)
        if self.image is not None:
            query["image"] = "1" if self.image else "0"
        return query

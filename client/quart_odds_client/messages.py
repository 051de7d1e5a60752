"""The messages of a stream, typed. docs/protocol.md of Quart Odds is the contract, which only grows.

So a message of a type that is not known here is an UnknownMessage, fields that are not known are kept in `model_extra`,
and words that may become more, such as the phase of a run, are plain text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, ValidationError
from pydantic_core import from_json

from quart_odds_client.shapes import EventFields, ImageEvent, ListedBookmaker, Shape


class Message(Shape):
    """What all messages of a server have. `id` is the cursor after the message; None if the message has none."""

    type: str
    timestamp: AwareDatetime
    id: str | None = None


class AcknowledgedData(Shape):
    """What a connection carries, and where it begins.

    If `recovered` is false, `missed` messages of its topics are gone; None if their number cannot be known.
    """

    topics: tuple[str, ...] = ()
    epoch: str | None = None
    recovered: bool = True
    cursor: str | None = None
    missed: int | None = None
    filter: Mapping[str, Any] | None = None


class ConnectionAck(Message):
    """The first message of each connection: so it comes again after each reconnection."""

    type: Literal["connection_ack"]
    data: AcknowledgedData


class RunError(Shape):
    """An error of a run: its type for programs, a message for people."""

    error_type: str
    error_message: str
    platform: str | None = None
    recoverable: bool = False


class SlowedBookmaker(Shape):
    """A bookmaker that gets fewer requests per second than configured. `reason` is `refused` or `slow`."""

    platform: str
    reason: str
    requests_per_second: float
    configured_per_second: float


class ProgressData(Shape):
    """One step of a run. If `platform` is None, it concerns the run as a whole. Durations are in milliseconds.

    `current` events of `total` found ones have been processed. `events_count` is cumulative, None if unknown.
    """

    platform: str | None = None
    phase: str
    current: int
    total: int
    events_count: int | None = None
    duration_ms: int | None = None
    message: str | None = None
    timestamp: AwareDatetime
    scrape_run_id: int | None = None
    elapsed_ms: int | None = None
    remaining_ms: int | None = None
    error: RunError | None = None
    mode: str = "full"
    slowed: tuple[SlowedBookmaker, ...] | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether this is the last progress of its run: the run as a whole, not only a bookmaker, has ended."""
        return self.platform is None and self.phase in ("completed", "failed")


class ScrapeProgress(Message):
    """One step of a run. Topic `scrape_progress`."""

    type: Literal["scrape_progress"]
    data: ProgressData


class UpdateData(Shape):
    """The events whose odds changed at one bookmaker."""

    event_ids: tuple[int, ...]
    source: str
    snapshot_count: int
    opening_count: int = 0


class OddsUpdate(Message):
    """A notice that odds changed, without them. Topic `odds_updates`."""

    type: Literal["odds_update"]
    data: UpdateData


class ImageData(Shape):
    """A page of the state that a filter selects.

    With `scope` `all`, there are no other events than those on all pages. With `changed`, others stay as they are, and
    those in `removed` are gone.
    """

    events: tuple[ImageEvent, ...]
    final: bool
    scope: str
    removed: tuple[int, ...] = ()


class OddsImage(Message):
    """A page of the state that a filter selects. Topic `odds`."""

    type: Literal["odds_image"]
    data: ImageData


class PriceChange(Shape):
    """A price that moved, appeared or disappeared. `previous` is None if it was not there."""

    market_id: str
    line: float | None = None
    outcome: str
    odds: float
    previous: float | None = None
    is_active: bool
    available: bool
    promotion: str | None = None
    market_promotion: str | None = None


class ChangeData(Shape):
    """What one fetch changed in an event at one bookmaker, `source`."""

    event_id: int
    sportradar_id: str | None = None
    source: str
    seen_at: AwareDatetime
    source_changed_at: AwareDatetime | None = None
    changes: tuple[PriceChange, ...]


class OddsChange(Message):
    """Prices that changed. Topic `odds`."""

    type: Literal["odds_change"]
    data: ChangeData


class EventChangeData(Shape):
    """What happened to an event itself: `change` is `new`, `kickoff`, `gone`, `back`, `changed` or `removed`."""

    event_id: int
    sportradar_id: str | None = None
    change: str
    source: str | None = None
    event: EventFields | None = None
    bookmakers: tuple[ListedBookmaker, ...] = ()


class EventChange(Message):
    """An event changed, came or went. Topic `odds`."""

    type: Literal["event_change"]
    data: EventChangeData


class OpportunityPlace(Shape):
    """An outcome that an opportunity backs, and its line."""

    name: str
    line: float | None = None


class OpportunityChangeData(Shape):
    """What happened to an opportunity: `change` is `appeared`, `changed` or `gone`.

    `opportunity` is as in the API, None if it is gone.
    """

    change: str
    event_id: int
    sportradar_id: str | None = None
    kind: str
    market_id: str
    outcomes: tuple[OpportunityPlace, ...]
    margin: float
    best_margin: float
    first_seen_at: AwareDatetime | None = None
    lifetime_seconds: float | None = None
    opportunity: Mapping[str, Any] | None = None


class OpportunityChange(Message):
    """An opportunity appeared, changed or went. Topic `opportunities`."""

    type: Literal["opportunity"]
    data: OpportunityChangeData


class AlertData(Shape):
    """An alert that fired. Its other fields depend on the kind, and are in `model_extra`."""

    id: int
    title: str
    text: str
    rule_id: int
    rule: str
    kind: str


class Alert(Message):
    """An alert fired. Topic `alerts`."""

    type: Literal["alert"]
    data: AlertData


class ErrorData(Shape):
    """What the server has to say about this connection. `code` is for programs."""

    code: str
    detail: str = ""
    missed: int | None = None


class ServerNotice(Message):
    """Something is wrong with this connection, and it goes on: with code `degraded`, messages are late."""

    type: Literal["error"]
    data: ErrorData


class UnknownMessage(Message):
    """A message of a type that this version does not know."""

    data: Any = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages are gone for good. The newest state follows where there is one; read the rest from the API.

    `missed` is their number, None if it cannot be known. `reason` is `restart` if the server no longer has what came
    after the cursor, because it was restarted or the cursor is too old, and `slow` if messages were read too slowly.
    """

    missed: int | None
    reason: Literal["restart", "slow"]
    timestamp: datetime
    type: Literal["gap"] = "gap"


ServerMessage = (
    ConnectionAck
    | ScrapeProgress
    | OddsUpdate
    | OddsImage
    | OddsChange
    | EventChange
    | OpportunityChange
    | Alert
    | ServerNotice
    | UnknownMessage
)
"""Any message of a server."""

AnyMessage = ServerMessage | Gap
"""Whatever a stream yields."""

_MODELS: dict[str, type[ServerMessage]] = {
    "connection_ack": ConnectionAck,
    "scrape_progress": ScrapeProgress,
    "odds_update": OddsUpdate,
    "odds_image": OddsImage,
    "odds_change": OddsChange,
    "event_change": EventChange,
    "opportunity": OpportunityChange,
    "alert": Alert,
    "error": ServerNotice,
}


def parse_message(text: str | bytes, cursor: str | None = None) -> ServerMessage:
    """Return the message in a text. `cursor` is its cursor if the text does not have it. Raises ValueError."""
    return message_of(from_json(text), cursor)


def message_of(value: Any, cursor: str | None = None) -> ServerMessage:
    """Return a message that was read from JSON. Raises ValueError if it is none."""
    if not isinstance(value, dict):
        raise ValueError("a message is an object")
    if cursor is not None:
        value = {"id": cursor, **value}
    kind = value.get("type")
    model = _MODELS.get(kind, UnknownMessage) if isinstance(kind, str) else UnknownMessage
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{kind!r} has no such {place}: {first['msg']}") from error

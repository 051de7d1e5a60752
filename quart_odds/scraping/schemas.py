"""The progress of a scrape as listeners receive it. Names and shapes in this module are public: docs/protocol.md."""

from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunMode, RunStatus, ScrapePhase

__all__ = [
    "Platform",
    "RunMode",
    "RunStatus",
    "ScrapeErrorContext",
    "ScrapePhase",
    "ScrapeProgress",
    "SlowedBookmaker",
    "Timestamp",
]

Timestamp = Annotated[
    AwareDatetime,
    PlainSerializer(iso_z, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An aware datetime, written as `2026-11-22T10:00:00.123Z` on the wire."""


_PUBLISHED = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)
"""Every field is always sent, also one that has its default."""


class ScrapeErrorContext(BaseModel):
    """An error: its type for programs, a message for people, the platform, and whether trying again could help."""

    model_config = _PUBLISHED

    error_type: str
    error_message: str
    platform: Platform | None = None
    recoverable: bool = False


class SlowedBookmaker(BaseModel):
    """A bookmaker that gets fewer requests per second than configured, because it refuses them or answers slowly."""

    model_config = _PUBLISHED

    platform: Platform
    reason: Literal["refused", "slow"]
    requests_per_second: float
    configured_per_second: float


def progress_words(phase: ScrapePhase, current: int, total: int) -> str:
    """Return what a progress says if there is nothing particular to say: how far the run, or the platform, is."""
    match phase:
        case ScrapePhase.INITIALIZING:
            return "the run begins"
        case ScrapePhase.DISCOVERING:
            return f"{total} events found so far"
        case ScrapePhase.STORING:
            return f"the odds of {current} events are being stored"
        case ScrapePhase.FAILED:
            return f"failed after {current} of {total} events"
    return f"{current} of {total} events"


class ScrapeProgress(BaseModel):
    """One step of a run. If `platform` is None, it concerns the run as a whole. Durations are in milliseconds.

    `current` events of `total` found ones have been processed. `events_count` is cumulative, None if unknown.
    `duration_ms` is set when a platform or the run ends. `remaining_ms` is an estimate, None while there is no basis
    for one. `mode` is that of the run: a sweep publishes only its start and its end. `slowed` is set in the terminal
    progress: all bookmakers that are asked less than configured at this time, None if there are none. `message` is a
    sentence for people.
    """

    model_config = _PUBLISHED

    platform: Platform | None = None
    phase: ScrapePhase
    current: int = Field(ge=0)
    total: int = Field(ge=0)
    events_count: int | None = None
    duration_ms: int | None = None
    message: str = Field(default_factory=lambda data: progress_words(data["phase"], data["current"], data["total"]))
    timestamp: Timestamp = Field(default_factory=utc_now)
    scrape_run_id: int | None = None
    elapsed_ms: int | None = None
    remaining_ms: int | None = None
    error: ScrapeErrorContext | None = None
    mode: RunMode = RunMode.FULL
    slowed: tuple[SlowedBookmaker, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_words(cls, given: Any) -> Any:
        """Replace null as a message by the default: earlier releases send it."""
        if isinstance(given, dict) and given.get("message", "") is None:
            return {name: value for name, value in given.items() if name != "message"}
        return given

    @property
    def is_terminal(self) -> bool:
        """Whether this is the last progress of its run: the run as a whole, not only a platform, has ended."""
        return self.platform is None and self.phase.is_final

    def with_run(self, scrape_run_id: int, elapsed_ms: int, mode: RunMode) -> "ScrapeProgress":
        """Return the progress with the run's mode, and its id and the time since it began where they are missing."""
        return self.model_copy(
            update={
                "mode": mode,
                "scrape_run_id": self.scrape_run_id if self.scrape_run_id is not None else scrape_run_id,
                "elapsed_ms": self.elapsed_ms if self.elapsed_ms is not None else elapsed_ms,
            }
        )

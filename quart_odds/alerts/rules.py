"""Rules: what an alert is about. Each kind has a model of its own, which requests, commands and the database share."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from quart_odds.domain.catalogue import CATALOGUE, Market, Outcome, pack_key
from quart_odds.domain.opportunities import Kind
from quart_odds.domain.platforms import STORED, Platform
from quart_odds.domain.runs import RunMode
from quart_odds.errors import AlertInputError

MAX_ID = 2**31 - 1
EventId = Annotated[int, Field(gt=0, le=MAX_ID, description="the id of the event in the API")]
Bookmaker = Annotated[Platform | None, Field(description="only this bookmaker; any by default")]
Margin = Annotated[
    float,
    Field(
        ge=0,
        le=50,
        allow_inf_nan=False,
        description="how far a value has to go back across the threshold to arm the rule again, in percent",
    ),
]


class Spec(BaseModel):
    """What a rule of some kind is about."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class PriceOf(Spec):
    """A price: an outcome of a market of an event, at one bookmaker or at any. Promotions do not count."""

    event_id: EventId
    market: Annotated[str, Field(max_length=64, description="the id or the slug of a market")]
    line: Annotated[
        float | None,
        Field(allow_inf_nan=False, validate_default=True, description="required for a market that has lines"),
    ] = None
    outcome: Annotated[str, Field(max_length=64, description="the name of an outcome of the market")]
    bookmaker: Bookmaker = None
    margin_percent: Margin = 2

    @field_validator("market")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if _market(name) is None:
            close = difflib.get_close_matches(name, CATALOGUE.by_slug, n=3) or ["1x2_ft", "over_under_ft", "btts_ft"]
            raise ValueError(
                f"there is no market {name!r}; there is {', '.join(close)}, and GET /api/coverage/markets lists all"
            )
        return name

    @field_validator("line")
    @classmethod
    def _fits_the_market(cls, line: float | None, info: ValidationInfo) -> float | None:
        market = _market(info.data.get("market", ""))
        if market is None:
            return line
        if market.has_line is not (line is not None):
            raise ValueError(
                f"{market.name} has lines: give a line, such as 2.5"
                if market.has_line
                else f"{market.name} has no lines: leave out the line"
            )
        pack_key(market.number, 0, line)
        return line

    @field_validator("outcome")
    @classmethod
    def _is_of_the_market(cls, outcome: str, info: ValidationInfo) -> str:
        market = _market(info.data.get("market", ""))
        names = [] if market is None else [each.name for each in market.outcomes]
        if market is not None and outcome not in names:
            raise ValueError(f"{market.name} has no outcome {outcome!r}; it has {', '.join(names)}")
        return outcome

    @property
    def market_of(self) -> Market:
        """The market."""
        market = _market(self.market)
        assert market is not None, "the market was checked"
        return market

    @property
    def outcome_of(self) -> Outcome:
        """The outcome."""
        return next(each for each in self.market_of.outcomes if each.name == self.outcome)

    @property
    def key(self) -> int:
        """The key of the price in a cache."""
        return pack_key(self.market_of.number, self.outcome_of.index, self.line)


class PriceSpec(PriceOf):
    """A price is over, or under, a threshold."""

    kind: Literal["price"]
    over: Annotated[float | None, Field(gt=1, le=1_000_000, allow_inf_nan=False)] = None
    under: Annotated[float | None, Field(gt=1, le=1_000_000, allow_inf_nan=False)] = None

    @model_validator(mode="after")
    def _has_one_threshold(self) -> Self:
        if (self.over is None) is (self.under is None):
            raise ValueError("give one of over and under")
        return self


class MovementSpec(PriceOf):
    """A price has moved by a percentage within some time."""

    kind: Literal["movement"]
    percent: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
    within_seconds: Annotated[int, Field(ge=1, le=86_400)]
    direction: Literal["up", "down", "either"] = "either"


class EventSpec(Spec):
    """Something happens to an event: a bookmaker lists it, no longer lists it, or moves its kick-off."""

    kind: Literal["event"]
    on: Annotated[tuple[Literal["listed", "gone", "postponed"], ...], Field(min_length=1, max_length=3)]
    event_id: EventId | None = None
    search: Annotated[
        str | None, Field(min_length=3, max_length=64, description="a part of its name, such as a team")
    ] = None
    bookmaker: Bookmaker = None

    @model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if (self.event_id is None) is (self.search is None):
            raise ValueError("give one of event_id and search")
        return self


class BookmakerSpec(Spec):
    """A bookmaker fails in a run, or nothing has come from it for some time."""

    kind: Literal["bookmaker"]
    on: Annotated[tuple[Literal["failing", "stale"], ...], Field(min_length=1, max_length=2)] = ("failing", "stale")
    bookmaker: Bookmaker = None
    stale_after_seconds: Annotated[int, Field(ge=10, le=604_800)] = 900


class RunSpec(Spec):
    """A run ends in one of these ways."""

    kind: Literal["run"]
    statuses: Annotated[
        tuple[Literal["failed", "partial", "cancelled", "interrupted"], ...], Field(min_length=1, max_length=4)
    ] = ("failed", "interrupted")
    mode: Annotated[RunMode | None, Field(description="only runs of this mode; null for all")] = RunMode.FULL


class OpportunitySpec(Spec):
    """An opportunity of a kind, in any event, is worth more than a percentage of the stake.

    A middle may lose in the worst case, which is what counts, so its percentage may be negative.
    """

    kind: Literal["opportunity"]
    of: Kind
    over_percent: Annotated[float, Field(ge=-100, le=1000, allow_inf_nan=False)]
    margin_percent: Margin = 2


OfferedSpec = Annotated[
    PriceSpec | MovementSpec | EventSpec | BookmakerSpec | RunSpec | OpportunitySpec,
    Field(discriminator="kind"),
]
"""What requests and commands may ask for, and the database has."""

AnySpec = PriceSpec | MovementSpec | EventSpec | BookmakerSpec | RunSpec | OpportunitySpec


@cache
def _offered() -> TypeAdapter[AnySpec]:
    """Return what reads specs. Built when first used, because most starts need none."""
    return TypeAdapter(OfferedSpec)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. While it is not enabled, it does not fire. After it fired, a subject is silent for the cooldown."""

    id: int
    name: str
    spec: AnySpec
    target_ids: tuple[int, ...]
    is_enabled: bool
    cooldown_seconds: int
    created_at: datetime
    changed_at: datetime

    @property
    def cooldown(self) -> timedelta:
        """The cooldown."""
        return timedelta(seconds=self.cooldown_seconds)


def read_spec(text: str) -> AnySpec:
    """Read a spec as the database has it: its bookmaker may not be installed any more. Raises ValidationError."""
    return _offered().validate_json(text, context=STORED)


def offered_spec(fields: str | Mapping[str, object]) -> AnySpec:
    """Read a spec that a user gives, as JSON. Raises AlertInputError with everything that is wrong."""
    try:
        return _offered().validate_json(fields) if isinstance(fields, str) else _offered().validate_python(fields)
    except ValidationError as error:
        faults = [
            (".".join(map(str, fault["loc"][1:])), fault["msg"].removeprefix("Value error, "))
            for fault in error.errors()
        ]
        said = "; ".join(f"{field or 'it'}: {reason}" for field, reason in faults)
        raise AlertInputError("when", said, faults=faults) from None


def _market(name: str) -> Market | None:
    return CATALOGUE.by_id.get(name) or CATALOGUE.by_slug.get(name)

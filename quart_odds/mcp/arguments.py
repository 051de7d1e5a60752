"""What the tools take. The schemas that clients show to models are made from these."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunStatus

Bookmakers = Annotated[
    list[Platform], Field(max_length=len(Platform), description="only these bookmakers, as if there were no others")
]
Moment = Annotated[AwareDatetime | None, Field(description="with an offset, such as 2026-11-22T10:00:00Z")]
Id = Annotated[int, Field(ge=1, le=2**31 - 1)]
Page = Annotated[int, Field(ge=1, le=1_000_000, description="which page, from 1")]


class Arguments(BaseModel):
    """The arguments of a tool. Unknown names are refused: a filter that does nothing would mislead."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def parameters(self, *names: str) -> dict[str, str]:
        """Return these arguments as parameters of the API, without those that are not set."""
        values = {name: getattr(self, name) for name in names}
        return {name: _text(value) for name, value in values.items() if value is not None and value != []}


class EventsArguments(Arguments):
    """Which events to list."""

    search: Annotated[
        str | None, Field(max_length=200, description="words in the names of teams, tournament or country")
    ] = None
    competition: Annotated[str | None, Field(max_length=200, description="words in the tournament's name")] = None
    country: Annotated[str | None, Field(max_length=200, description="the whole name of a country")] = None
    tournament_id: Annotated[int | None, Field(ge=1, le=2**31 - 1, description="from list_competitions")] = None
    kickoff_from: Moment = None
    kickoff_to: Moment = None
    bookmakers: Bookmakers = []
    min_bookmakers: Annotated[int, Field(ge=1, le=len(Platform), description="listed by at least so many")] = 1
    include_started: Annotated[bool, Field(description="also events that have kicked off")] = False
    sort: Annotated[
        Literal["kickoff", "-kickoff", "name", "tournament", "changed", "bookmakers"],
        Field(description="changed: those that changed last come first; bookmakers: those with most come first"),
    ] = "kickoff"
    page: Page = 1
    page_size: Annotated[int, Field(ge=1, le=50, description="events on a page")] = 20


class CompetitionsArguments(Arguments):
    """Which competitions to list."""

    search: Annotated[str | None, Field(max_length=200, description="words in the name or the country")] = None
    include_started: Annotated[bool, Field(description="also count events that have kicked off")] = False
    page: Page = 1
    page_size: Annotated[int, Field(ge=1, le=100, description="competitions on a page")] = 50


class EventOddsArguments(Arguments):
    """Which odds of an event to return."""

    event_id: Id
    market: Annotated[
        str | None,
        Field(max_length=100, description="a market's id, slug such as over_under_ft, or words in its name"),
    ] = None
    line: Annotated[
        float | None, Field(allow_inf_nan=False, description="only this total or handicap, such as 2.5")
    ] = None
    bookmakers: Bookmakers = []
    page: Page = 1
    page_size: Annotated[int, Field(ge=1, le=30, description="markets and lines on a page")] = 10


class HistoryArguments(Arguments):
    """Which history of an event's odds to return."""

    event_id: Id
    market: Annotated[str, Field(max_length=100, description="a market's id such as 3743, or slug such as 1x2_ft")]
    line: Annotated[
        float | None, Field(allow_inf_nan=False, description="the total or handicap; required if the market has lines")
    ] = None
    bookmaker: Annotated[Platform | None, Field(description="only this bookmaker")] = None
    since: Moment = None
    until: Moment = None
    most_points: Annotated[int, Field(ge=1, le=500, description="the latest so many changes at each bookmaker")] = 50


class OpportunitiesArguments(Arguments):
    """Which opportunities to list."""

    kind: Annotated[
        Literal["arbitrage", "value", "middle", "all"],
        Field(description="arbitrage: a gain for certain; value: above fair odds; middle: both bets may win"),
    ] = "arbitrage"
    min_margin: Annotated[
        float | None, Field(ge=0, le=1e6, allow_inf_nan=False, description="least worth, in percent of the stake")
    ] = None
    max_age_seconds: Annotated[
        float | None, Field(gt=0, le=1e9, allow_inf_nan=False, description="age of the oldest price, at most")
    ] = None
    bookmakers: Annotated[
        list[Platform], Field(max_length=len(Platform), description="back prices of these bookmakers alone")
    ] = []
    suspicious: Annotated[bool, Field(description="those listed apart instead: not credible, with the reasons")] = False
    include_started: Annotated[bool, Field(description="also events that have kicked off")] = False
    page: Page = 1
    page_size: Annotated[int, Field(ge=1, le=50, description="opportunities on a page")] = 10


class FreshnessArguments(Arguments):
    """Nothing."""


class RunsArguments(Arguments):
    """Which runs to list."""

    mode: Annotated[
        Literal["full", "sweep", "all"], Field(description="full runs, sweeps (which read lists only), or both")
    ] = "full"
    status: RunStatus | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 10
    offset: Annotated[int, Field(ge=0, le=1_000_000_000, description="how many of the newest to leave out")] = 0


class RunArguments(Arguments):
    """Which run."""

    run_id: Id


def _text(value: object) -> str:
    """Return a value as a parameter of the API has it."""
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return ",".join(map(str, value))
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)

"""The query of an export: which rows, of which events, in which format. The command line takes the same."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator

from quart_odds.domain.opportunities import Kind as OpportunityKind
from quart_odds.domain.platforms import Platform
from quart_odds.export.columns import Wanted
from quart_odds.export.formats import FORMATS, Format
from quart_odds.export.kinds import KINDS, Kind
from quart_odds.odds.competitions import Competitions
from quart_odds.odds.event import CachedEvent
from quart_odds.routes.access.problems import MESSAGES
from quart_odds.routes.api.markets import known_market
from quart_odds.routes.api.query import EventsChoice, EventsSelection, Id, event_filters

KindName = Literal["current", "history", "opportunities"]
FormatName = Literal["csv", "jsonl", "parquet"]


class ExportQuery(EventsSelection):
    """Which rows to export, of which events, and in which format."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Annotated[
        KindName,
        Field(
            description="current: each price as it is; history: each change of a price; "
            "opportunities: each price to back"
        ),
    ] = "current"
    format: FormatName = "csv"
    event_id: Annotated[
        list[Id], Field(max_length=500, description="only these events, also if they have kicked off")
    ] = []  # noqa: RUF012 - pydantic copies it
    bookmaker: Annotated[list[Platform], Field(max_length=500, description="only prices of these bookmakers")] = []  # noqa: RUF012
    market: Annotated[
        list[str], Field(max_length=500, description="only prices of these markets, by id, such as 3743, or slug")
    ] = []  # noqa: RUF012

    @field_validator("market")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            if known_market(name) is None:
                raise ValueError(f"there is no market {name!r}")
        return names

    @property
    def row_kind(self) -> Kind:
        """The kind of rows."""
        return KINDS[self.kind]

    @property
    def shape(self) -> Format:
        """The format."""
        return FORMATS[self.format]

    def wanted(self, max_age: timedelta) -> Wanted:
        """Return whose prices are exported, of which markets. Opportunities rest on prices of at most this age."""
        numbers = {market.number for name in self.market if (market := known_market(name)) is not None}
        return Wanted(frozenset(self.bookmaker) or None, frozenset(numbers) or None, max_age)

    @property
    def has_started(self) -> bool:
        """Whether events that have kicked off are exported. Those that are named by their ids are."""
        return self.include_started or bool(self.event_id)

    def kickoff_range(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """Return the first and the last kick-off."""
        first = self.kickoff_from
        if not self.has_started:
            first = now if first is None else max(first, now)
        return first, self.kickoff_to

    def filter(
        self, now: datetime, epoch: str | None = None, competitions: Callable[[], Competitions] | None = None
    ) -> Callable[[CachedEvent], bool]:
        """Return what tells whether the query selects an event. For `epoch` and `competitions` see `event_filters`."""
        first, last = self.kickoff_range(now)
        ids = frozenset(self.event_id)
        filters = event_filters(self, epoch, competitions)

        def is_selected(event: CachedEvent) -> bool:
            kickoff = event.header.kickoff
            return (
                (not ids or event.id in ids)
                and (first is None or first <= kickoff)
                and (last is None or kickoff <= last)
                and (self.has_started or kickoff > now)
                and all(is_wanted(event) for is_wanted in filters)
            )

        return is_selected


class ServedExportQuery(ExportQuery, EventsChoice):
    """What a server can be asked for besides: the same choice of events and prices as a page of odds has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: Annotated[
        list[float], Field(max_length=100, description="only prices with these lines, and of markets without lines")
    ] = []  # noqa: RUF012
    opportunity: Annotated[
        list[OpportunityKind], Field(max_length=10, description="only opportunities of these kinds")
    ] = []  # noqa: RUF012
    min_margin: Annotated[
        float | None, Field(ge=0, allow_inf_nan=False, description="least worth of opportunities, in percent")
    ] = None
    suspicious: Annotated[
        bool | None, Field(description="false: no opportunity that should not be believed; true: only those")
    ] = None
    max_age_seconds: Annotated[
        float | None,
        Field(gt=0, le=10**9, allow_inf_nan=False, description="how old a price may be that an opportunity rests on"),
    ] = None

    def wanted(self, max_age: timedelta) -> Wanted:
        """Return whose prices are exported, of which markets and lines."""
        wanted = super().wanted(max_age)
        platforms = wanted.platforms
        if self.bookmakers:
            platforms = frozenset(each for each in self.bookmakers if platforms is None or each in platforms)
        age = wanted.max_age if self.max_age_seconds is None else timedelta(seconds=self.max_age_seconds)
        return replace(
            wanted,
            platforms=platforms,
            lines=frozenset(self.line) or None,
            max_age=age,
            kinds=frozenset(self.opportunity) or None,
            min_margin=self.min_margin,
            is_suspicious=self.suspicious,
        )

    def filter(
        self, now: datetime, epoch: str | None = None, competitions: Callable[[], Competitions] | None = None
    ) -> Callable[[CachedEvent], bool]:
        """Return what tells whether the query selects an event, as `chosen_events` does."""
        is_wanted = super().filter(now, epoch, competitions)

        def is_selected(event: CachedEvent) -> bool:
            return is_wanted(event) and self.is_chosen(self.narrowed(event))

        return is_selected


def first_fault(error: ValidationError) -> tuple[str, str]:
    """Return the name of the first field that is wrong, and what is wrong with it."""
    fault = error.errors()[0]
    return str(fault["loc"][0]), MESSAGES.get(fault["type"], fault["msg"].removeprefix("Value error, "))

"""Bookmakers that replay a recording: recorded answers unchanged, missing lists generated from the rest."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.replay.recorded import Recorded, Recording
from quart_odds.sandbox.sites.answers import (
    Answer,
    Ask,
    ListedCompetition,
    ListedEvent,
    Markets,
    Shelf,
    Site,
    not_found,
)
from quart_odds.sandbox.sites.betking_event import MAIN_TYPES
from quart_odds.sandbox.world import stand_ins

Body = Mapping[str, object]


class RecordedShelf:
    """The events of a recording: those with a recorded detail, and those named in a recorded list."""

    def __init__(self, platform: Platform, recording: Recording, *, without: frozenset[str] = frozenset()) -> None:
        self.platform = platform
        self._recording = recording
        self._without = without

    def listed(self) -> Sequence[ListedEvent]:
        """Return all events that had not started when they were recorded."""
        return self._listed

    def detail(self, ask: Ask, external_id: str) -> Answer | None:
        """Return None, because recorded details are answered before this is called."""
        return None

    def untouched_detail(self, external_id: str) -> Answer | None:
        """Return None, like `detail`."""
        return None

    def ids_of(self, external_id: str) -> tuple[str, ...]:
        """Return the event's id. Its SportRadar id is only in its body."""
        return (external_id, external_id.removeprefix("sr:match:"))

    @property
    def first_event(self) -> str | None:
        """The first event with a recorded detail."""
        details = _READERS[self.platform][0](self._recording)
        return next((event.external_id for event in details), None)

    @cached_property
    def _listed(self) -> tuple[ListedEvent, ...]:
        details, lists = _READERS[self.platform]
        events = {event.external_id: event for read in (lists, details) for event in read(self._recording)}
        return tuple(event for event in events.values() if event.external_id not in self._without)


class ReplayedSite:
    """A bookmaker that replays a recording. It refuses like the real one and knows nothing outside the recording."""

    def __init__(self, platform: Platform, recording: Recording, open_site: Callable[[Platform, Shelf], Site]) -> None:
        self.platform = platform
        self.shelf: Shelf = RecordedShelf(platform, recording)
        self._recording = recording
        self._open_site = open_site
        self._site = open_site(platform, self.shelf)

    def event_of(self, ask: Ask) -> str | None:
        """See Site."""
        return self._site.event_of(ask)

    def page_of(self, ask: Ask) -> int | None:
        """See Site."""
        return self._site.page_of(ask)

    def refuse(self, ask: Ask) -> Answer | None:
        """See Site."""
        return self._site.refuse(ask)

    def answer(self, ask: Ask) -> Answer:
        """Return the recorded answer, else a list generated from the recording, else 404.

        A recorded refusal of a list is ignored.
        """
        is_event = self.event_of(ask) is not None
        recorded = self._recording.find(self.platform, ask)
        if recorded is not None and (is_event or recorded.status == 200):
            return recorded.answer()
        if is_event:
            return not_found()
        pages = self._recorded_pages(ask)
        return self._rest_of_pages(ask, pages) if pages else self._site.answer(ask)

    def _recorded_pages(self, ask: Ask) -> list[Recorded]:
        """Return the recorded pages of the requested list that have the same page size."""
        if not ask.path.endswith("/pcUpcomingEvents"):
            return []
        pages = self._recording.of(self.platform, "/pcUpcomingEvents")
        return [page for page in pages if page.query.get("pageSize") == ask.query.get("pageSize")]

    def _rest_of_pages(self, ask: Ask, pages: list[Recorded]) -> Answer:
        """Answer a page that was not recorded with the events that are on no recorded page."""
        numbers = {int(page.query.get("pageNum", 1)) for page in pages}
        seen = frozenset(event.external_id for page in pages for event in _sportybet_listed([page]))
        number = int(ask.query.get("pageNum", 1))
        rest = self._open_site(self.platform, RecordedShelf(self.platform, self._recording, without=seen))
        number -= sum(recorded < number for recorded in numbers)
        return rest.answer(replace(ask, query={**ask.query, "pageNum": str(number)}))


# How the events are found in each bookmaker's recorded bodies


def _betpawa_details(recording: Recording) -> Iterator[ListedEvent]:
    for entry in recording.of(stand_ins.BETPAWA, "/events/"):
        if re.search(r"/events/\d+$", entry.path):
            yield from _betpawa_event(entry.value(), is_detail=True)


def _betpawa_lists(recording: Recording) -> Iterator[ListedEvent]:
    for entry in recording.of(stand_ins.BETPAWA, "/events/lists/"):
        for answers in _list(_object(entry.value()).get("responses")):
            for event in _list(_object(answers).get("responses")):
                yield from _betpawa_event(event)


def _betpawa_event(value: object, *, is_detail: bool = False) -> Iterator[ListedEvent]:
    event = _object(value)
    competition, region = _object(event.get("competition")), _object(event.get("region"))
    is_live = bool(event.get("results")) or _object(event.get("additionalInfo")).get("live") is True
    if not event.get("id") or not competition.get("id") or is_live:
        return
    where = _competition(competition.get("id"), competition.get("name"), region.get("id"), region.get("name"))

    def write(markets: Markets) -> Body:
        rows = _list(event.get("markets"))
        if markets is None:
            return event
        kept = [market for market in rows if _object(_object(market).get("marketType")).get("id") in markets]
        return {**event, "markets": kept}

    yield ListedEvent(where, str(event["id"]), write, lambda: is_detail)


def _sportybet_details(recording: Recording) -> Iterator[ListedEvent]:
    for entry in recording.of(stand_ins.SPORTYBET, "/factsCenter/event"):
        yield from _sportybet_event(_object(entry.value()).get("data"))


def _sportybet_lists(recording: Recording) -> Iterator[ListedEvent]:
    for name in ("/pcEvents", "/pcUpcomingEvents"):
        yield from _sportybet_listed(recording.of(stand_ins.SPORTYBET, name))


def _sportybet_listed(entries: Iterable[Recorded]) -> Iterator[ListedEvent]:
    for entry in entries:
        data = _object(entry.value()).get("data")
        for tournament in _list(data if isinstance(data, list) else _object(data).get("tournaments")):
            for event in _list(_object(tournament).get("events")):
                yield from _sportybet_event(event)


def _sportybet_event(value: object) -> Iterator[ListedEvent]:
    event = _object(value)
    category = _object(_object(event.get("sport")).get("category"))
    tournament = _object(category.get("tournament"))
    if not event.get("eventId") or not tournament.get("id") or event.get("status") != 0:
        return
    where = _competition(tournament.get("id"), tournament.get("name"), category.get("id"), category.get("name"))

    def write(markets: Markets) -> Body:
        rows = _list(event.get("markets"))
        return {**event, "markets": [m for m in rows if markets is None or _object(m).get("id") in markets]}

    yield ListedEvent(where, str(event["eventId"]), write, lambda: None)


def _bet9ja_details(recording: Recording) -> Iterator[ListedEvent]:
    for entry in recording.of(stand_ins.BET9JA, "/PalimpsestAjax/GetEvent"):
        if entry.path.endswith("/GetEvent"):
            yield from _bet9ja_event(_object(entry.value()).get("D"))


def _bet9ja_lists(recording: Recording) -> Iterator[ListedEvent]:
    for entry in recording.of(stand_ins.BET9JA, "/PalimpsestAjax/GetEventsInGroup"):
        for event in _list(_object(_object(entry.value()).get("D")).get("E")):
            yield from _bet9ja_event(event)


def _bet9ja_event(value: object) -> Iterator[ListedEvent]:
    event = _object(value)
    if not event.get("ID") or not event.get("GID"):
        return
    where = _competition(event.get("GID"), event.get("GN"), event.get("SGID"), event.get("SG"))
    listed = {name: member for name, member in event.items() if name not in ("MK", "CATMARKET", "TRANS", "O", "AUX")}
    main = ("S_1X2_", "S_DC_", "S_OU@", "S_1X21_", "S_1X22_")
    prices = {key: odds for key, odds in _object(event.get("O")).items() if key.startswith(main)}
    listed |= {"SPORT": event.get("SPORT", event.get("S")), "O": prices}
    yield ListedEvent(where, str(event["ID"]), lambda _: listed, lambda: None)


def _msport_details(recording: Recording) -> Iterator[ListedEvent]:
    for entry in recording.of(stand_ins.MSPORT, "/match/detail"):
        event = _object(_object(entry.value()).get("data"))
        yield from _msport_event(event, event)


def _msport_lists(recording: Recording) -> Iterator[ListedEvent]:
    for entry in recording.of(stand_ins.MSPORT, "/sports-matches-list"):
        for value in _list(_object(_object(entry.value()).get("data")).get("tournaments")):
            tournament = _object(value)
            for event in _list(tournament.get("events")):
                yield from _msport_event(_object(event), tournament)


def _msport_event(event: Body, tournament: Body) -> Iterator[ListedEvent]:
    """Yield an event that has not started. In a list, only some events say whether they have."""
    if not event.get("eventId") or not tournament.get("tournamentId") or event.get("status") not in (0, None):
        return
    country = tournament.get("category")
    where = _competition(tournament.get("tournamentId"), tournament.get("tournament"), country, country)
    listed = {name: event.get(name) for name in ("eventId", "homeTeam", "awayTeam", "startTime")}
    yield ListedEvent(where, str(event["eventId"]), lambda _: listed, lambda: None)


def _betking_details(recording: Recording) -> Iterator[ListedEvent]:
    for entry in recording.of(stand_ins.BETKING, "/prematch/event/"):
        copies = [*_betking_items(entry)]
        yield from _betking_event(copies)


def _betking_lists(recording: Recording) -> Iterator[ListedEvent]:
    for entry in recording.of(stand_ins.BETKING, "/prematch/GetEvents/"):
        for item in _betking_items(entry):
            yield from _betking_event([item])


def _betking_items(entry: Recorded) -> Iterator[Body]:
    for area in _list(_object(entry.value()).get("AreaMatches")):
        yield from map(_object, _list(_object(area).get("Items")))


def _betking_event(copies: Sequence[Body]) -> Iterator[ListedEvent]:
    """Yield an event, given all copies of it: a list has a single one, with the odds of the main markets."""
    event = copies[0] if copies else {}
    if not event.get("ItemID") or not event.get("TournamentId"):
        return
    where = _competition(*(event.get(f"{of}{name}") for of in ("Tournament", "Category") for name in ("Id", "Name")))
    odds = [odds for copy in copies for odds in _list(copy.get("OddsCollection"))]
    main = [each for each in odds if str(_object(_object(each).get("OddsType")).get("OddsTypeID")) in MAIN_TYPES]
    listed = {**event, "OddsCollection": main}
    yield ListedEvent(where, str(event["ItemID"]), lambda _: listed, lambda: None, _time(event.get("ItemDate")))


_Reader = Callable[[Recording], Iterator[ListedEvent]]
_READERS: Mapping[Platform, tuple[_Reader, _Reader]] = {
    stand_ins.BETPAWA: (_betpawa_details, _betpawa_lists),
    stand_ins.SPORTYBET: (_sportybet_details, _sportybet_lists),
    stand_ins.BET9JA: (_bet9ja_details, _bet9ja_lists),
    stand_ins.MSPORT: (_msport_details, _msport_lists),
    stand_ins.BETKING: (_betking_details, _betking_lists),
}


def _competition(id_: object, name: object, country_id: object, country: object) -> ListedCompetition:
    return ListedCompetition(str(id_), str(name), str(country_id), str(country))


def _time(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []

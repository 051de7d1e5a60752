"""A stand-in for Bet9ja's PalimpsestAjax: the tree of groups, the events of a group, and single events."""

import orjson

from quart_odds.sandbox.sites.answers import (
    Answer,
    Ask,
    Shelf,
    json_answer,
    not_found,
    page_of_competition,
    refused,
)
from quart_odds.sandbox.world import stand_ins

_PATH = "/desktop/feapi/PalimpsestAjax/"
_GROUPS = (f"{_PATH}GetEventsInGroupV2", f"{_PATH}GetEventsInGroup")


class Bet9jaSite:
    """Bet9ja: an envelope with R and D around all answers. Its CDN refuses requests without a Referer."""

    platform = stand_ins.BET9JA

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def event_of(self, ask: Ask) -> str | None:
        """Return the query's EVENTID."""
        return ask.query.get("EVENTID") if ask.path == f"{_PATH}GetEvent" else None

    def page_of(self, ask: Ask) -> int | None:
        """Return 2 for the group of the first event, 1 for other groups, None for the tree."""
        return page_of_competition(self.shelf, (ask.query.get("GROUPID", ""),)) if ask.path in _GROUPS else None

    def refuse(self, ask: Ask) -> Answer | None:
        """Refuse requests without a Referer with the CDN's page."""
        return None if ask.headers.get("referer") else refused()

    def answer(self, ask: Ask) -> Answer:
        """Answer one of the three paths, or 404."""
        if ask.method != "GET" or not ask.path.startswith(_PATH):
            return not_found()
        match ask.path.removeprefix(_PATH):
            case "GetSports":
                return self._sports()
            case "GetEventsInGroupV2" | "GetEventsInGroup":
                return self._group(ask)
            case "GetEvent":
                return self.shelf.detail(ask, ask.query.get("EVENTID", "")) or json_answer(envelope(None, "E"))
        return not_found()

    def _sports(self) -> Answer:
        countries: dict[str, dict[str, object]] = {}
        groups: dict[str, dict[str, dict[str, object]]] = {}
        listed = self.shelf.listed()
        for event in listed:
            competition = event.competition
            of_country = groups.setdefault(competition.country_id, {})
            group = of_country.setdefault(competition.id, {"G_DESC": competition.name, "NUM": 0})
            number = group["NUM"]
            assert isinstance(number, int)
            group["NUM"] = number + 1
            countries[competition.country_id] = {"SG_DESC": competition.country, "G": of_country}
        soccer = {"S_DESC": "Soccer", "NUM": len(listed), "SG": countries}
        return json_answer(envelope({"PAL": {"1": soccer, "2": {"S_DESC": "Tennis", "NUM": 0, "SG": {}}}}))

    def _group(self, ask: Ask) -> Answer:
        """Answer all events of a group at once. An unknown group has none."""
        group = ask.query.get("GROUPID", "")
        found = [event for event in self.shelf.listed() if event.competition.id == group]

        def write() -> bytes:
            data: dict[str, object] = {"E": [event.write(None) for event in found]}
            if found:
                competition = found[0].competition
                data |= {"GID": int(group), "GN": competition.name, "SG": competition.country}
            return orjson.dumps(envelope(data))

        return Answer(write, key=group, version=tuple(event.version() for event in found))


def envelope(data: object, result: str = "OK") -> dict[str, object]:
    """Wrap data in Bet9ja's envelope."""
    return {"R": result, "D": data}

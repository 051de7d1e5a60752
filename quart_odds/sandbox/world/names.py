"""Countries, their towns and the forms of club names, from which the sandbox makes leagues and teams."""

from functools import cache
from importlib.resources import files

LEAGUES = ("Premier League", "First Division", "League Cup", "U21 League", "Second Division")
FORMS = ("FC", "United", "City", "Athletic", "Rovers", "SC", "Sporting", "Town", "AFC", "Wanderers")

FRIENDLIES = ("International Clubs", "Club Friendly Games")
"""Country and name of the competition that holds more events than a page of BetPawa's."""


@cache
def places() -> dict[str, tuple[str, ...]]:
    """Two dozen countries, fourteen towns of each, as data/places.csv has them."""
    text = (files("quart_odds.sandbox") / "data" / "places.csv").read_text(encoding="utf-8")
    rows = [line.partition(",") for line in text.splitlines()[1:]]
    return {country: tuple(towns.split(" | ")) for country, _, towns in rows}

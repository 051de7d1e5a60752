"""Countries, towns and forms of club names, from which leagues and teams are generated."""

from functools import cache
from importlib.resources import files

LEAGUES = (
    "Premier League",
    "First Division",
    "League Cup",
    "U21 League",
    "Second Division",
    "Women's League",
    "Third Division",
    "Reserve League",
)
SUFFIXES = {"U21 League": " U21", "Women's League": " Women", "Reserve League": " Reserves"}
"""What is added to the names of a league's clubs."""
FORMS = ("FC", "United", "City", "Athletic", "Rovers", "SC", "Sporting", "Town", "AFC", "Wanderers")

FRIENDLIES = ("International Clubs", "Club Friendly Games")
"""Country and name of the competition with more events than fit on one page of BetPawa."""


@cache
def places() -> dict[str, tuple[str, ...]]:
    """Return two dozen countries with fourteen towns each, from data/places.csv."""
    text = (files("quart_odds.sandbox") / "data" / "places.csv").read_text(encoding="utf-8")
    rows = [line.partition(",") for line in text.splitlines()[1:]]
    return {country: tuple(towns.split(" | ")) for country, _, towns in rows}

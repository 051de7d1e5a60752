"""The three supported bookmakers."""

from enum import StrEnum


class Platform(StrEnum):
    """A bookmaker. Its value is the slug used on the wire, in the database and in settings."""

    BETPAWA = "betpawa"
    SPORTYBET = "sportybet"
    BET9JA = "bet9ja"

    @property
    def display_name(self) -> str:
        """The name shown to people: BetPawa, SportyBet, Bet9ja."""
        return _DISPLAY_NAMES[self]


_DISPLAY_NAMES = {Platform.BETPAWA: "BetPawa", Platform.SPORTYBET: "SportyBet", Platform.BET9JA: "Bet9ja"}

"""The bookmakers that the sandbox stands in for. Others may be installed."""

from quart_odds.domain.platforms import Platform

BETPAWA, SPORTYBET, BET9JA = map(Platform.of, ("betpawa", "sportybet", "bet9ja"))

STAND_INS = (BETPAWA, SPORTYBET, BET9JA)


def no_stand_in(platform: Platform) -> ValueError:
    """Return the error for a bookmaker whose format the sandbox does not know."""
    return ValueError(f"the sandbox has no stand-in for {platform}")

"""The bookmakers that the sandbox stands in for. Others may be installed, and some of these may be not."""

from quart_odds.domain.platforms import Platform

BETPAWA, SPORTYBET, BET9JA, MSPORT, BETKING = map(Platform.of, ("betpawa", "sportybet", "bet9ja", "msport", "betking"))

FIRST_THREE = (BETPAWA, SPORTYBET, BET9JA)
"""The bookmakers whose events are drawn by chance. Which events the others list follows from these."""

STAND_INS = (*FIRST_THREE, MSPORT, BETKING)


def no_stand_in(platform: Platform) -> ValueError:
    """Return the error for a bookmaker whose format the sandbox does not know."""
    return ValueError(f"the sandbox has no stand-in for {platform}")

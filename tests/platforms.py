"""The bookmakers that tests name."""

from quart_odds.domain.platforms import Platform

FIRST_THREE = (Platform.BETPAWA, Platform.SPORTYBET, Platform.BET9JA)
"""Enough for most tests: what matters to them is the same with more, and takes longer."""

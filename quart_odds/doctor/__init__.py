"""Checks of what a server needs before it starts, for `quart-odds doctor`. They read and never write."""

from quart_odds.doctor.examination import Examination
from quart_odds.doctor.findings import Finding, Status

__all__ = ["Examination", "Finding", "Status"]

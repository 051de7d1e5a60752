"""What a check finds: whether it is as it should be, and what to do if it is not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """How a finding is. A server with warnings starts, and may run into trouble."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `check` names it, such as `database.disk`. No text contains a password.

    `advice` says what to do, None if there is nothing to do. `facts` are figures for programs, with units in the names.
    """

    check: str
    status: Status
    detail: str
    advice: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


def ok(check: str, detail: str, **facts: object) -> Finding:
    """Return a finding that is as it should be."""
    return Finding(check, Status.OK, detail, None, facts)


def warning(check: str, detail: str, advice: str, **facts: object) -> Finding:
    """Return a finding that may lead to trouble."""
    return Finding(check, Status.WARNING, detail, advice, facts)


def failed(check: str, detail: str, advice: str, **facts: object) -> Finding:
    """Return a finding with which a server does not work."""
    return Finding(check, Status.FAILED, detail, advice, facts)

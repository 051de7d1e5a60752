"""Faster pickling of the values that go to the decoding processes and come back."""

from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)


def pickled_by_fields(cls: Class) -> Class:
    """Let a frozen dataclass with slots, and at least two fields, be pickled as a call of its class.

    The pickling that dataclasses bring looks its fields up each time, which took a fifth of the time of a body.
    """
    values = attrgetter(*[each.name for each in fields(cls)])

    def reduce(self: object) -> tuple[Any, ...]:
        return cls, values(self)

    cls.__reduce__ = reduce  # type: ignore[assignment]
    return cls

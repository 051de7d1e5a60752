"""Retained values: the newest of each key, in groups, of which those that ended longest ago are dropped."""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Value = TypeVar("Value")
Key = tuple[Hashable, Hashable]
"""The group and the member."""

KEEP_ENDED = 32
"""How many groups are kept after their end."""


class Retained(Generic[Value]):
    """The newest value of each member of each group."""

    def __init__(self, keep_ended: int = KEEP_ENDED) -> None:
        self._keep_ended = keep_ended
        self._groups: dict[Hashable, dict[Hashable, Value]] = {}
        self._ended: dict[Hashable, Hashable] = {}
        """The groups that have ended, and the members that ended them."""

    def put(self, key: Key, value: Value, *, ends: bool) -> list[Key]:
        """Put the newest value of a key, which may end its group. Return the keys that are dropped for that."""
        group, member = key
        self._groups.setdefault(group, {})[member] = value
        dropped: list[Key] = []
        if ends:
            self._ended[group] = member
            while len(self._ended) > self._keep_ended:
                oldest = next(iter(self._ended))
                del self._ended[oldest]
                dropped += [(oldest, each) for each in self._groups.pop(oldest)]
        return dropped

    def has_ended(self, group: Hashable) -> bool:
        """Return whether a group has ended."""
        return group in self._ended

    def is_end(self, key: Key) -> bool:
        """Return whether a key ended its group."""
        group, member = key
        return group in self._ended and self._ended[group] == member

    def __iter__(self) -> Iterator[tuple[Key, Value]]:
        """Iterate over all keys and their values, group by group."""
        for group, members in self._groups.items():
            for member, value in members.items():
                yield (group, member), value

"""What has happened to a listener besides deliveries: which selections it had before, and which entries it missed.

Nothing is kept for a listener to whom neither has happened, and only the newest of it for others. So a process can tell
what became of a message without keeping a record of each delivery.
"""

from quart_odds.broadcast.selection import Selection

MOST_KEPT = 16
"""How many former selections, and how many gaps, are kept."""


class Trail:
    """Former selections and gaps of one listener, in the order of the log. They are all here from `known_from` on."""

    __slots__ = ("_former", "_gaps", "known_from")

    def __init__(self) -> None:
        self.known_from = 0
        self._former: list[tuple[int, Selection]] = []
        self._gaps: list[tuple[int, int]] = []

    def note_selection(self, seq: int, former: Selection) -> None:
        """Note that from the entry `seq` on another selection applies than the former one."""
        self._former.append((seq, former))
        if len(self._former) > MOST_KEPT:
            self.known_from = max(self.known_from, self._former.pop(0)[0])

    def note_gap(self, start: int, stop: int) -> None:
        """Note that the listener missed what it wanted from `start` up to, but not including, `stop`."""
        self._gaps.append((start, stop))
        if len(self._gaps) > MOST_KEPT:
            self.known_from = max(self.known_from, self._gaps.pop(0)[1])

    def selection_at(self, seq: int, current: Selection) -> Selection:
        """Return the selection that applied to an entry; `current` is that of now."""
        return next((former for until, former in self._former if seq < until), current)

    def is_missed(self, seq: int) -> bool:
        """Return whether an entry is in a gap."""
        return any(start <= seq < stop for start, stop in self._gaps)

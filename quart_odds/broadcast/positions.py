"""Where in the log the entries of a topic or about a subject are. They are found and counted without a search."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence

_MARK_BITS = 8
_MARK_MASK = (1 << _MARK_BITS) - 1


def code_of(seq: int, mark: int) -> int:
    """Return an entry's sequence number and mark as one number."""
    return seq << _MARK_BITS | mark


class Positions:
    """Sequence numbers in ascending order, each with a mark from 0 to 255. All from `known_from` on are there."""

    __slots__ = ("_codes", "gone", "known_from")

    def __init__(self, known_from: int = 0) -> None:
        self.known_from = known_from
        self.gone = 0
        """How many of them are of entries that are no longer in the log."""
        self._codes = array("Q")

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def last(self) -> int:
        """The last sequence number; 0 if there is none."""
        return self._codes[-1] >> _MARK_BITS if self._codes else 0

    def add(self, seq: int) -> None:
        """Add an entry that is newer than all others, with the mark 0."""
        self._codes.append(seq << _MARK_BITS)

    def add_code(self, code: int) -> None:
        """Add the code of an entry that is newer than all others."""
        self._codes.append(code)

    def count(self, start: int, stop: int) -> int | None:
        """Return how many there are from `start` up to, but not including, `stop`; None if that is unknown."""
        if start < self.known_from:
            return None
        return self._place(stop) - self._place(start)

    def between(self, start: int, stop: int) -> Sequence[int]:
        """Return the sequence numbers from `start` up to, but not including, `stop`, as far as they are known."""
        return [code >> _MARK_BITS for code in self._codes[self._place(start) : self._place(stop)]]

    def marks(self, start: int, stop: int) -> dict[int, int]:
        """Return the same with the mark of each."""
        codes = self._codes[self._place(start) : self._place(stop)]
        return {code >> _MARK_BITS: code & _MARK_MASK for code in codes}

    def drop_oldest(self, count: int) -> int:
        """Forget this many, and return the sequence number from which on all are known."""
        self.known_from = (self._codes[count - 1] >> _MARK_BITS) + 1
        del self._codes[:count]
        self.gone -= count
        return self.known_from

    def drop_before(self, seq: int) -> None:
        """Forget those below `seq`."""
        del self._codes[: self._place(seq)]
        self.known_from = max(self.known_from, seq)

    def _place(self, seq: int) -> int:
        return bisect_left(self._codes, seq << _MARK_BITS)

"""What a log knows of one topic: where its entries are, and those about each subject, also after they were evicted."""

from collections.abc import Collection

from quart_odds.broadcast.content import Content, Subject
from quart_odds.broadcast.positions import Positions, code_of

MOST_REMEMBERED = 131_072
"""Evicted entries per topic whose positions are remembered: 1 MB, enough for days of scrape progress."""

FEW_ENTRIES = 32
"""So many entries are looked at one by one. Where there are more, those about a subject are looked up."""


class LogTopic:
    """The positions of a topic's entries. `broken_before` is the sequence number before which nobody can resume."""

    def __init__(self) -> None:
        self.all = Positions()
        self.has_contents = False
        self.broken_before = 0
        self._subjects: dict[Subject, Positions] = {}

    def add_content(self, seq: int, content: Content) -> None:
        """Add an entry that has a content."""
        self.has_contents = True
        code = code_of(seq, content.mark)
        self.all.add_code(code)
        for subject in content.subjects:
            positions = self._subjects.get(subject)
            if positions is None:
                positions = self._subjects[subject] = Positions()
            positions.add_code(code)

    def note_evicted(self) -> None:
        """Count the oldest entry as evicted. If too many are remembered, half of them are forgotten at once."""
        self.all.gone += 1
        if self.all.gone > MOST_REMEMBERED:
            known_from = self.all.drop_oldest(MOST_REMEMBERED // 2)
            for subject, positions in list(self._subjects.items()):
                positions.drop_before(known_from)
                if not len(positions):
                    del self._subjects[subject]

    def marks(self, start: int, stop: int, subjects: Collection[Subject] | None) -> dict[int, int] | None:
        """Return the mark of each entry about the subjects by its sequence number; None if they are forgotten."""
        if start < self.all.known_from:
            return None
        if subjects is None:
            return self.all.marks(start, stop)
        found: dict[int, int] = {}
        for positions in self._about(subjects):
            found |= positions.marks(start, stop)
        return found

    def about(self, start: int, stop: int, subjects: Collection[Subject]) -> set[int]:
        """Return the sequence numbers of the entries about the subjects, as far as they are remembered."""
        return {seq for positions in self._about(subjects) for seq in positions.between(start, stop)}

    def changed_subjects(self, since: int) -> Collection[Subject] | None:
        """Return the subjects of the entries from `since` on; None if that is not known any more."""
        if since < self.all.known_from:
            return None
        return {subject for subject, positions in self._subjects.items() if positions.last >= since}

    def _about(self, subjects: Collection[Subject]) -> list[Positions]:
        return [positions for each in subjects if (positions := self._subjects.get(each)) is not None]

"""What a listener may be told: judges the record of a listener against the log, as docs/protocol.md has it."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ack:
    """The first message of a connection. `is_new` says that the listener came without a cursor."""

    process: str
    epoch: str
    seq: int
    recovered: bool
    missed: int | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """A notice of a gap on an open connection; None: of unknown size."""

    process: str
    missed: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """A message of the log. `key` is what the newest state has one message of; None if it has none of this kind."""

    process: str
    epoch: str
    seq: int
    digest: int
    key: tuple[int, str] | None


Heard = Ack | Gap | Told


@dataclass
class KnownEpoch:
    """The messages of an epoch of the log, by number, as far as anybody saw them; complete up to `complete_to`."""

    digests: dict[int, int] = field(default_factory=dict)
    complete_to: int = 0
    _sorted: list[int] = field(default_factory=list)

    def between(self, after: int, before: int) -> Sequence[int]:
        """Return the numbers of the messages after one place and before another."""
        if len(self._sorted) != len(self.digests):
            self._sorted = sorted(self.digests)
        return self._sorted[bisect_right(self._sorted, after) : bisect_left(self._sorted, before)]


@dataclass
class Figures:
    """What the verdict is about."""

    messages: int = 0
    connections: int = 0
    gaps: int = 0
    missed: int = 0

    def add(self, other: "Figures") -> None:
        """Add what another listener was told."""
        self.messages += other.messages
        self.connections += other.connections
        self.gaps += other.gaps
        self.missed += other.missed


class Judge:
    """Follows what one listener heard. `has_image` says that images replace what a listener lacks.

    AssertionError says which listener was told what.
    """

    def __init__(self, name: str, log: dict[str, KnownEpoch], *, has_image: bool) -> None:
        self.figures = Figures()
        self._name = name
        self._log = log
        self._has_image = has_image
        self._epoch = ""
        self._seq: int | None = None
        """The number up to which the listener has everything; None after a gap of unknown size."""
        self._state_until = 0
        """Up to here, messages are the newest state that follows a gap or begins a connection."""
        self._state_seq = 0
        self._state_keys: set[tuple[int, str] | None] = set()
        self._seen: set[tuple[str, int]] = set()

    def judge(self, heard: Sequence[Heard]) -> Figures:
        """Follow the whole record."""
        for number, each in enumerate(heard):
            try:
                match each:
                    case Ack():
                        self._ack(each)
                    case Gap():
                        self._gap(each)
                    case Told():
                        self._told(each)
            except AssertionError as error:
                turns = [at for at, it in enumerate(heard[: number + 1]) if not isinstance(it, Told)][-3:]
                shown = sorted({*turns, *(at - 1 for at in turns if at), *range(max(0, number - 5), number + 1)})
                before = "\n  ".join(f"{at}: {heard[at]}" for at in shown)
                raise AssertionError(f"{self._name}: {error}\n  {before}") from None
        return self.figures

    def _ack(self, ack: Ack) -> None:
        self.figures.connections += 1
        if ack.recovered and not ack.is_new:
            assert self._seq is None or ack.epoch == self._epoch, "it resumed in another epoch, and nobody said so"
            if ack.seq < self._state_until:
                # It left in the middle of the newest state. So what comes next is what it missed since its cursor.
                self._seq, self._state_until = ack.seq, 0
            return
        if not ack.is_new:
            self.figures.gaps += 1
            if ack.epoch != self._epoch:
                assert ack.missed is None, f"how much of another epoch is missing cannot be known, but is {ack.missed}"
            elif self._seq is not None and ack.missed is not None:
                self._check_missed(self._seq, ack.seq, ack.missed)
        if self._has_image:
            self._seq = None
            self._state_keys.clear()
            self._state_seq = 0
        else:
            self._begin_state(ack.epoch, ack.seq)

    def _check_missed(self, after: int, last: int, missed: int) -> None:
        self.figures.missed += missed
        if self._has_image:
            return
        known = self._log[self._epoch]
        count = len(known.between(after, last + 1))
        words = f"{missed} messages are said to be missing between {after} and {last}, and {count} are"
        assert count <= missed, words
        assert count == missed or known.complete_to < last, words

    def _gap(self, gap: Gap) -> None:
        self.figures.gaps += 1
        if gap.missed is None or self._seq is None or self._has_image:
            self._seq = None
            self._state_seq = 0
            self._state_keys.clear()
            return
        self.figures.missed += gap.missed
        known = self._log[self._epoch]
        later = known.between(self._seq, 1 << 62)
        is_complete = known.complete_to > self._seq + gap.missed
        assert len(later) >= gap.missed or not is_complete, f"{gap.missed} are said to be missing, of {len(later)}"
        self._begin_state(self._epoch, later[min(gap.missed, len(later)) - 1] if later else self._seq)

    def _begin_state(self, epoch: str, seq: int) -> None:
        self._epoch, self._seq, self._state_until, self._state_seq = epoch, seq, seq, 0
        self._state_keys.clear()

    def _told(self, told: Told) -> None:
        self.figures.messages += 1
        place = f"{told.epoch}-{told.seq}"
        known = self._log[told.epoch].digests.get(told.seq)
        assert known in (None, told.digest), f"the message at {place} is not that of others"
        if self._seq is None:
            self._after_unknown_gap(told)
            return
        assert told.epoch == self._epoch, f"the epoch of {place} is another one, and nobody said so"
        if told.seq <= self._state_until:
            self._take_state(told, f"{place} is no newest state: {self._state_seq} came before")
            return
        assert told.seq > self._seq, f"{place} came after {self._seq}"
        assert (told.epoch, told.seq) not in self._seen, f"{place} came again"
        if not self._has_image:
            holes = self._log[told.epoch].between(self._seq, told.seq)
            assert not holes, f"{list(holes[:20])} never came before {place}, and nobody said so"
        self._state_until = 0
        self._note(told)

    def _after_unknown_gap(self, told: Told) -> None:
        """The newest state has one message for a key, in order. Whatever does not fit that is live."""
        is_state = told.key is not None and told.key not in self._state_keys
        if is_state and (told.epoch == self._epoch or not self._state_keys):
            self._epoch = told.epoch
            self._take_state(told, f"{told.epoch}-{told.seq} came after {self._state_seq}")
            return
        self._epoch = told.epoch
        self._state_until = 0
        self._note(told)

    def _take_state(self, told: Told, words: str) -> None:
        assert told.seq > self._state_seq, words
        assert told.key not in self._state_keys, f"{words}, and the same state twice"
        self._state_seq = told.seq
        self._state_keys.add(told.key)
        self._seen.add((told.epoch, told.seq))

    def _note(self, told: Told) -> None:
        self._seq = told.seq
        self._seen.add((told.epoch, told.seq))

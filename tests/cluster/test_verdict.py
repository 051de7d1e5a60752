"""The judge of what listeners are told: it finds what must not happen, and nothing else."""

from collections.abc import Sequence

import pytest

from tests.cluster.verdict import Ack, Gap, Heard, Judge, KnownEpoch, Told

LOG = {
    "a": KnownEpoch({seq: seq for seq in (1, 2, 3, 5, 6, 7, 8, 9)}, complete_to=9),
    "b": KnownEpoch({seq: seq for seq in (2, 3, 4)}, complete_to=4),
}


def told(seq: int, epoch: str = "a", digest: int | None = None, key: tuple[int, str] | None = None) -> Told:
    """A message at some process."""
    return Told("p", epoch, seq, seq if digest is None else digest, key)


def ack(seq: int, epoch: str = "a", missed: int | None = 0, *, recovered: bool = True, is_new: bool = False) -> Ack:
    """The first message of a connection."""
    return Ack("p", epoch, seq, recovered, missed, is_new)


BEGIN = ack(2, is_new=True)
STATE = told(1, key=(1, "")), told(2, key=(1, "betpawa"))


@pytest.mark.parametrize(
    "heard",
    [
        [BEGIN, *STATE, told(3), told(5), ack(5), told(6)],
        [BEGIN, told(3), ack(6, missed=2, recovered=False), told(6, key=(1, "")), told(7)],
        [BEGIN, told(3), Gap("p", 2), told(6, key=(1, "")), told(7)],
        [BEGIN, told(3), Gap("p", None), told(2, "b", key=(1, "")), told(3, "b", key=(1, "x")), told(4, "b")],
        [BEGIN, told(3), ack(3, "b", None, recovered=False), told(4, "b")],
        [BEGIN, ack(4, "b", None, recovered=False), told(2, "b", key=(1, "")), ack(2, "b"), told(3, "b"), told(4, "b")],
    ],
)
def test_a_record_without_fault_passes(heard: Sequence[Heard]) -> None:
    """Resumes, counted gaps on both ways, a new epoch that is told on both ways, and a leave in the newest state."""
    figures = Judge("listener", LOG, has_image=False).judge(heard)
    assert figures.messages == sum(isinstance(each, Told) for each in heard)


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        ([BEGIN, told(3), told(6)], r"\[5\] never came before a-6"),
        ([BEGIN, told(3), ack(3), told(6)], r"\[5\] never came before a-6"),
        ([BEGIN, told(3), told(3)], "a-3 came after 3"),
        ([BEGIN, told(3), ack(3), told(3)], "a-3 came after 3"),
        ([BEGIN, told(3, digest=4)], "is not that of others"),
        ([BEGIN, told(2, "b")], "the epoch of b-2 is another one"),
        ([BEGIN, ack(3, "b"), told(4, "b")], "it resumed in another epoch"),
        ([BEGIN, told(3), ack(6, missed=1, recovered=False)], "1 messages are said to be missing"),
        ([BEGIN, told(3), ack(6, missed=3, recovered=False)], "3 messages are said to be missing"),
        ([BEGIN, told(3), Gap("p", 2), told(8)], r"\[7\] never came before a-8"),
        ([BEGIN, told(3), Gap("p", 1), told(7)], r"\[6\] never came before a-7"),
        ([BEGIN, STATE[1], STATE[0]], "a-1 is no newest state"),
        ([BEGIN, told(1, key=(1, "")), told(2, key=(1, ""))], "the same state twice"),
        ([BEGIN, told(3), Gap("p", None), told(2, "b"), told(4, "b")], r"\[3\] never came before b-4"),
        (
            [BEGIN, ack(4, "b", None, recovered=False), told(2, "b", key=(1, "")), ack(2, "b"), told(4, "b")],
            r"\[3\] never came before b-4",
        ),
    ],
)
def test_a_fault_is_found(heard: Sequence[Heard], words: str) -> None:
    """Holes, repeats, other bodies, epochs that nobody told, and gaps of a wrong size."""
    with pytest.raises(AssertionError, match=words):
        Judge("listener", LOG, has_image=False).judge(heard)

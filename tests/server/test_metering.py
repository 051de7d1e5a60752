"""Counting frames and tokens, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.errors import SettingsError
from quart_odds.routes.access.limits import TokenBucket
from quart_odds.server import hardening
from quart_odds.server.metering import FrameScanner
from tests.server.conformance import frame

MOST = 1000


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_bucket_lets_a_burst_pass_and_then_its_rate() -> None:
    """The bucket never holds more than a burst."""
    clock = Clock()
    bucket = TokenBucket(10, 4, clock)
    assert [bucket.take() for _ in range(5)] == [True] * 4 + [False]
    clock.now = 0.1
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now = 100
    assert not bucket.take(5)
    assert bucket.take(4)


def test_bucket_says_how_long_a_debt_takes() -> None:
    """Owed tokens are taken, and nothing more passes until the debt is paid."""
    clock = Clock()
    bucket = TokenBucket(10, 4, clock)
    assert bucket.owe(3) == 0
    assert bucket.owe(3) == pytest.approx(0.2)
    assert not bucket.take()
    clock.now = 0.3
    assert bucket.take()


PAYLOADS = st.lists(st.tuples(st.sampled_from([0, 1, 2, 8, 9, 10]), st.integers(0, MOST)), max_size=30)


@given(PAYLOADS, st.lists(st.integers(1, 700), min_size=1), st.integers(1, 9))
def test_scanner_finds_every_frame(frames: list[tuple[int, int]], reads: list[int], most_frames: int) -> None:
    """Frames are found however the bytes are split into reads, at most as many as requested, and each byte once."""
    sent = b"".join(frame(b"x" * min(size, 125) if opcode > 2 else b"x" * size, opcode) for opcode, size in frames)
    scanner = FrameScanner(MOST)
    found, at, turn = 0, 0, 0
    while at < len(sent):
        data = sent[at : at + reads[turn % len(reads)]]
        turn += 1
        position = 0
        while position < len(data):
            end, count = scanner.cut(data, position, most_frames)
            assert position < end <= len(data)
            assert count <= most_frames
            position = end
            found += count
        at += len(data)
    assert found == len(frames)
    assert not scanner.is_too_long


@pytest.mark.parametrize("opcode", [0, 1, 2])
@pytest.mark.parametrize(("size", "is_too_long"), [(MOST, False), (MOST + 1, True), (1 << 62, True), (1 << 63, True)])
def test_scanner_judges_a_frame_by_its_header(opcode: int, size: int, is_too_long: bool) -> None:
    """The length is checked before the payload arrives, and frames before it still count."""
    scanner = FrameScanner(MOST)
    head = frame(b"", 9) + frame(b"", opcode, declared=size)
    assert scanner.cut(head + b"payload", 0, 9)[1] == 2
    assert scanner.is_too_long is is_too_long


def test_scanner_leaves_other_faults_to_the_parser() -> None:
    """Other errors, such as a ping that is too long or a missing mask, are not the scanner's business."""
    for wrong in (
        frame(b"", 9, declared=5000),
        frame(b"x", 1, masked=False, declared=5000),
        frame(b"", 3, declared=5000),
    ):
        scanner = FrameScanner(MOST)
        scanner.cut(wrong, 0, 9)
        assert not scanner.is_too_long


def test_a_server_that_cannot_be_hardened_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what is missing and what to install."""
    monkeypatch.delattr("hypercorn.protocol.h11.H11Protocol._check_protocol")
    with pytest.raises(
        SettingsError, match=r"H11Protocol\._check_protocol not found.*the versions in constraints\.txt"
    ):
        hardening.install()

"""A process that begins with a snapshot and takes the operations after it serves the same odds as the writer."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from os import environ
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quart_odds.domain.platforms import Platform
from quart_odds.odds import candidates
from quart_odds.odds.operation_codec import decode, encode
from quart_odds.odds.operations import Forgotten, Recalled, Recorded
from quart_odds.odds.snapshots import take
from tests.odds import replica_process
from tests.odds.making import NOW, header, mapped
from tests.odds.replicas import Operations, Process, bodies, everything, orders, stored


def compare(one: Process, other: Process) -> None:
    """Compare all that two processes hold and serve."""
    assert everything(other.cache) == everything(one.cache)
    assert orders(other.cache) == orders(one.cache)
    assert other.feed.tournaments.state() == one.feed.tournaments.state()


@given(st.randoms(use_true_random=False), st.integers(0, 25), st.integers(1, 15))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_replica_equals_the_cache_that_the_writer_changes(
    monkeypatch: pytest.MonkeyPatch, random: Random, before: int, after: int
) -> None:
    """From any moment on, whatever happened before and happens then: contents, changes, messages and answers."""
    monkeypatch.setattr(candidates, "MAX_CANDIDATES", 2)
    writer, operations = Process(), Operations(random)
    for _ in range(before):
        writer.take(operations.next(writer.cache))
    replica = Process()
    replica.take(Operations(Random(1)).next(replica.cache))
    replica.restore(writer.snapshot())
    compare(writer, replica)
    for _ in range(after):
        operation = operations.next(writer.cache)
        arrived = decode(encode(operation))
        assert replica.take(arrived) == writer.take(operation)
        assert replica.published == writer.published
        compare(writer, replica)
    now = operations.now
    assert asyncio.run(bodies(replica.cache, lambda: now)) == asyncio.run(bodies(writer.cache, lambda: now))


def test_a_replica_in_another_process_does_not_depend_on_hashes() -> None:
    """Sets and dictionaries of texts have another order there."""
    writer, operations = Process(is_rendering=False), Operations(Random(7))
    for _ in range(60):
        writer.take(operations.next(writer.cache))
    parts = [take(writer.cache, writer.feed.tournaments.state()).encode()]
    expected = replica_process.Account()
    for _ in range(1500):
        operation = operations.next(writer.cache)
        parts.append(encode(operation))
        expected.add(writer, writer.take(operation))
    made = subprocess.run(
        [sys.executable, "-m", replica_process.__name__],
        input=replica_process.joined(parts),
        capture_output=True,
        timeout=60,
        check=False,
        env={**environ, "PYTHONHASHSEED": "1" if environ.get("PYTHONHASHSEED") != "1" else "2"},
    )
    assert made.returncode == 0, made.stderr.decode()
    assert made.stdout.decode().splitlines() == expected.lines(writer)


def test_a_snapshot_stays_as_it_was_taken() -> None:
    """Whatever the cache takes afterwards, and however often it is restored."""
    writer, operations = Process(), Operations(Random(3))
    for _ in range(60):
        writer.take(operations.next(writer.cache))
    snapshot = take(writer.cache)
    encoded, held = snapshot.encode(), everything(writer.cache)
    for _ in range(60):
        writer.take(operations.next(writer.cache))
    assert snapshot.encode() == encoded
    for _ in range(2):
        replica = Process()
        snapshot.restore(replica.cache)
        assert everything(replica.cache) == held
        for _ in range(20):
            replica.take(operations.next(replica.cache))
    assert snapshot.encode() == encoded


def test_an_operation_stays_as_it_was() -> None:
    """Carrying it out modifies nothing of it, so several caches may take it and it may be encoded afterwards."""
    writer, operations = Process(), Operations(Random(4))
    for _ in range(150):
        operation = operations.next(writer.cache)
        encoded = encode(operation)
        writer.take(operation)
        assert encode(operation) == encoded
        writer.take(replace(operations.next(writer.cache)))
        assert encode(operation) == encoded


def test_nothing_that_was_encoded_before_a_restore_is_taken_for_what_came_after() -> None:
    """A cache that is set back uses revisions again, and versions never."""
    writer, operations = Process(), Operations(Random(5))
    for _ in range(40):
        writer.take(operations.next(writer.cache))
    early = writer.snapshot()
    for _ in range(40):
        writer.take(operations.next(writer.cache))
    version = writer.cache.version
    writer.restore(early)
    assert writer.cache.revision == early.state.revision
    assert all(event.version > version for event in writer.cache.events.values())


def test_events_that_were_just_found_to_be_a_crowd_are_moved_by_a_replica_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recall of an event makes them one, and the next answer moves them. The snapshot is from between the two."""
    monkeypatch.setattr(candidates, "MAX_CANDIDATES", 2)
    writer, replica = Process(), Process()
    fetches = [Recorded(mapped(header(external_id=f"e{number}")), NOW, NOW) for number in range(3)]
    for fetch in fetches[:2]:
        writer.take(fetch)
    alone = next(event for event in writer.cache.events.values() if event.sportradar_id is None)
    for operation in (Forgotten((alone.id,)), fetches[2], Recalled(alone.id, stored(alone), NOW)):
        writer.take(operation)
    replica.restore(writer.snapshot())
    compare(writer, replica)
    operation = Recorded(mapped(header(Platform.BET9JA)), NOW, NOW)
    (change,) = writer.take(operation)
    assert replica.take(operation) == [change]
    assert change.moved == (3,)
    compare(writer, replica)

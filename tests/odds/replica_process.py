"""A replica in a process of its own: reads a snapshot and operations, and says what it comes to hold and to serve."""

import asyncio
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from hashlib import blake2b

from quart_odds.odds import EventChange
from quart_odds.odds.operation_codec import decode
from quart_odds.odds.snapshots import decode_snapshot
from tests.odds.making import NOW
from tests.odds.replicas import Process, bodies, everything, orders

_LENGTH = struct.Struct("<I")


class Account:
    """What a process did with each operation, in a line each, and what it holds in the end."""

    def __init__(self) -> None:
        self._taken: list[str] = []

    def add(self, process: Process, changes: list[EventChange]) -> None:
        """Write down an operation that a process has just taken."""
        told = [(each.event_id, each.changed, each.moved, each.also, each.emptied, each.moment) for each in changes]
        self._taken.append(_digest((told, sorted(map(str, process.published)))))

    def lines(self, process: Process) -> list[str]:
        """Return everything in lines."""
        held = ordered(everything(process.cache)), orders(process.cache)
        return [*self._taken, _digest(held), *map(_digest, asyncio.run(bodies(process.cache, lambda: NOW)))]


def ordered(value: object) -> object:
    """Return a value whose text does not depend on the order of sets and dictionaries."""
    if isinstance(value, dict):
        return sorted((repr(key), ordered(kept)) for key, kept in value.items())
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple | list):
        return [ordered(each) for each in value]
    if is_dataclass(value):
        return [ordered(getattr(value, each.name)) for each in fields(value)]
    return repr(value)


def joined(parts: Iterable[bytes]) -> bytes:
    """Return parts as one, each after its length."""
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def _parts(data: bytes) -> Iterator[bytes]:
    while data:
        (length,) = _LENGTH.unpack_from(data)
        yield data[_LENGTH.size : _LENGTH.size + length]
        data = data[_LENGTH.size + length :]


def _digest(value: object) -> str:
    return blake2b(repr(value).encode(), digest_size=9).hexdigest()


def main() -> None:
    """Take what is on the standard input."""
    snapshot, *operations = _parts(sys.stdin.buffer.read())
    replica, account = Process(is_rendering=False), Account()
    replica.restore(decode_snapshot(snapshot))
    for each in operations:
        account.add(replica, replica.take(decode(each)))
    print("\n".join(account.lines(replica)))


if __name__ == "__main__":
    main()

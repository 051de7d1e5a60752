"""One record of the stream: a message, an operation on the odds, a notice that all odds were replaced, a heartbeat."""

from collections.abc import Mapping
from dataclasses import dataclass

from quart_odds.errors import ReplicationError

MESSAGE = b"m"
OPERATION = b"o"
RELOAD = b"r"
HEARTBEAT = b"h"
KINDS = (MESSAGE, OPERATION, RELOAD, HEARTBEAT)

SEPARATOR = "\x1f"
"""Between the group and the member of a retained key."""

OVERHEAD_BYTES = 120
"""About what Redis needs for a record beside its texts."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the writer appends. `count` is how many numbers of the log it takes: it stands for so many entries.

    `retain` and `ends` are those of `EventLog.append`, as texts.
    """

    kind: bytes
    count: int
    payload: bytes = b""
    topic: str = ""
    name: str = ""
    retain: tuple[str, str] | None = None
    ends: bool = False

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes in Redis."""
        return OVERHEAD_BYTES + len(self.payload)

    def fields(self) -> tuple[bytes | str | int, ...]:
        """Return the arguments of the script, see `scripts.FIELDS`."""
        retain = "" if self.retain is None else SEPARATOR.join(self.retain)
        return self.kind, self.count, self.topic, self.name, self.payload, retain, "1" if self.ends else ""


def read_record(fields: Mapping[bytes, bytes]) -> Record:
    """Return the record of an entry of the stream. Raises ReplicationError if it is none."""
    try:
        kind, count = fields[b"k"], int(fields[b"n"])
        group, separator, member = fields[b"r"].decode().partition(SEPARATOR)
        if kind not in KINDS or count < 0:
            raise ValueError(f"kind {kind!r}, {count} entries")
        return Record(
            kind,
            count,
            fields[b"p"],
            fields[b"t"].decode(),
            fields[b"e"].decode(),
            (group, member) if separator else None,
            fields[b"x"] == b"1",
        )
    except (KeyError, ValueError) as error:
        raise ReplicationError(f"the log has an entry that cannot be read: {error!r}") from error


@dataclass(frozen=True, slots=True)
class RetainedRecord:
    """The newest message of a retained key, with its number in the log."""

    seq: int
    retain: tuple[str, str]
    topic: str
    name: str
    payload: bytes
    ends: bool


def read_retained(key: bytes, value: bytes) -> RetainedRecord:
    """Return a retained entry. Raises ReplicationError if it is none."""
    try:
        group, _, member = key.decode().partition(SEPARATOR)
        seq, topic, name, ends, payload = value.split(b"|", 4)
        return RetainedRecord(int(seq), (group, member), topic.decode(), name.decode(), payload, ends == b"1")
    except ValueError as error:
        raise ReplicationError(f"a retained entry cannot be read: {error!r}") from error

"""What a worker and its supervisor tell each other: lines of JSON over a pair of sockets.

    worker → supervisor   {"ready": true}        it serves, and its database and decoder respond
                          {"reason": "…"}        why it cannot start, or is not ready yet
                          {"alive": true}        its loop runs; every REPORT_SECONDS, from its start to its end
    supervisor → worker   {"accept": [1, 3]}     accept connections on the sockets of these workers, and on no others;
                                                 none: another worker takes its place, and all new requests
                          {"stop": true}         drain, and exit

The end of the channel means that the other process is gone. Unknown lines are ignored, and no line may change its
meaning: during a rolling restart, workers of a new version run under the supervisor of an older one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

REPORT_SECONDS = 2.0
MAX_REASON = 2_000
"""Characters of a reason that are passed on."""


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """What a worker gets on its command line: its number from 1, and descriptors that it inherits.

    `channel` is its end of the channel, and `sockets` are the listening sockets of all workers, in order.
    """

    number: int
    channel: int
    sockets: tuple[int, ...]

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Return the place that `str()` of it describes. Raises ValueError for any other text."""
        number, channel, sockets = text.split(":")
        place = cls(int(number), int(channel), tuple(int(each) for each in sockets.split(",")))
        if not 1 <= place.number <= len(place.sockets):
            raise ValueError(f"there is no worker {place.number} of {len(place.sockets)}")
        return place

    def __str__(self) -> str:
        return f"{self.number}:{self.channel}:{','.join(map(str, self.sockets))}"


def line_of(message: Mapping[str, object]) -> bytes:
    """Return a message as it is sent."""
    return orjson.dumps(message) + b"\n"


class Lines:
    """Puts received bytes together to messages."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Yield the messages that are complete now. Raises ValueError for a line that is no JSON object."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            message = orjson.loads(line)
            if not isinstance(message, dict):
                raise ValueError(f"no JSON object: {line[:100]!r}")
            yield message

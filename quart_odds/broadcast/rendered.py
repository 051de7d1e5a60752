"""The bytes of rendered contents, each made once per view and framing, within a bounded amount of memory."""

from collections import OrderedDict

from quart_odds.broadcast.framing import Entry, Framing
from quart_odds.broadcast.selection import SharedView

MOST_BYTES = 4 * 1024 * 1024
"""Bytes kept. Those of the newest entries are wanted by many listeners at once; older ones by a few that lag."""

_Key = tuple[int, SharedView, int]


class RenderedContents:
    """Frames by entry, view and framing. The oldest are dropped first. `count` is how often JSON was rendered."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.count = 0
        self._most_bytes = most_bytes
        self._size = 0
        self._frames: OrderedDict[_Key, bytes] = OrderedDict()

    def frame(self, entry: Entry, view: SharedView, framing: Framing, cursor_prefix: bytes) -> bytes:
        """Return the bytes of an entry for a view. `cursor_prefix` is what its cursor has before the number."""
        key = (entry.seq, view, framing.kind)
        frame = self._frames.get(key)
        if frame is None:
            cursor = b"%b%d" % (cursor_prefix, entry.seq) if framing.has_cursor else b""
            frame = framing.encode(self._payload(entry, view), cursor, entry.name)
            self._keep(key, frame)
        return frame

    def _payload(self, entry: Entry, view: SharedView) -> bytes:
        """Return the JSON. It is kept beside the frames, so another framing does not render it again."""
        key = (entry.seq, view, -1)
        payload = self._frames.get(key)
        if payload is None:
            assert entry.content is not None
            payload = entry.content.render(view.view)
            self.count += 1
            self._keep(key, payload)
        return payload

    def _keep(self, key: _Key, data: bytes) -> None:
        self._frames[key] = data
        self._size += len(data)
        while self._size > self._most_bytes and len(self._frames) > 1:
            _, dropped = self._frames.popitem(last=False)
            self._size -= len(dropped)

"""Recording of requests and response bodies in a folder that the sandbox can replay.

The folder contains the decompressed bodies and a `requests.json` (bookmaker, method, path, query, body, status, content
type, file). Files are written outside the event loop.
"""

import asyncio
import hashlib
import re
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from quart_odds.bookmakers.bodies import decompress
from quart_odds.bookmakers.site import Request
from quart_odds.bookmakers.transport import Answer
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError, StorageError

_INDEX = "requests.json"
_INDEX_EACH = 100
"""The index is written after this many bodies, so that an interrupted recording has most of it."""


class Recorder:
    """Saves answers. Repeating a request replaces its earlier answer in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: dict[str, dict[str, Any]] | None = None
        self._new = 0
        self._writing = asyncio.Lock()

    async def __aenter__(self) -> "Recorder":
        """Make the folder. Raises OSError before any bookmaker is asked if that is not possible."""
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def record(self, platform: Platform, request: Request, answer: Answer, max_bytes: int) -> None:
        """Save an answer. One that cannot be decompressed is skipped, because its decoding reports the error.

        Raises StorageError if it cannot be written.
        """
        async with self._writing:
            try:
                await asyncio.to_thread(self._save, platform, request, answer, max_bytes)
            except OSError as error:
                raise StorageError(f"the recording cannot be written: {error.strerror}") from error

    async def aclose(self) -> None:
        """Write the index one last time."""
        async with self._writing:
            await asyncio.to_thread(self._write_index)

    def _save(self, platform: Platform, request: Request, answer: Answer, max_bytes: int) -> None:
        try:
            encoding = answer.headers.get("content-encoding")
            plain = decompress(platform, answer.content, encoding, max_bytes, request.where)
        except MalformedBodyError:
            return
        asked = {
            "bookmaker": platform.value,
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "body": request.body,
        }
        identity = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
        file = f"{platform.value}/{_file_name(request, identity)}"
        path = self._folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(plain)
        content_type = answer.headers.get("content-type", "application/json").partition(";")[0].strip()
        entry = {**asked, "status": answer.status, "content_type": content_type, "file": file}
        self._index()[identity.decode()] = entry
        self._new += 1
        if self._new >= _INDEX_EACH:
            self._write_index()

    def _index(self) -> dict[str, dict[str, Any]]:
        if self._entries is None:
            path = self._folder / _INDEX
            known = orjson.loads(path.read_bytes()) if path.is_file() else []
            self._entries = {_identity(entry): entry for entry in known}
        return self._entries

    def _write_index(self) -> None:
        """Write the index atomically, so that no reader sees half of it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f".{_INDEX}.new"
        fresh.write_bytes(orjson.dumps(list(self._index().values()), option=orjson.OPT_INDENT_2))
        fresh.replace(self._folder / _INDEX)
        self._new = 0


def _identity(entry: dict[str, Any]) -> str:
    asked = {key: entry.get(key) for key in ("bookmaker", "method", "path", "query", "body")}
    return orjson.dumps(asked, option=orjson.OPT_SORT_KEYS).decode()


def _file_name(request: Request, identity: bytes) -> str:
    """Combine the end of the path, the start of the query and enough of a hash to make the name unique."""
    words = [request.path.rstrip("/").rpartition("/")[2], *request.query.values()]
    readable = re.sub(r"[^A-Za-z0-9]+", "_", "_".join(words)).strip("_")[:48].strip("_")
    return f"{readable}_{hashlib.sha256(identity).hexdigest()[:10]}.json"

"""Whether a process has everything that it needs for its work: what `/readyz` and the supervisor of workers ask."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quart_odds.errors import DecoderError, StorageError, WriterUnavailableError

if TYPE_CHECKING:
    from quart_odds.services import Services

CHECK_SECONDS = 5.0
"""How long the database may take to answer."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What a process lacks. `status` is a short name, `detail` a sentence, and `for_operator` the same for the log."""

    status: str
    detail: str
    for_operator: str


async def missing_part(parts: "Services") -> Missing | None:
    """Return what this process lacks, or None. A process that does not write is as ready as the one that does."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await parts.store.check()
    except TimeoutError:
        return _same("no database", f"the database has not answered for {CHECK_SECONDS:g} s")
    except StorageError as error:
        return Missing("no database", str(error), error.for_operator)
    if parts.shared_log is not None and parts.shared_log.tail.reason is not None:
        return _same("not level", parts.shared_log.tail.reason)
    if parts.role == "follower" and parts.commands is not None:
        try:
            await parts.commands.check()
        except WriterUnavailableError as error:
            return _same("no redis", str(error))
    try:
        await parts.decoder.check()
    except DecoderError as error:
        return Missing("no decoder", str(error), error.for_operator)
    return None


def _same(status: str, detail: str) -> Missing:
    return Missing(status, detail, detail)

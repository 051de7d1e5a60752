"""Work of commands in the database of the settings, beside a server or without one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from quart_odds.settings import Settings, load_settings

if TYPE_CHECKING:
    from quart_odds.storage import Store

T = TypeVar("T")


def with_store(work: "Callable[[Store, Settings], Awaitable[T]]") -> T:
    """Return the result of some work in the database of the settings. Raises SettingsError and StorageError."""
    from quart_odds.logs import configure_logging
    from quart_odds.storage import open_store
    from quart_odds.storage.network_files import refuse_network_file

    settings = load_settings(None, log_level="warning")
    configure_logging(settings)
    refuse_network_file(settings.database_url)

    async def do() -> T:
        store = await open_store(settings.database_url)
        try:
            return await work(store, settings)
        finally:
            await store.aclose()

    return asyncio.run(do())

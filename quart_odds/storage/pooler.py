"""Recognises a transaction pooler before PostgreSQL, through which the writer lock would not work."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from quart_odds.errors import StorageError

POOLED = (
    "a transaction pooler such as PgBouncer stands before PostgreSQL, and locks and prepared statements do not work "
    "through it: connect to PostgreSQL directly, or use pool_mode = session"
)


async def refuse_pooler(engine: AsyncEngine) -> None:
    """Raises StorageError behind a pooler that gives each transaction another session.

    PostgreSQL names its process when a session begins; a pooler makes that number up. Then the numbers of two
    sessions show whether they are sessions.
    """
    async with engine.connect() as one:
        named = (await one.get_raw_connection()).driver_connection
        backend = await _backend(one)
        if named is None or named.get_server_pid() == backend:
            return
        for _ in range(3):
            async with engine.connect() as other:
                answer = await other.execute(text("SELECT pg_backend_pid()"))  # leaves a transaction open
                if answer.scalar_one() == backend or await _backend(one) != backend:
                    raise StorageError(POOLED)


async def _backend(connection: AsyncConnection) -> int:
    """The server process that answers, in a transaction of its own."""
    backend = int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())
    await connection.rollback()
    return backend

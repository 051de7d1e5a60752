"""Detection of a transaction pooler in front of PostgreSQL: the writer lock does not work through one."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from quart_odds.errors import StorageError

POOLED = (
    "a transaction pooler such as PgBouncer is in front of PostgreSQL, and locks and prepared statements do not work "
    "through it: connect to PostgreSQL directly, or use pool_mode = session"
)


async def refuse_pooler(engine: AsyncEngine) -> None:
    """Raise StorageError if a pooler may run each transaction in a different session.

    PostgreSQL sends the number of its server process when a session begins; a pooler sends an invented number. If that
    number differs from the one that a query returns, a second connection opens a transaction. It must get a different
    server process, and the first connection must keep its own meanwhile.
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
    """Return the number of the server process that answers, and end the transaction."""
    backend = int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())
    await connection.rollback()
    return backend

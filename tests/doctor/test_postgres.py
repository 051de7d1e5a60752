"""What the doctor says about PostgreSQL servers."""

import socket

import asyncpg  # type: ignore[import-untyped]
import pytest

from quart_odds.doctor import Finding, Status
from quart_odds.doctor.clock import ClockReading
from quart_odds.doctor.postgres import postgres as examine
from quart_odds.storage import migrate
from tests.databases import PostgresServer, make_database

pytestmark = pytest.mark.postgres

SECRET = "s3cret"


async def findings(url: str) -> tuple[dict[str, Finding], list[ClockReading]]:
    """Return the findings by their names, and what was told about the clock."""
    readings: list[ClockReading] = []
    return {each.check: each for each in await examine(url, readings.append)}, readings


async def tables(url: str) -> int:
    """Return the number of tables."""
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
    finally:
        await connection.close()


async def test_an_empty_database_is_as_it_should_be_and_stays_empty(postgres: str) -> None:
    """The first start makes the tables. The clock of this machine is the server's."""
    url = await make_database(postgres)
    found, [told] = await findings(url)
    assert {each.status for each in found.values()} == {Status.OK}, found
    assert found.keys() == {"database", "database.revision", "database.writable", "database.connections"}
    assert "no tables yet" in found["database.revision"].detail
    assert abs(told.ahead_seconds) <= told.uncertain_seconds + 0.1
    assert await tables(url) == 0


async def test_the_revision_of_the_tables_is_compared(postgres: str) -> None:
    """Older tables are a warning, newer ones a failure; nothing is upgraded."""
    url = await make_database(postgres)
    await migrate(url)
    found, _ = await findings(url)
    assert found["database.revision"].status is Status.OK
    connection = await asyncpg.connect(url)
    try:
        for revision, check, status in (
            ("0001", "database.revision", Status.WARNING),
            ("9999", "database", Status.FAILED),
        ):
            await connection.execute(f"UPDATE alembic_version SET version_num = '{revision}'")
            found, _ = await findings(url)
            assert found[check].status is status
            assert await connection.fetchval("SELECT version_num FROM alembic_version") == revision
    finally:
        await connection.close()


async def test_a_user_who_may_only_read_is_told(postgres: str) -> None:
    """A server would fail at its first write."""
    url = await make_database(postgres)
    await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        found, _ = await findings(url.replace("//test@", f"//reader:{SECRET}@"))
    finally:
        await connection.execute("DROP OWNED BY reader; DROP ROLE reader")
        await connection.close()
    assert found["database.writable"].status is Status.FAILED
    assert "may not write" in found["database.writable"].detail
    assert SECRET not in repr(found)


async def test_a_server_that_accepts_no_writes_fails(postgres: str) -> None:
    """As a replica does; here by the options of the connection's user."""
    url = await make_database(postgres)
    connection = await asyncpg.connect(url)
    try:
        name = url.rpartition("/")[2]
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    finally:
        await connection.close()
    found, _ = await findings(url)
    assert found["database.writable"].status is Status.FAILED
    assert "read only" in found["database.writable"].detail


@pytest.mark.parametrize(
    ("change", "facts", "advice"),
    [
        (("/test_", "/no_such_"), {"code": "3D000"}, "createdb"),
        (("//test@", f"//nobody:{SECRET}@"), {"code": "28000"}, "check the user"),
        (("127.0.0.1", "nowhere.invalid"), {"stage": "dns"}, "check the name"),
        (("/test_", "/test?sslmode=verify-full&x=test_"), {}, "remove it from"),
    ],
)
async def test_what_is_wrong_with_an_address_is_told_apart(
    change: tuple[str, str], facts: dict[str, str], advice: str, postgres: str
) -> None:
    """Each with what to do; no password is shown."""
    url = await make_database(postgres)
    found, readings = await findings(url.replace(*change))
    assert found.keys() == {"database"}
    assert found["database"].status is Status.FAILED
    assert {name: found["database"].facts.get(name) for name in facts} == facts, found
    assert advice in str(found["database"].advice), found
    assert SECRET not in repr(found)
    assert readings == []


async def test_a_wrong_password_is_told(own_postgres: PostgresServer) -> None:
    """It is not a server that is down."""
    own_postgres.stop()
    own_postgres.require_passwords()
    own_postgres.start()
    found, _ = await findings(own_postgres.url.replace("//test@", f"//test:{SECRET}@") + "/postgres")
    assert found["database"].facts["code"] == "28P01"
    assert "the password in QUART_ODDS_DATABASE_URL" in str(found["database"].advice)
    assert SECRET not in repr(found)


async def test_a_port_that_nobody_listens_on_is_told() -> None:
    """The stage is that of TCP."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found, _ = await findings(f"postgresql://u:{SECRET}@127.0.0.1:{taken.getsockname()[1]}/odds")
    assert found["database"].facts["stage"] == "tcp"
    assert SECRET not in repr(found)

"""Most tests of alerts need one database only; those with `on_both` run on SQLite and on PostgreSQL."""

from pathlib import Path

import pytest

from tests.databases import make_database

on_both = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


@pytest.fixture
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path / 'odds.db'}"
    return await make_database(request.getfixturevalue("postgres"))

"""Where the processes of a cluster run: on this machine alone, or at two hosts with addresses of their own."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.databases import running_postgres
from tests.hosts import HUB_ADDRESS, HUB_NETWORK, Network, network


@dataclass(frozen=True, slots=True)
class Place:
    """The hosts, and the URL of a PostgreSQL server that they reach."""

    network: Network
    postgres: str


@pytest.fixture
def two_hosts() -> Iterator[Place]:
    """Two hosts with addresses of their own, and a PostgreSQL server. Redis has to be in the test's hub."""
    with network(2) as hosts, running_postgres(HUB_ADDRESS, HUB_NETWORK) as server:
        yield Place(hosts, server.url)


@pytest.fixture(params=["one host", "two hosts"])
def place(request: pytest.FixtureRequest) -> Place:
    """Tests with this fixture run once on this machine alone, and once at two hosts."""
    if request.param == "one host":
        return Place(Network(), request.getfixturevalue("postgres"))
    found: Place = request.getfixturevalue("two_hosts")
    return found

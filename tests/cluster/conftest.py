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


@pytest.fixture(params=["two hosts", pytest.param("one host", marks=pytest.mark.endurance)])
def place(request: pytest.FixtureRequest) -> Place:
    """Two hosts, or this machine alone where the kernel allows no hosts. With `endurance`, this machine in any case."""
    if request.param == "two hosts":
        try:
            found: Place = request.getfixturevalue("two_hosts")
        except pytest.skip.Exception:
            pass
        else:
            return found
    return Place(Network(), request.getfixturevalue("postgres"))

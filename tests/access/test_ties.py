"""Live connections end when what they rest on is over."""

import asyncio
from collections.abc import Collection
from datetime import timedelta

from quart_odds.access.ties import Ties
from quart_odds.access.values import Grant
from quart_odds.domain.clock import utc_now
from quart_odds.domain.scopes import Scope
from quart_odds.errors import StorageError
from tests.virtual_time import in_virtual_time


class Connection:
    """A live connection that notes its end."""

    def __init__(self, ties: Ties, grant: Grant) -> None:
        self.is_ended = False
        self._ties = ties
        self._grant = grant
        ties.add(grant, self)

    def end(self) -> None:
        """End it, as a real one does."""
        self.is_ended = True
        self._ties.discard(self._grant, self)


@in_virtual_time
async def test_those_whose_grant_is_over_end_and_nobody_else() -> None:
    """One look for all of them, however many there are, and none while there are none."""
    looks: list[int] = []
    over: set[Grant] = set()

    async def looking(grants: Collection[Grant]) -> set[Grant]:
        looks.append(len(grants))
        return over & set(grants)

    ties = Ties(looking, seconds=2.0)
    mine, other, local = Grant(Scope.RUN, "mine"), Grant(Scope.READ, "other"), Grant(Scope.ADMIN)
    connections = [Connection(ties, mine) for _ in range(250)] + [Connection(ties, other), Connection(ties, local)]
    assert len(ties) == 251
    await asyncio.sleep(2.1)
    assert looks == [2]
    over.add(mine)
    await asyncio.sleep(2.1)
    assert [each.is_ended for each in connections] == [True] * 250 + [False] * 2
    assert (ties.ended, len(ties)) == (250, 1)
    connections[250].end()
    await asyncio.sleep(10)
    assert len(looks) <= 3
    await ties.close()


@in_virtual_time
async def test_without_the_database_connections_stay() -> None:
    """And end when it answers again."""
    is_away = True
    grant = Grant(Scope.READ, None, None, utc_now() + timedelta(days=1))

    async def looking(grants: Collection[Grant]) -> set[Grant]:
        if is_away:
            raise StorageError("the database is away")
        return set(grants)

    ties = Ties(looking, seconds=2.0)
    connection = Connection(ties, grant)
    await asyncio.sleep(5)
    assert not connection.is_ended
    is_away = False
    await asyncio.sleep(2.1)
    assert connection.is_ended
    await ties.close()

"""Sharing by time used: long bodies delay only their own bookmaker."""

import asyncio

import pytest

from quart_odds.bookmakers.turns import Turns
from quart_odds.domain.platforms import Platform

BETPAWA, SPORTYBET, BET9JA, *_ = Platform


async def work(turns: Turns, platform: Platform, seconds: float, done: list[Platform]) -> None:
    """Use a place for this much time."""
    async with turns.turn(platform):
        await asyncio.sleep(0)
        turns.use(platform, seconds)
        done.append(platform)


async def test_a_bookmaker_of_long_bodies_delays_its_own() -> None:
    """Its next body waits until the others have used as much time."""
    turns = Turns(1)
    done: list[Platform] = []
    slow = [work(turns, BETPAWA, 3.0, done) for _ in range(4)]
    quick = [work(turns, SPORTYBET, 0.01, done) for _ in range(100)]
    await asyncio.gather(*slow, *quick)
    assert done[:101] == [BETPAWA, *[SPORTYBET] * 100]
    assert done[101:] == [BETPAWA] * 3


async def test_bookmakers_alike_take_turns() -> None:
    """Nobody waits until another has finished."""
    turns = Turns(1)
    done: list[Platform] = []
    await asyncio.gather(*(work(turns, each, 1.0, done) for each in Platform for _ in range(5)))
    everyone = set(Platform)
    for start in range(0, 5 * len(everyone), len(everyone)):
        assert set(done[start : start + len(everyone)]) == everyone


async def test_a_bookmaker_that_comes_late_has_saved_up_nothing() -> None:
    """It gets its share only from then on."""
    turns = Turns(1)
    done: list[Platform] = []
    first = [asyncio.create_task(work(turns, BETPAWA, 1.0, done)) for _ in range(20)]
    while len(done) < 10:
        await asyncio.sleep(0)
    done.clear()
    await asyncio.gather(*first, *(work(turns, BET9JA, 1.0, done) for _ in range(8)))
    assert abs(done[:8].count(BET9JA) - 4) <= 1


async def test_a_turn_that_nobody_waits_for_any_more_goes_to_the_next() -> None:
    """It was cancelled before or just when the place was assigned."""
    turns = Turns(1)
    done: list[Platform] = []
    async with turns.turn(BETPAWA):
        waiting = [asyncio.create_task(work(turns, BETPAWA, 0.0, done)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    waiting[1].cancel()
    await asyncio.wait(waiting)
    assert done == [BETPAWA]
    async with asyncio.timeout(30), turns.turn(SPORTYBET):
        pass


@pytest.mark.parametrize("waiters", [1, 5])
async def test_all_are_let_through_at_the_end(waiters: int) -> None:
    """Nobody waits for a decoder that has been closed."""
    turns = Turns(1)
    done: list[Platform] = []
    async with turns.turn(BETPAWA):
        waiting = [asyncio.create_task(work(turns, BET9JA, 0.0, done)) for _ in range(waiters)]
        await asyncio.sleep(0)
        turns.open_all()
        async with asyncio.timeout(30):
            await asyncio.gather(*waiting)
    assert len(done) == waiters

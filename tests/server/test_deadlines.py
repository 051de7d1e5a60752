"""Time limits of many members with one timer."""

import asyncio
from collections.abc import Callable

import pytest

from quart_odds.server.deadlines import LEAST_SECONDS, Deadlines
from tests.virtual_time import VirtualTimeLoop, in_virtual_time


class Noted:
    """Deadlines of ten seconds, who was late, and when."""

    def __init__(self) -> None:
        self.late: list[tuple[str, float]] = []
        self.then: dict[str, Callable[[], object]] = {}
        """What a member does when it is late."""
        self.deadlines: Deadlines[str] = Deadlines(10.0, self._note)

    def _note(self, member: str) -> None:
        self.late.append((member, round(asyncio.get_running_loop().time(), 3)))
        self.then.get(member, lambda: None)()

    @property
    def names(self) -> list[str]:
        """Who was late, in order."""
        return [member for member, _ in self.late]


@in_virtual_time
async def test_each_member_has_its_time_in_the_order_in_which_they_came() -> None:
    """A member is late once, when its own time is up."""
    noted = Noted()
    for member in ("first", "second", "third"):
        noted.deadlines.add(member)
        await asyncio.sleep(1)
    assert len(noted.deadlines) == 3
    await asyncio.sleep(60)
    assert noted.late == [("first", 10.0), ("second", 11.0), ("third", 12.0)]
    assert len(noted.deadlines) == 0


@in_virtual_time
async def test_adding_a_member_again_gives_it_its_whole_time() -> None:
    """It comes after those that were added meanwhile."""
    noted = Noted()
    noted.deadlines.add("busy")
    await asyncio.sleep(4)
    noted.deadlines.add("quiet")
    await asyncio.sleep(4)
    noted.deadlines.add("busy")
    assert len(noted.deadlines) == 2
    await asyncio.sleep(60)
    assert noted.late == [("quiet", 14.0), ("busy", 18.0)]


@in_virtual_time
async def test_a_member_that_is_discarded_is_never_late() -> None:
    """Discarding one that is not there has no effect."""
    noted = Noted()
    for member in ("goes", "stays"):
        noted.deadlines.add(member)
    noted.deadlines.discard("goes")
    noted.deadlines.discard("goes")
    noted.deadlines.discard("never there")
    await asyncio.sleep(60)
    assert noted.names == ["stays"]


@in_virtual_time
async def test_all_members_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands that come and go set no timers, and thousands that are due one after the other cost few looks."""
    loop = asyncio.get_running_loop()
    timers = 0
    call_at = loop.call_at

    def counted(*args: object, **options: object) -> asyncio.TimerHandle:
        nonlocal timers
        timers += 1
        return call_at(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_at", counted)
    noted = Noted()
    for number in range(5000):
        noted.deadlines.add(f"{number}")
        if number % 2:
            noted.deadlines.discard(f"{number}")
    assert timers == 1
    waits = 0
    for number in range(1000):
        await asyncio.sleep(0.001)
        waits += 1
        noted.deadlines.add(f"later {number}")
    await asyncio.sleep(60)
    waits += 1
    assert len(noted.late) == 2500 + 1000
    assert timers - waits <= 2 + 1.0 / LEAST_SECONDS


@in_virtual_time
async def test_a_timer_is_set_again_after_all_have_gone() -> None:
    """It makes no difference whether they went by themselves or were late."""
    noted = Noted()
    noted.deadlines.add("one")
    noted.deadlines.discard("one")
    await asyncio.sleep(30)
    noted.deadlines.add("two")
    await asyncio.sleep(30)
    noted.deadlines.add("three")
    await asyncio.sleep(30)
    assert noted.late == [("two", 40.0), ("three", 70.0)]


@in_virtual_time
async def test_a_late_member_may_be_added_again_by_its_callback() -> None:
    """It then has its time once more."""
    noted = Noted()
    noted.then["again"] = lambda: noted.deadlines.add("again")
    noted.deadlines.add("again")
    await asyncio.sleep(35)
    assert noted.late == [("again", 10.0), ("again", 20.0), ("again", 30.0)]
    assert len(noted.deadlines) == 1


@in_virtual_time
async def test_a_callback_may_discard_and_renew_others_that_are_just_as_late() -> None:
    """A member that was discarded in time is not late, and one that was added again is late later."""
    noted = Noted()

    def act() -> None:
        noted.deadlines.discard("discarded")
        noted.deadlines.add("renewed")
        noted.deadlines.add("new")

    noted.then["acts"] = act
    for member in ("acts", "discarded", "renewed", "last"):
        noted.deadlines.add(member)
    await asyncio.sleep(60)
    assert noted.late == [("acts", 10.0), ("last", 10.0), ("renewed", 20.0), ("new", 20.0)]


@in_virtual_time
async def test_a_callback_that_fails_costs_the_others_nothing() -> None:
    """Its error goes to the loop, and the others are late all the same."""
    noted = Noted()
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))

    def fail() -> None:
        raise OSError("broken")

    noted.then["fails"] = fail
    for member in ("fails", "second", "third"):
        noted.deadlines.add(member)
    await asyncio.sleep(60)
    assert noted.names == ["fails", "second", "third"]
    assert [str(error) for error in errors] == ["broken"]


def test_members_of_a_loop_that_has_ended_are_forgotten() -> None:
    """The same deadlines then serve another loop, whose timers are its own."""
    noted = Noted()

    async def begin(member: str, seconds: float) -> None:
        noted.deadlines.add(member)
        await asyncio.sleep(seconds)

    for member, seconds in (("of the first loop", 3), ("of the second loop", 30)):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(begin(member, seconds))
    assert noted.late == [("of the second loop", 10.0)]
    assert len(noted.deadlines) == 0

"""Work that has to come to its end although whoever asked for it leaves: a request ends when its client goes."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def owned(work: Coroutine[Any, Any, T], tasks: set[asyncio.Task[Any]]) -> T:
    """The result of `work`, done in a task of its own, which is in `tasks` until it is over.

    To be cancelled while waiting for it leaves the work alone.
    """
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(lambda done: _over(done, tasks))
    return await asyncio.shield(task)


def _over(task: "asyncio.Task[Any]", tasks: set[asyncio.Task[Any]]) -> None:
    tasks.discard(task)
    if not task.cancelled():
        task.exception()  # was told to whoever waited; nobody may have

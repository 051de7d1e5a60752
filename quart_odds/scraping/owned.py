"""Work that has to finish even if its caller is cancelled, as a request is when its client disconnects."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def owned(work: Coroutine[Any, Any, T], tasks: set[asyncio.Task[Any]]) -> T:
    """Return the result of `work`, which runs in a separate task. The task is in `tasks` until it is done.

    Cancelling the caller does not cancel the work.
    """
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(lambda done: _over(done, tasks))
    return await asyncio.shield(task)


def _over(task: "asyncio.Task[Any]", tasks: set[asyncio.Task[Any]]) -> None:
    tasks.discard(task)
    if not task.cancelled():
        task.exception()  # Retrieve it even if the caller was cancelled; otherwise asyncio would log it.

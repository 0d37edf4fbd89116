"""Runs background work for as long as the node lives, such as commits, lease renewals and sweeps.

**Invariant:** a bug does not end such work unseen. It is logged, and the work begins again after a pause.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

PAUSE_S = 1.0


def for_ever(work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Return the task that does `work`, which does not end by itself, until it is cancelled."""
    return asyncio.get_running_loop().create_task(_for_ever(work))


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:
            log.exception("bug: background work failed; it begins again")
        await asyncio.sleep(PAUSE_S)

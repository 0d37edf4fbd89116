"""The deliveries of effects that are under way on this node, and how each goes on until it is recorded.

An effect is delivered until the execution that asked for it has recorded the answer: at least once. After a crash or a
lost lease the owner of the execution computes its pending effects again, so nothing here outlives memory.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from perdure.core.errors import Code, Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.outcome import Effect
from perdure.runtime.executions import Executions

log = structlog.get_logger(__name__)

RETRY_S = 0.05
RETRY_MAX_S = 5.0
#: An execution may answer differently next time.
_TRANSIENT = (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.ABORTED)


class UnderWay:
    def __init__(self, executions: Executions) -> None:
        self._executions = executions
        #: By name and generation: a delivery that began before memory was thrown away does not count.
        self._tasks: dict[tuple[tuple[object, ...], int], asyncio.Task[None]] = {}

    def __contains__(self, name: tuple[object, ...]) -> bool:
        return (name, self._executions.generation) in self._tasks

    def begin(
        self, name: tuple[object, ...], work: Callable[[int], Coroutine[Any, Any, None]]
    ) -> None:
        """Begin `work` with the generation of now, unless what has this name is under way."""
        generation = self._executions.generation
        place = (name, generation)
        if place not in self._tasks:
            task = asyncio.get_running_loop().create_task(work(generation))
            self._tasks[place] = task
            task.add_done_callback(lambda _: self._tasks.pop(place, None))

    async def stop(self) -> None:
        """Abandon them: they stay pending effects of their executions."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def until_recorded(
        self,
        key: ExecutionKey,
        effect: Effect,
        generation: int,
        record: Callable[[], Awaitable[object]],
    ) -> None:
        """Repeat `record` until it returns, or the execution `key`, which waits for it, is gone."""
        delay_s = RETRY_S
        while generation == self._executions.generation:
            try:
                await record()
                return
            except Rejected as refusal:
                if refusal.code is Code.NOT_FOUND:
                    return  # The execution is deleted.
                if refusal.code not in _TRANSIENT:
                    log.error(
                        "bug: the delivery of an effect was refused",
                        **_about(key, effect),
                        error=refusal.message,
                    )
            except Exception:
                # The execution waits for the answer: another try follows.
                log.exception("bug: the delivery of an effect failed", **_about(key, effect))
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)


def _about(key: ExecutionKey, effect: Effect) -> dict[str, object]:
    return {**key._asdict(), "effect": type(effect).__name__}

"""A caller that repeats its calls over an unreliable network until one is answered."""

import asyncio
import random
from collections.abc import Iterable
from typing import Any, Protocol

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from perdure.core.errors import Code, Rejected
from perdure.testing.simulator.witness import Server, Witness

_TASK_STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
#: The server cannot answer now, or it did and the answer was lost.
AGAIN = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED)


class Actor(Protocol):
    """A part of a world with a life of its own."""

    async def live(self) -> None: ...


class BusyActor(Actor, Protocol):
    """An actor that goes on until `is_over`."""

    is_over: bool


class RetryingCaller:
    def __init__(self, server: Server, witness: Witness, randomness: random.Random) -> None:
        self._server = server
        self._witness = witness
        self._random = randomness

    async def insist(self, request: Any, *, tries: int = 1000, timeout_s: float = 10.0) -> Any:
        """Call until there is an answer. Raises `Rejected` for one that will not change."""
        for attempt in range(tries):
            try:
                return await self._server.call(request, timeout_s)
            except Rejected as refusal:
                if refusal.code not in AGAIN or attempt == tries - 1:
                    raise
                is_exhausted = refusal.code is Code.RESOURCE_EXHAUSTED
            # As SDKs do: a server that is asked for too much is left alone for longer.
            await asyncio.sleep(
                self._random.uniform(0.5, 3.0) if is_exhausted else self._random.uniform(0.05, 1.0)
            )
        raise AssertionError("unreachable")

    async def call_once(self, request: Any) -> Any:
        try:
            return await self._server.call(request)
        except Rejected:
            return None

    async def reset(
        self,
        execution: WorkflowExecution,
        events: Iterable[HistoryEvent],
        *,
        namespace: str,
        request_id: str,
    ) -> str:
        """Take a run back to one of the workflow tasks among `events`; return the new run, "" if there is none."""
        tasks = [event.event_id for event in events if event.event_type == _TASK_STARTED]
        if not tasks:
            return ""
        request = ResetWorkflowExecutionRequest(
            namespace=namespace,
            workflow_execution=execution,
            request_id=request_id,
            workflow_task_finish_event_id=self._random.choice(tasks) + 1,
        )
        try:
            reply = await self.insist(request)
        except Rejected as refusal:
            # The run is gone, or is not the current one any more, or another worker got the task: its start that was
            # shown was not durable.
            if refusal.code not in (Code.NOT_FOUND, Code.INVALID_ARGUMENT):
                raise
            return ""
        self._witness.resets.add(reply.run_id)
        return str(reply.run_id)

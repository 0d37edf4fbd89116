"""Clients that ask again until they are answered, and remember what they were promised."""

import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflowservice.v1 import (
    ListWorkflowExecutionsRequest,
    QueryWorkflowRequest,
    RequestCancelWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)

from perdure.core.errors import Code, Rejected
from perdure.testing.simulator.model_worker import CONTINUE, NAMESPACE, QUEUE, SIGNAL, STEPS, Server

#: The server cannot answer now, or did and the answer was lost.
AGAIN = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED)


@dataclass
class Promises:
    """What was acknowledged, and so must be true for ever."""

    started: set[str] = field(default_factory=set)
    signals: set[tuple[str, str]] = field(default_factory=set)
    updates: set[tuple[str, str]] = field(default_factory=set)
    terminated: set[str] = field(default_factory=set)


class ModelClient:
    """Sees one workflow through its life."""

    def __init__(
        self,
        workflow_id: str,
        server: Server,
        promises: Promises,
        randomness: random.Random,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.workflow_id = workflow_id
        self._server = server
        self._promises = promises
        self._random = randomness
        self._sleep = sleep
        steps = randomness.choices(STEPS, weights=[3, 2, 2, 2, 1, 1], k=randomness.randint(1, 6))
        self._program = [step for step in steps if step != CONTINUE or randomness.random() < 0.7]

    async def live(self) -> None:
        await self._sleep(self._random.uniform(0, 20))
        await self._start()
        for number in range(self._random.randint(0, 3) + self._program.count(SIGNAL)):
            await self._sleep(self._random.uniform(0, 15))
            if not await self.signal(f"s{number}"):
                return
            if self._random.random() < 0.4:
                await self._query()
            if self._random.random() < 0.4:
                await self._update(f"u{number}")
            if self._random.random() < 0.03:
                await self._terminate()
            if self._random.random() < 0.03:
                await self._cancel()

    async def _start(self) -> None:
        request = StartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=self.workflow_id,
            request_id=f"{self.workflow_id}/start",
        )
        request.workflow_type.name = "Program"
        request.task_queue.name = QUEUE
        request.input.payloads.add(data=json.dumps(self._program).encode())
        try:
            first = await self.insist(request)
            if self._random.random() < 0.2 and CONTINUE not in self._program:
                second = await self.insist(request)
                assert second.run_id == first.run_id, "one start, two runs"
        except Rejected as refusal:
            # It has gone on as a new run since an earlier try, which does not know the request any more.
            if refusal.code is not Code.ALREADY_EXISTS or CONTINUE not in self._program:
                raise
        self._promises.started.add(self.workflow_id)
        listed = await self.insist(ListWorkflowExecutionsRequest(namespace=NAMESPACE))
        found = {info.execution.workflow_id for info in listed.executions}
        assert self.workflow_id in found, f"{self.workflow_id} was started, and no list shows it"

    async def signal(self, name: str) -> bool:
        """Return whether there was still a run to signal."""
        request = SignalWorkflowExecutionRequest(
            namespace=NAMESPACE, signal_name=name, request_id=f"{self.workflow_id}/{name}"
        )
        request.workflow_execution.workflow_id = self.workflow_id
        try:
            await self.insist(request)
        except Rejected as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise
            return False
        self._promises.signals.add((self.workflow_id, name))
        if self._random.random() < 0.2:
            await self._call_once(request)  # A retry whose first answer was lost.
        return True

    async def _query(self) -> None:
        """What a query shows may be of a later run, but no signal to this one may be missing."""
        request = QueryWorkflowRequest(
            namespace=NAMESPACE, query=WorkflowQuery(query_type="signals")
        )
        request.execution.workflow_id = self.workflow_id
        known = {
            name for workflow_id, name in self._promises.signals if workflow_id == self.workflow_id
        }
        reply = await self._call_once(request)
        if reply is not None and CONTINUE not in self._program:
            seen = set(json.loads(reply.query_result.payloads[0].data))
            assert known <= seen, f"{self.workflow_id}: a query does not see {known - seen}"

    async def _update(self, update_id: str) -> None:
        request = UpdateWorkflowExecutionRequest(namespace=NAMESPACE)
        request.workflow_execution.workflow_id = self.workflow_id
        request.request.meta.update_id = update_id
        request.request.input.name = "update"
        try:
            reply = await self.insist(request, tries=5)
        except Rejected as refusal:
            if refusal.code not in (Code.NOT_FOUND, Code.FAILED_PRECONDITION, *AGAIN):
                raise
            return
        if reply.outcome.HasField("success"):
            assert reply.outcome.success.payloads[0].data.decode() == update_id
            self._promises.updates.add((self.workflow_id, update_id))

    async def _terminate(self) -> None:
        request = TerminateWorkflowExecutionRequest(namespace=NAMESPACE)
        request.workflow_execution.workflow_id = self.workflow_id
        try:
            await self.insist(request)
        except Rejected as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise
        self._promises.terminated.add(self.workflow_id)

    async def _cancel(self) -> None:
        request = RequestCancelWorkflowExecutionRequest(namespace=NAMESPACE)
        request.workflow_execution.workflow_id = self.workflow_id
        await self.insist(request)

    async def insist(self, request: Any, tries: int = 1000) -> Any:
        """Call until there is an answer. Raises `Rejected` for one that will not change."""
        for attempt in range(tries):
            try:
                return await self._server.call(request)
            except Rejected as refusal:
                if refusal.code not in AGAIN or attempt == tries - 1:
                    raise
            await self._sleep(self._random.uniform(0.05, 1.0))
        raise AssertionError("unreachable")

    async def _call_once(self, request: Any) -> Any:
        try:
            return await self._server.call(request)
        except Rejected:
            return None

"""Clients that delete runs, or a whole namespace, or reset a workflow to a run before deleted ones."""

import asyncio
import json
import random
from typing import Any

import msgspec
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)

from perdure.core.errors import Code, Rejected
from perdure.runtime.namespaces import Namespace
from perdure.store.port import NamespaceRow
from perdure.testing.simulator.program import (
    CHILD,
    CONTINUE,
    NAMESPACE,
    ONCE,
    QUEUE,
    RETRIED,
    TIMER,
)
from perdure.testing.simulator.receivers import HOSTS
from perdure.testing.simulator.retrying_caller import RetryingCaller
from perdure.testing.simulator.witness import Server, Witness

#: Closed runs are kept for a short time here; it may be deleted itself.
BRIEF = "brief"
BRIEF_ID = "00000000-0000-4000-8000-000000000b1e"
RETENTION_NS = 15 * 10**9
_STEPS = (TIMER, ONCE, RETRIED, CHILD)


def brief_namespace() -> NamespaceRow:
    namespace = Namespace(id=BRIEF_ID, name=BRIEF, retention_ns=RETENTION_NS)
    return NamespaceRow(BRIEF_ID, BRIEF, msgspec.msgpack.encode(namespace), 1)


class DeletingClient(RetryingCaller):
    """Starts runs of one workflow id, one after the other; in the default namespace it deletes them, too."""

    def __init__(
        self,
        workflow_id: str,
        namespace: str,
        server: Server,
        witness: Witness,
        randomness: random.Random,
    ) -> None:
        super().__init__(server, witness, randomness)
        self._workflow_id = workflow_id
        self._namespace = namespace

    async def live(self) -> None:
        for number in range(self._random.randint(2, 5)):
            await asyncio.sleep(self._random.uniform(0, 15))
            run_id = await self._start(number)
            await asyncio.sleep(self._random.choice((0.0, self._random.uniform(0, 20))))
            if self._random.random() < 0.5:
                await self._signal(number)
            # Some stay: then the workflow id keeps the number of a later one that is deleted.
            if run_id and self._namespace == NAMESPACE and self._random.random() < 0.7:
                await self._delete(run_id)

    async def _start(self, number: int) -> str:
        """Return the new run; empty if there is none."""
        request = StartWorkflowExecutionRequest(
            namespace=self._namespace,
            workflow_id=self._workflow_id,
            request_id=f"{self._workflow_id}/start/{number}",
        )
        request.workflow_type.name = "Program"
        request.task_queue.name = QUEUE
        program = self._random.choices(_STEPS, k=self._random.randint(0, 3))
        request.input.payloads.add(data=json.dumps(program).encode())
        if self._random.random() < 0.5:
            url = f"{self._random.choice(HOSTS)}/{self._workflow_id}/{number}"
            request.completion_callbacks.add().nexus.url = url
        try:
            return str((await self.insist(request)).run_id)
        except Rejected as refusal:
            # The last one goes on, or the namespace is deleted.
            if refusal.code not in (Code.ALREADY_EXISTS, Code.NOT_FOUND):
                raise
            return ""

    async def _signal(self, number: int) -> None:
        request = SignalWorkflowExecutionRequest(
            namespace=self._namespace,
            signal_name=f"s{number}",
            request_id=f"{self._workflow_id}/s{number}",
        )
        request.workflow_execution.workflow_id = self._workflow_id
        await self._insist_if_there(request)

    async def _delete(self, run_id: str) -> None:
        request = DeleteWorkflowExecutionRequest(namespace=self._namespace)
        request.workflow_execution.workflow_id = self._workflow_id
        if self._random.random() < 0.7:
            request.workflow_execution.run_id = run_id
        self._witness.may_go.add(run_id)
        await self._insist_if_there(request)
        self._witness.must_go.add(run_id)
        if self._random.random() < 0.5:
            look = DescribeWorkflowExecutionRequest(namespace=self._namespace)
            look.execution.workflow_id = self._workflow_id
            await self._insist_if_there(look)

    async def _insist_if_there(self, request: Any) -> None:
        try:
            await self.insist(request)
        except Rejected as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise


class ResettingClient(RetryingCaller):
    """Deletes runs that a workflow went on as, and takes the workflow back to a run before them."""

    def __init__(
        self, workflow_id: str, server: Server, witness: Witness, randomness: random.Random
    ) -> None:
        super().__init__(server, witness, randomness)
        self._workflow_id = workflow_id
        self._program = [randomness.choice((TIMER, RETRIED))]
        for _ in range(randomness.randint(1, 3)):
            self._program += [CONTINUE, randomness.choice((TIMER, ONCE, RETRIED))]

    async def live(self) -> None:
        await asyncio.sleep(self._random.uniform(0, 20))
        first = await self._start()
        if not first:
            return
        runs = await self._runs_from(first, self._random.randint(1, self._program.count(CONTINUE)))
        for run_id in runs[1:]:
            if self._random.random() < 0.6:
                await self._delete(run_id)
        await self._reset(self._random.choice((first, first, runs[-1])))

    async def _start(self) -> str:
        """Return the first run; empty if nobody says which it was."""
        request = StartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=self._workflow_id,
            request_id=f"{self._workflow_id}/start",
        )
        request.workflow_type.name = "Program"
        request.task_queue.name = QUEUE
        request.input.payloads.add(data=json.dumps(self._program).encode())
        try:
            return str((await self.insist(request)).run_id)
        except Rejected as refusal:
            # It has gone on since an earlier try, and does not know the request any more.
            if refusal.code is not Code.ALREADY_EXISTS:
                raise
            return ""

    async def _runs_from(self, first: str, count: int) -> list[str]:
        """Return the runs that the workflow is seen to have, until it has gone on so often, or has ended."""
        runs = [first]
        while len(runs) <= count:
            request = DescribeWorkflowExecutionRequest(namespace=NAMESPACE)
            request.execution.workflow_id = self._workflow_id
            info = (await self.insist(request)).workflow_execution_info
            if info.execution.run_id != runs[-1]:
                runs.append(info.execution.run_id)
            if info.status != WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING:
                break
            await asyncio.sleep(self._random.uniform(0.1, 1.0))
        return runs

    async def _delete(self, run_id: str) -> None:
        request = DeleteWorkflowExecutionRequest(namespace=NAMESPACE)
        request.workflow_execution.workflow_id = self._workflow_id
        request.workflow_execution.run_id = run_id
        self._witness.may_go.add(run_id)
        await self._insist_if_there(request)
        self._witness.must_go.add(run_id)

    async def _reset(self, run_id: str) -> None:
        history = GetWorkflowExecutionHistoryRequest(namespace=NAMESPACE)
        history.execution.workflow_id = self._workflow_id
        history.execution.run_id = run_id
        shown = await self._insist_if_there(history)
        events = shown.history.events if shown is not None else ()
        request_id = f"{self._workflow_id}/reset"
        await self.reset(history.execution, events, namespace=NAMESPACE, request_id=request_id)

    async def _insist_if_there(self, request: Any) -> Any:
        try:
            return await self.insist(request)
        except Rejected as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise
        return None


class NamespaceDeleter(RetryingCaller):
    async def live(self) -> None:
        """Delete the namespace of what is kept for a short time only."""
        await asyncio.sleep(self._random.uniform(10, 90))
        self._witness.is_brief_deleted = True
        try:
            await self.insist(DeleteNamespaceRequest(namespace=BRIEF))
        except Rejected as refusal:
            # It has another name since an earlier try.
            if refusal.code is not Code.NOT_FOUND:
                raise

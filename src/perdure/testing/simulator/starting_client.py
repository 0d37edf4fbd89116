"""How a client starts its workflow: alone, with a signal, or with an update; and how it attaches callbacks later."""

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

from temporalio.api.enums.v1 import (
    UpdateWorkflowExecutionLifecycleStage,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.errordetails.v1 import MultiOperationExecutionFailure
from temporalio.api.update.v1 import UpdateRef
from temporalio.api.workflowservice.v1 import (
    ExecuteMultiOperationRequest,
    ListWorkflowExecutionsRequest,
    PollWorkflowExecutionUpdateRequest,
    SignalWithStartWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
    UpdateWorkflowExecutionResponse,
)

from perdure.core.errors import Code, Rejected
from perdure.testing.simulator.model_worker import ModelWorker
from perdure.testing.simulator.program import (
    CONTINUE,
    FAIL,
    FLAKY,
    NAMESPACE,
    POLICY,
    QUEUE,
    SCHEDULE,
    STEPS,
    STOP,
    TELL,
    WEIGHTS,
)
from perdure.testing.simulator.receivers import HOSTS, REFUSED
from perdure.testing.simulator.retrying_caller import AGAIN, RetryingCaller
from perdure.testing.simulator.witness import Server, Witness

_Stage = UpdateWorkflowExecutionLifecycleStage
ACCEPTED = _Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED
COMPLETED = _Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
#: An update was refused: there is no open run, or it is paused, or it has ended before it took the update.
_NOT_UPDATED = (Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.ABORTED)


class StartingClient(RetryingCaller):
    def __init__(
        self,
        workflow_id: str,
        server: Server,
        witness: Witness,
        randomness: random.Random,
        *,
        others: Sequence[str],
        worker: ModelWorker,
    ) -> None:
        """`worker` works where this client is, and takes the task that comes with the answer to a start."""
        super().__init__(server, witness, randomness)
        self._worker = worker
        self.workflow_id = workflow_id
        steps = randomness.choices(STEPS, weights=WEIGHTS, k=randomness.randint(1, 6))
        steps = [
            f"{step} {randomness.choice(others)}" if step in (TELL, STOP) else step
            for step in steps
        ]
        self._is_started = asyncio.Event()
        self._program = [step for step in steps if step != CONTINUE or randomness.random() < 0.7]
        self._is_retried = bool({FAIL, FLAKY} & set(steps)) and randomness.random() < 0.8
        self._is_by_schedule = randomness.random() < 0.1
        #: The first run may not be the last.
        self._goes_on = CONTINUE in self._program or self._is_retried or self._is_by_schedule

    async def start(self) -> None:
        """Start the workflow, and see that it is listed."""
        way = self._random.choices(
            (self._start_alone, self._start_with_signal, self._start_with_update), (6, 2, 2)
        )[0]
        run_id = await way()
        self._witness.started[self.workflow_id] = run_id
        self._is_started.set()
        if self._witness.lists_follow:
            return
        listed = await self.insist(ListWorkflowExecutionsRequest(namespace=NAMESPACE))
        found = {info.execution.workflow_id for info in listed.executions}
        assert self.workflow_id in found, f"{self.workflow_id} was started, and no list shows it"

    # One way or another; each returns the first run, or "" if nobody says which it was

    async def _start_alone(self) -> str:
        request = self._first_request()
        request.request_eager_execution = self._random.random() < 0.3
        return await self._insist_on_start(request)

    async def _insist_on_start(self, request: StartWorkflowExecutionRequest) -> str:
        try:
            reply = await self.insist(request)
            if reply.eager_workflow_task.task_token:
                await self._worker.work_eagerly(reply.eager_workflow_task)
            if self._random.random() < 0.2 and not self._goes_on:
                second = await self.insist(request)
                self._witness.repeated_starts.append((reply.run_id, second.run_id))
        except Rejected as refusal:
            # It has gone on as a new run since an earlier try, which does not know the request any more.
            if refusal.code is not Code.ALREADY_EXISTS or not self._goes_on:
                raise
            self._saw_callbacks(request)
            return ""
        self._saw_callbacks(request)
        return str(reply.run_id)

    async def _start_with_signal(self) -> str:
        start = self._first_request()
        request = SignalWithStartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=self.workflow_id,
            workflow_type=start.workflow_type,
            task_queue=start.task_queue,
            input=start.input,
            request_id=start.request_id,
            cron_schedule=start.cron_schedule,
            signal_name="with-start",
        )
        if start.HasField("retry_policy"):
            request.retry_policy.CopyFrom(start.retry_policy)
        reply = await self.insist(request)
        self._witness.signals.add((self.workflow_id, request.signal_name))
        return "" if self._goes_on else str(reply.run_id)

    async def _start_with_update(self) -> str:
        start = self._first_request()
        # It is not allowed together.
        start.cron_schedule = ""
        use_existing = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
        start.workflow_id_conflict_policy = use_existing
        update = self._update_request("with-start")
        request = ExecuteMultiOperationRequest(namespace=NAMESPACE)
        request.operations.add().start_workflow.CopyFrom(start)
        request.operations.add().update_workflow.CopyFrom(update)
        try:
            reply = await self.insist(request, tries=20)
        except Rejected as refusal:
            if refusal.code not in (Code.ALREADY_EXISTS, *_NOT_UPDATED, *AGAIN):
                raise
            _check_statuses(refusal)
            start.ClearField("workflow_id_conflict_policy")
            return await self._insist_on_start(start)
        started, updated = reply.responses[0].start_workflow, reply.responses[1].update_workflow
        ref = updated.update_ref
        assert ref.workflow_execution.run_id == started.run_id, "started one run, updated another"
        await self._follow_update(updated)
        if started.started:
            self._saw_callbacks(start)
        return "" if self._goes_on else str(started.run_id)

    # Requests

    def _first_request(self) -> StartWorkflowExecutionRequest:
        request = self._start_request(f"{self.workflow_id}/start")
        if self._is_retried:
            request.retry_policy.CopyFrom(POLICY)
        if self._is_by_schedule:
            request.cron_schedule = SCHEDULE
        return request

    def _start_request(self, request_id: str) -> StartWorkflowExecutionRequest:
        request = StartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=self.workflow_id,
            request_id=request_id,
        )
        request.workflow_type.name = "Program"
        request.task_queue.name = QUEUE
        request.input.payloads.add(data=json.dumps(self._program).encode())
        for number in range(self._random.choice((0, 1, 2))):
            refused = REFUSED if self._random.random() < 0.2 else ""
            url = f"{self._random.choice(HOSTS)}/{request_id}/{number}{refused}"
            request.completion_callbacks.add().nexus.url = url
        return request

    def _update_request(self, update_id: str) -> UpdateWorkflowExecutionRequest:
        request = UpdateWorkflowExecutionRequest(namespace=NAMESPACE)
        request.workflow_execution.workflow_id = self.workflow_id
        request.request.meta.update_id = update_id
        request.request.input.name = "update"
        if self._random.random() < 0.5:
            request.wait_policy.lifecycle_stage = ACCEPTED
        return request

    def _saw_callbacks(self, request: StartWorkflowExecutionRequest) -> None:
        """The callbacks were acknowledged."""
        for callback in request.completion_callbacks:
            self._witness.callbacks.add((self.workflow_id, callback.nexus.url))

    # Later

    async def attach(self, number: int) -> None:
        """Start the workflow once more, and so attach other callbacks to the run that there is."""
        request = self._start_request(f"{self.workflow_id}/attach{number}")
        conflict, reuse = WorkflowIdConflictPolicy, WorkflowIdReusePolicy
        request.workflow_id_conflict_policy = conflict.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
        request.workflow_id_reuse_policy = reuse.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
        request.on_conflict_options.attach_request_id = True
        request.on_conflict_options.attach_completion_callbacks = True
        try:
            reply = await self.insist(request)
        except Rejected as refusal:
            if refusal.code is not Code.ALREADY_EXISTS:
                raise
            return
        assert not reply.started, f"{self.workflow_id} was started anew"
        self._saw_callbacks(request)

    async def update(self, update_id: str) -> None:
        try:
            reply = await self.insist(self._update_request(update_id), tries=5)
        except Rejected as refusal:
            if refusal.code not in (*_NOT_UPDATED, *AGAIN):
                raise
            return
        await self._follow_update(reply)

    async def _follow_update(self, reply: UpdateWorkflowExecutionResponse) -> None:
        """Wait for the outcome of an update that was accepted."""
        seen: Any = reply
        # One that knows the outcome may ask again: it must be the same.
        asks_again = self._random.random() < 0.3
        while seen.stage != COMPLETED or asks_again:
            asks_again = False
            is_accepted = seen.stage in (ACCEPTED, COMPLETED)
            seen = await self._poll_update(reply.update_ref, is_accepted=is_accepted)
            if seen is None:
                return
        update_id = reply.update_ref.update_id
        assert seen.outcome.WhichOneof("value"), f"{update_id} has ended, and with nothing"
        if seen.outcome.HasField("success"):
            assert seen.outcome.success.payloads[0].data.decode() == update_id
            self._witness.updates.add((self.workflow_id, update_id))

    async def _poll_update(self, ref: UpdateRef, *, is_accepted: bool) -> Any:
        """Return what is known of the update, or None if it is lost."""
        request = PollWorkflowExecutionUpdateRequest(namespace=NAMESPACE, update_ref=ref)
        request.wait_policy.lifecycle_stage = COMPLETED
        try:
            return await self.insist(request)
        except Rejected as refusal:
            # One that was accepted must not be lost.
            if refusal.code not in _NOT_UPDATED or is_accepted:
                raise
            return None


def _check_statuses(refusal: Rejected) -> None:
    """A refusal of several operations says of each what has become of it."""
    if isinstance(refusal.detail, MultiOperationExecutionFailure):
        codes = [status.code for status in refusal.detail.statuses]
        assert len(codes) == 2, codes
        assert int(refusal.code) in codes, codes

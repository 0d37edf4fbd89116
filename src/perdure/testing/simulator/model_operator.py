"""An operator: pauses workflows and activities, resets activities, changes priorities and timeouts."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    PauseActivityExecutionRequest,
    PauseActivityRequest,
    PauseWorkflowExecutionRequest,
    ResetActivityExecutionRequest,
    ResetActivityRequest,
    UnpauseActivityExecutionRequest,
    UnpauseActivityRequest,
    UnpauseWorkflowExecutionRequest,
    UpdateActivityExecutionOptionsRequest,
    UpdateActivityOptionsRequest,
    UpdateWorkflowExecutionOptionsRequest,
)

from perdure.core.errors import Code, Rejected
from perdure.runtime.clock import Clock
from perdure.testing.simulator.program import NAMESPACE
from perdure.testing.simulator.retrying_caller import AGAIN, RetryingCaller
from perdure.testing.simulator.witness import Place, Server, Witness

RUNNING = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
PAUSED = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED
#: It has ended meanwhile, or an earlier try was carried out.
_TOO_LATE = (Code.NOT_FOUND, Code.FAILED_PRECONDITION)
#: By what they ask for: the older request, and the newer one.
_ABOUT_ACTIVITIES: dict[str, tuple[Any, Any]] = {
    "pause": (PauseActivityRequest, PauseActivityExecutionRequest),
    "unpause": (UnpauseActivityRequest, UnpauseActivityExecutionRequest),
    "reset": (ResetActivityRequest, ResetActivityExecutionRequest),
    "change": (UpdateActivityOptionsRequest, UpdateActivityExecutionOptionsRequest),
}


class ModelOperator(RetryingCaller):
    """No other operator has a hand in the same workflows."""

    def __init__(
        self,
        workflow_ids: Sequence[str],
        server: Server,
        witness: Witness,
        randomness: random.Random,
        clock: Clock,
    ) -> None:
        super().__init__(server, witness, randomness)
        self._workflow_ids = workflow_ids
        self._clock = clock
        self._number = 0
        #: Run id → the priority key that was acknowledged.
        self._priorities: dict[str, int] = {}
        self.is_over = False

    async def live(self) -> None:
        """Take a hand in one workflow after the other; unpause each before this ends."""
        while not self.is_over:
            await asyncio.sleep(self._random.expovariate(1 / 0.7))
            workflow_id = self._random.choice(self._workflow_ids)
            shown = await self._look(WorkflowExecution(workflow_id=workflow_id), tries=1)
            if shown is None or shown.workflow_execution_info.status != RUNNING:
                continue
            execution = shown.workflow_execution_info.execution
            names = [each.activity_id for each in shown.pending_activities]
            draw = self._random.random()
            if draw < 0.2:
                await self._hold(execution, "")
            elif draw < 0.3:
                await self._prioritise(execution)
            elif names:
                act = self._random.choice((self._hold, self._hold, self._begin_anew, self._change))
                await act(execution, self._random.choice(names))

    async def end_pauses(self) -> None:
        """Unpause what is still paused: a reset of a paused run is paused, too, and no answer said so."""
        for workflow_id in self._workflow_ids:
            shown = await self._look(WorkflowExecution(workflow_id=workflow_id))
            if shown is not None and shown.workflow_execution_info.status == PAUSED:
                await self._unpause_run(shown.workflow_execution_info.execution)

    # One thing at a time

    async def _hold(self, execution: WorkflowExecution, activity_id: str) -> None:
        """Pause the activity, or the run if none is named; see that it stays so for a while; unpause it."""
        place: Place = (execution.run_id, activity_id)
        request: Any
        if activity_id:
            request = self._request("pause", execution, activity_id)
        else:
            request = PauseWorkflowExecutionRequest(
                workflow_id=execution.workflow_id, run_id=execution.run_id
            )
        request.request_id = self._name()
        if not await self._is_taken(request):
            return
        self._witness.hold(place, self._clock.now_ns())
        await asyncio.sleep(self._random.uniform(1, 12))
        await self._see_that_it_is_paused(execution, activity_id)
        self._witness.release(place, self._clock.now_ns())
        if not activity_id:
            await self._unpause_run(execution)
        elif self._random.random() < 0.3:
            await self._begin_anew(execution, activity_id)
        else:
            unpause = self._request("unpause", execution, activity_id)
            resets = isinstance(unpause, UnpauseActivityRequest) and self._random.random() < 0.5
            if resets:
                unpause.reset_attempts = True
            await self._is_taken(unpause, begins_anew=place if resets else None)

    async def _see_that_it_is_paused(self, execution: WorkflowExecution, activity_id: str) -> None:
        shown = await self._look(execution)
        if shown is None or shown.workflow_execution_info.HasField("close_time"):
            return
        if not activity_id:
            status = shown.workflow_execution_info.status
            assert status == PAUSED, f"{execution.workflow_id} was paused, and is {status}"
        for each in shown.pending_activities:
            if each.activity_id == activity_id:
                assert each.paused, f"activity {activity_id} of {execution} was paused, and is not"

    async def _unpause_run(self, execution: WorkflowExecution) -> None:
        await self._is_taken(
            UnpauseWorkflowExecutionRequest(
                workflow_id=execution.workflow_id,
                run_id=execution.run_id,
                request_id=self._name(),
            )
        )

    async def _begin_anew(self, execution: WorkflowExecution, activity_id: str) -> None:
        """Reset the activity: it is not paused then, either."""
        request = self._request("reset", execution, activity_id)
        await self._is_taken(request, begins_anew=(execution.run_id, activity_id))

    async def _change(self, execution: WorkflowExecution, activity_id: str) -> None:
        """Give the activity another timeout."""
        place = (execution.run_id, activity_id)
        seconds = self._random.randint(20, 30)
        request = self._request("change", execution, activity_id)
        request.activity_options.start_to_close_timeout.FromSeconds(seconds)
        request.update_mask.paths.append("start_to_close_timeout")
        self._witness.timeouts.pop(place, None)
        if not await self._is_taken(request):
            return
        self._witness.changed_timeout(place, self._clock.now_ns(), seconds)
        shown = await self._look(execution)
        for each in shown.pending_activities if shown is not None else ():
            if each.activity_id == activity_id:
                has = each.activity_options.start_to_close_timeout.seconds
                assert has == seconds, f"{execution}: timeout {has}, and not {seconds}"

    async def _prioritise(self, execution: WorkflowExecution) -> None:
        """Give the run another priority."""
        request = UpdateWorkflowExecutionOptionsRequest(workflow_execution=execution)
        key = self._random.randint(1, 5)
        request.workflow_execution_options.priority.priority_key = key
        request.update_mask.paths.append("priority")
        self._priorities.pop(execution.run_id, None)
        if await self._is_taken(request):
            self._priorities[execution.run_id] = key
            await self._look(execution)

    def _request(self, what: str, execution: WorkflowExecution, activity_id: str) -> Any:
        """Return a request about an activity: an older one, or one of those that know standalone activities, too."""
        older, newer = _ABOUT_ACTIVITIES[what]
        if self._random.random() < 0.5:
            return older(execution=execution, id=activity_id)
        return newer(
            workflow_id=execution.workflow_id, run_id=execution.run_id, activity_id=activity_id
        )

    # Calls

    async def _look(
        self, execution: WorkflowExecution, *, tries: int = 1000
    ) -> DescribeWorkflowExecutionResponse | None:
        request = DescribeWorkflowExecutionRequest(namespace=NAMESPACE, execution=execution)
        try:
            shown = await self.insist(request, tries=tries)
        except Rejected as refusal:
            if refusal.code not in (Code.NOT_FOUND, *AGAIN):
                raise
            return None
        assert isinstance(shown, DescribeWorkflowExecutionResponse)
        info = shown.workflow_execution_info
        key = self._priorities.get(info.execution.run_id, info.priority.priority_key)
        assert info.priority.priority_key == key, f"{info.execution}: {info.priority}, not {key}"
        return shown

    async def _is_taken(self, request: Any, *, begins_anew: Place | None = None) -> bool:
        """Insist. Return whether there was still something to take a hand in."""
        request.namespace = NAMESPACE
        while True:
            if begins_anew is not None:
                # Each try may do it, also one whose answer is lost.
                self._witness.begun_anew[begins_anew] += 1
            try:
                await self.insist(request, tries=1)
                return True
            except Rejected as refusal:
                if refusal.code in _TOO_LATE:
                    return False
                if refusal.code not in AGAIN:
                    raise
            await asyncio.sleep(self._random.uniform(0.05, 1.0))

    def _name(self) -> str:
        self._number += 1
        return f"{self._workflow_ids[0]}/operator/{self._number}"

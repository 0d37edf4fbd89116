"""A worker of activities: it reports by task token or by the activity's id, and sends heartbeats.

An acknowledged heartbeat is shown to the next attempt. An activity that is asked to stop learns of it by its next
heartbeat, and reports that it has stopped.
"""

import asyncio
import json
from typing import Any

from temporalio.api.common.v1 import Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflowservice.v1 import (
    PollActivityTaskQueueRequest,
    PollActivityTaskQueueResponse,
    RecordActivityTaskHeartbeatByIdRequest,
    RecordActivityTaskHeartbeatRequest,
    RespondActivityTaskCanceledByIdRequest,
    RespondActivityTaskCanceledRequest,
    RespondActivityTaskCompletedByIdRequest,
    RespondActivityTaskCompletedRequest,
    RespondActivityTaskFailedByIdRequest,
    RespondActivityTaskFailedRequest,
)

from perdure.core.errors import Rejected
from perdure.testing.simulator.program import BEATING, ENDLESS, FAILURES, QUEUE
from perdure.testing.simulator.unreliable_worker import POLL_S, UnreliableWorker

#: By what a request says: the request with a task token, and the one with the activity's id.
_REQUESTS: dict[str, tuple[Any, Any]] = {
    "heartbeat": (RecordActivityTaskHeartbeatRequest, RecordActivityTaskHeartbeatByIdRequest),
    "completed": (RespondActivityTaskCompletedRequest, RespondActivityTaskCompletedByIdRequest),
    "failed": (RespondActivityTaskFailedRequest, RespondActivityTaskFailedByIdRequest),
    "canceled": (RespondActivityTaskCanceledRequest, RespondActivityTaskCanceledByIdRequest),
}
_BEATS = 2
#: An endless activity stops by itself after so many heartbeats: it is lost.
_BEATS_MAX = 15


class ActivityWorker(UnreliableWorker):
    async def run_activities(self) -> None:
        """Take activity tasks for ever."""
        while True:
            request = PollActivityTaskQueueRequest(namespace=self._namespace, identity=self._name)
            request.task_queue.name = QUEUE
            try:
                task = await self._server.call(request, timeout_s=POLL_S)
                assert isinstance(task, PollActivityTaskQueueResponse)
                if task.task_token:
                    await self._act(task)
            except Rejected as refusal:
                await self.pause_after(refusal)

    async def _act(self, task: PollActivityTaskQueueResponse) -> None:
        self._witness.got_attempt(task)
        if self.misbehaves(0.05):
            return  # The worker died with the task in its hand.
        await asyncio.sleep(self._random.expovariate(1 / 0.05))
        if self.misbehaves(0.03):
            await self.pause(40.0)  # Longer than it may take.
        kind = task.activity_type.name
        if kind == ENDLESS:
            if await self._beat(task, _BEATS_MAX):
                await self._report(task, "canceled")
            return
        if kind == BEATING:
            await self._beat(task, _BEATS)
        if task.attempt <= FAILURES.get(kind, 0):
            failure = Failure(message="not yet")
            failure.application_failure_info.type = "NotYet"
            await self._report(task, "failed", failure=failure)
        else:
            result = Payloads()
            result.payloads.add(data=task.activity_id.encode())
            await self._report(task, "completed", result=result)

    async def _beat(self, task: PollActivityTaskQueueResponse, count: int) -> bool:
        """Send heartbeats. Return whether the server asked the activity to stop."""
        for _ in range(count):
            number = self._witness.next_beat(task)
            details = Payloads()
            details.payloads.add(data=json.dumps(number).encode())
            reply = await self.insist(self._request(task, "heartbeat", details=details))
            if reply is None:
                return False
            self._witness.took_beat(task, number)
            if reply.cancel_requested:
                return True
            await self.pause(2.0)
        return False

    async def _report(self, task: PollActivityTaskQueueResponse, what: str, **fields: Any) -> None:
        request = self._request(task, what, **fields)
        place = (task.workflow_execution.run_id, task.activity_id)
        # An activity that was begun anew has the same attempt again, and a report by its id may meet the next attempt.
        is_alone = not self._witness.begun_anew[place] and not _is_by_id(task)
        if await self.insist(request) is not None and is_alone and self.misbehaves(0.05):
            await self.repeat(request)

    def _request(self, task: PollActivityTaskQueueResponse, what: str, **fields: Any) -> Any:
        by_token, by_id = _REQUESTS[what]
        if not _is_by_id(task):
            return by_token(
                namespace=self._namespace,
                task_token=task.task_token,
                identity=self._name,
                **fields,
            )
        return by_id(
            namespace=self._namespace,
            workflow_id=task.workflow_execution.workflow_id,
            run_id=task.workflow_execution.run_id,
            activity_id=task.activity_id,
            identity=self._name,
            **fields,
        )


def _is_by_id(task: PollActivityTaskQueueResponse) -> bool:
    """Whether whoever works on this activity knows it by its id alone, as a person who acts outside of any worker."""
    return int(task.activity_id) % 2 == 1

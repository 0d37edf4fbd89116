"""Workers poll for activity tasks, send heartbeats and respond, by task token or by the activity's own id."""

from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes
from temporalio.api.workflowservice.v1 import (
    PollActivityTaskQueueRequest,
    PollActivityTaskQueueResponse,
    RecordActivityTaskHeartbeatByIdRequest,
    RecordActivityTaskHeartbeatByIdResponse,
    RecordActivityTaskHeartbeatRequest,
    RecordActivityTaskHeartbeatResponse,
    RespondActivityTaskCanceledByIdRequest,
    RespondActivityTaskCanceledByIdResponse,
    RespondActivityTaskCanceledRequest,
    RespondActivityTaskCanceledResponse,
    RespondActivityTaskCompletedByIdRequest,
    RespondActivityTaskCompletedByIdResponse,
    RespondActivityTaskCompletedRequest,
    RespondActivityTaskCompletedResponse,
    RespondActivityTaskFailedByIdRequest,
    RespondActivityTaskFailedByIdResponse,
    RespondActivityTaskFailedRequest,
    RespondActivityTaskFailedResponse,
)

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.execution.key import ExecutionKey
from perdure.core.matching.task_queue import PollerInfo
from perdure.core.times import set_timestamp
from perdure.core.workflow.activities.attempts import (
    ActivityRef,
    CancelActivity,
    CompleteActivity,
    FailActivity,
)
from perdure.core.workflow.activities.heartbeats import HeartbeatActivity, HeartbeatReply
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.deployments.worker_versions import check_poller
from perdure.frontend.protobuf_wire import serialized
from perdure.frontend.tasks.payload_limits import ActivityReport, bounded
from perdure.frontend.tokens import ActivityToken, encode
from perdure.frontend.validation.fields import check_identity, check_no_nul, check_run_id
from perdure.frontend.validation.task_queues import check_task_queue
from perdure.runtime.matching.task_queues import ACTIVITY_QUEUE, QueueName
from perdure.runtime.replies import ActivityTaskReply

_NOT_FOUND = "invalid activityID or activity already timed out or invoking workflow is completed"


class ActivityTasks:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def PollActivityTaskQueue(
        self, request: PollActivityTaskQueueRequest, call: Call
    ) -> Message:
        namespace = self._context.namespace(request.namespace)
        deadline = self._context.poll_deadline(
            call, request.namespace, request.task_queue.name, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
        )
        limits = self._context.limits(request.namespace)
        check_poller(request, limits)
        check_task_queue(request, limits)
        check_identity(request.identity, limits)
        metadata = request.task_queue_metadata
        info = PollerInfo(
            request.identity,
            self._node.clock.now_ns(),
            max_per_second=(
                metadata.max_tasks_per_second.value
                if metadata.HasField("max_tasks_per_second")
                else None
            ),
            version_capabilities=serialized(request, "worker_version_capabilities"),
            worker_key=request.worker_instance_key,
        )
        name = QueueName(namespace.id, request.task_queue.name, ACTIVITY_QUEUE)
        task = await self._node.polls.activity_task(name, info, deadline, call.task_returns)
        if task is None:
            return PollActivityTaskQueueResponse()
        response = activity_response(task)
        suggested = self._node.task_queues.suggested_pollers(name, info.last_poll_at_ns)
        if suggested:
            response.poller_scaling_decision.poll_request_delta_suggestion = suggested
        return response

    # By task token

    async def RecordActivityTaskHeartbeat(
        self, request: RecordActivityTaskHeartbeatRequest, call: Call
    ) -> RecordActivityTaskHeartbeatResponse:
        key, ref = self._by_token(request.task_token, request.namespace)
        heartbeat = HeartbeatActivity(ref, _payloads(request, "details"), request.identity)
        return RecordActivityTaskHeartbeatResponse(**await self._heartbeat(key, heartbeat))

    async def RespondActivityTaskCompleted(
        self, request: RespondActivityTaskCompletedRequest, call: Call
    ) -> RespondActivityTaskCompletedResponse:
        key, ref = self._by_token(request.task_token, request.namespace)
        check_identity(request.identity, self._context.limits(request.namespace))
        await self._report(
            key,
            CompleteActivity(
                ref,
                _payloads(request, "result"),
                request.identity,
                serialized(request, "worker_version"),
            ),
        )
        return RespondActivityTaskCompletedResponse()

    async def RespondActivityTaskFailed(
        self, request: RespondActivityTaskFailedRequest, call: Call
    ) -> RespondActivityTaskFailedResponse:
        key, ref = self._by_token(request.task_token, request.namespace)
        if request.HasField("failure") and not request.failure.HasField("application_failure_info"):
            raise invalid_argument("Failure must have ApplicationFailureInfo.")
        check_identity(request.identity, self._context.limits(request.namespace))
        failures = await self._report(
            key,
            FailActivity(
                ref,
                request.failure if request.HasField("failure") else None,
                request.identity,
                _payloads(request, "last_heartbeat_details"),
                serialized(request, "worker_version"),
            ),
        )
        return RespondActivityTaskFailedResponse(failures=failures)

    async def RespondActivityTaskCanceled(
        self, request: RespondActivityTaskCanceledRequest, call: Call
    ) -> RespondActivityTaskCanceledResponse:
        key, ref = self._by_token(request.task_token, request.namespace)
        check_identity(request.identity, self._context.limits(request.namespace))
        await self._report(
            key,
            CancelActivity(
                ref,
                _payloads(request, "details"),
                request.identity,
            ),
        )
        return RespondActivityTaskCanceledResponse()

    # By the activity's id

    async def RecordActivityTaskHeartbeatById(
        self, request: RecordActivityTaskHeartbeatByIdRequest, call: Call
    ) -> RecordActivityTaskHeartbeatByIdResponse:
        key, ref = self._by_id(request)
        heartbeat = HeartbeatActivity(ref, _payloads(request, "details"), request.identity)
        return RecordActivityTaskHeartbeatByIdResponse(**await self._heartbeat(key, heartbeat))

    async def RespondActivityTaskCompletedById(
        self, request: RespondActivityTaskCompletedByIdRequest, call: Call
    ) -> RespondActivityTaskCompletedByIdResponse:
        key, ref = self._by_id(request, check=True)
        await self._report(
            key, CompleteActivity(ref, _payloads(request, "result"), request.identity)
        )
        return RespondActivityTaskCompletedByIdResponse()

    async def RespondActivityTaskFailedById(
        self, request: RespondActivityTaskFailedByIdRequest, call: Call
    ) -> RespondActivityTaskFailedByIdResponse:
        key, ref = self._by_id(request, check=True)
        failures = await self._report(
            key,
            FailActivity(
                ref,
                request.failure if request.HasField("failure") else None,
                request.identity,
                _payloads(request, "last_heartbeat_details"),
            ),
        )
        return RespondActivityTaskFailedByIdResponse(failures=failures)

    async def RespondActivityTaskCanceledById(
        self, request: RespondActivityTaskCanceledByIdRequest, call: Call
    ) -> RespondActivityTaskCanceledByIdResponse:
        key, ref = self._by_id(request, check=True)
        await self._report(
            key, CancelActivity(ref, _payloads(request, "details"), request.identity)
        )
        return RespondActivityTaskCanceledByIdResponse()

    async def _report(self, key: ExecutionKey, report: ActivityReport) -> list[Failure]:
        """Have the run record the result; return the failures that took the place of payloads that were too large."""
        return (await self._ask(key, report))[1]

    async def _heartbeat(self, key: ExecutionKey, report: HeartbeatActivity) -> dict[str, bool]:
        """Have the run record it; return the fields of the response."""
        reply, replacements = await self._ask(key, report)
        if replacements:
            reply = HeartbeatReply(cancel_requested=True)
        assert isinstance(reply, HeartbeatReply)
        return {
            "cancel_requested": reply.cancel_requested,
            "activity_paused": reply.is_paused,
            "activity_reset": reply.was_reset,
        }

    async def _ask(self, key: ExecutionKey, report: ActivityReport) -> tuple[Any, list[Failure]]:
        """Return the reply, and the failures that took the place of payloads that were too large."""
        namespace = self._context.namespaces.name_of(key.namespace_id)
        recorded, replacements = bounded(report, self._context.limits(namespace))
        return (await self._node.executions.ask(key, recorded)).reply, replacements

    def _by_token(self, encoded: bytes, namespace: str) -> tuple[ExecutionKey, ActivityRef]:
        token = self._context.token(encoded, namespace)
        if not isinstance(token, ActivityToken):
            raise Rejected(Code.NOT_FOUND, _NOT_FOUND)
        key = self._node.executions.key(token.namespace_id, token.workflow_id, token.run_id)
        return key, ActivityRef(token.scheduled_event_id, token.attempt)

    def _by_id(self, request: Any, *, check: bool = False) -> tuple[ExecutionKey, ActivityRef]:
        namespace = self._context.namespace(request.namespace)
        if not request.activity_id:
            raise invalid_argument("ActivityId is not set on request.")
        if check:
            check_identity(request.identity, self._context.limits(request.namespace))
        check_no_nul(request.workflow_id, "WorkflowId")
        check_run_id(request.run_id, "RunId is not valid UUID.")
        if not request.workflow_id:
            # Temporal: without a workflow id, the request means a standalone activity.
            raise Rejected(Code.NOT_FOUND, f"activity not found for ID: {request.activity_id}")
        key = self._node.executions.key(namespace.id, request.workflow_id, request.run_id)
        return key, ActivityRef(activity_id=request.activity_id)


def _payloads(request: Any, name: str) -> Payloads | None:
    return getattr(request, name) if request.HasField(name) else None


def activity_response(reply: ActivityTaskReply) -> PollActivityTaskQueueResponse:
    key, task = reply.key, reply.task
    scheduled = ActivityTaskScheduledEventAttributes.FromString(task.attributes)
    response = PollActivityTaskQueueResponse(
        task_token=encode(
            ActivityToken(
                key.namespace_id,
                key.business_id,
                key.run_id,
                task.scheduled_event_id,
                task.attempt,
            )
        ),
        workflow_namespace=reply.namespace,
        activity_type=scheduled.activity_type,
        activity_id=scheduled.activity_id,
        schedule_to_close_timeout=scheduled.schedule_to_close_timeout,
        start_to_close_timeout=scheduled.start_to_close_timeout,
        heartbeat_timeout=scheduled.heartbeat_timeout,
        retry_policy=scheduled.retry_policy,
        attempt=task.attempt,
    )
    response.workflow_type.name = task.workflow_type
    execution = response.workflow_execution
    execution.workflow_id, execution.run_id = key.business_id, key.run_id
    if scheduled.HasField("header"):
        response.header.CopyFrom(scheduled.header)
    if scheduled.HasField("input"):
        response.input.CopyFrom(scheduled.input)
    if task.run_priority is not None:
        response.priority.SetInParent()
        response.priority.MergeFromString(task.run_priority)
    if scheduled.HasField("priority"):
        response.priority.MergeFrom(scheduled.priority)
    if task.has_heartbeat_details:
        response.heartbeat_details.MergeFromString(task.heartbeat_details)
    set_timestamp(response.scheduled_time, task.first_scheduled_at_ns)
    set_timestamp(response.current_attempt_scheduled_time, task.scheduled_at_ns)
    set_timestamp(response.started_time, task.started_at_ns)
    return response

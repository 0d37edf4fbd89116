"""Workers poll for workflow tasks and queries, and respond to them."""

from collections.abc import Iterable
from functools import lru_cache

from google.protobuf.message import Message
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkerVersionStamp
from temporalio.api.enums.v1 import (
    CommandType,
    EventType,
    QueryResultType,
    TaskQueueKind,
    TaskQueueType,
)
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.query.v1 import WorkflowQuery, WorkflowQueryResult
from temporalio.api.taskqueue.v1 import PollerScalingDecision
from temporalio.api.workflowservice.v1 import (
    PollWorkflowTaskQueueRequest,
    PollWorkflowTaskQueueResponse,
    RespondQueryTaskCompletedRequest,
    RespondQueryTaskCompletedResponse,
    RespondWorkflowTaskCompletedRequest,
    RespondWorkflowTaskCompletedResponse,
    RespondWorkflowTaskFailedRequest,
    RespondWorkflowTaskFailedResponse,
)

from perdure.core.errors import Code, Rejected, invalid_argument, no_workflow_task
from perdure.core.execution.key import ExecutionKey
from perdure.core.limits import Limits
from perdure.core.matching.task_queue import PollerInfo
from perdure.core.times import duration_ns, set_timestamp
from perdure.core.workflow.completion import CompleteWorkflowTask, TaskCompleted
from perdure.core.workflow.completion_pages import Page, PageKept
from perdure.core.workflow.returning import ReturnEagerActivities, ReturnWorkflowTask
from perdure.core.workflow.tasks.fail import FailWorkflowTask
from perdure.core.workflow.tasks.schedule import TaskRef
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.deployments.worker_versions import check_completion, check_poller
from perdure.frontend.protobuf_wire import field, serialized, with_submessage
from perdure.frontend.tasks.activity_tasks import activity_response
from perdure.frontend.tasks.payload_limits import bounded_answer, bounded_failure
from perdure.frontend.tokens import (
    HistoryToken,
    QueryToken,
    WorkflowTaskToken,
    encode,
)
from perdure.frontend.validation.fields import check_identity
from perdure.frontend.validation.task_queues import check_task_queue
from perdure.runtime.matching.task_queues import WORKFLOW_QUEUE, QueueName
from perdure.runtime.matching.task_returns import task_returns
from perdure.runtime.replies import ActivityTaskReply, QueryTaskReply, WorkflowTaskReply

_HISTORY_FIELD = PollWorkflowTaskQueueResponse.DESCRIPTOR.fields_by_name["history"].number
_SCALING_FIELD = PollWorkflowTaskQueueResponse.DESCRIPTOR.fields_by_name[
    "poller_scaling_decision"
].number
_NEW_TASK_FIELD = RespondWorkflowTaskCompletedResponse.DESCRIPTOR.fields_by_name[
    "workflow_task"
].number


#: Type of a command that may name a namespace → the field with its attributes.
_WITH_NAMESPACE = {
    CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: (
        "start_child_workflow_execution_command_attributes"
    ),
    CommandType.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION: (
        "signal_external_workflow_execution_command_attributes"
    ),
    CommandType.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION: (
        "request_cancel_external_workflow_execution_command_attributes"
    ),
}


class WorkflowTasks:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def PollWorkflowTaskQueue(
        self, request: PollWorkflowTaskQueueRequest, call: Call
    ) -> Message | bytes:
        namespace = self._context.namespace(request.namespace)
        deadline = self._context.poll_deadline(
            call, request.namespace, request.task_queue.name, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
        )
        limits = self._context.limits(request.namespace)
        check_identity(request.identity, limits)
        check_poller(request, limits)
        check_task_queue(request, limits)
        if request.binary_checksum in namespace.bad_binaries:
            raise invalid_argument(
                f"Binary {request.binary_checksum} already marked as bad deployment."
            )
        name = QueueName(namespace.id, request.task_queue.name, WORKFLOW_QUEUE)
        began_at_ns = self._node.clock.now_ns()
        task = await self._node.polls.workflow_task(
            name,
            poller_info(request, began_at_ns),
            deadline,
            version_stamp(request),
            call.task_returns,
        )
        if task is None:
            return PollWorkflowTaskQueueResponse()
        response = (
            _query_response(task)
            if isinstance(task, QueryTaskReply)
            else workflow_task_response(task)
        )
        suggested = self._node.task_queues.suggested_pollers(name, began_at_ns)
        if not suggested:
            return response
        decision = PollerScalingDecision(poll_request_delta_suggestion=suggested)
        return response + field(_SCALING_FIELD, decision.SerializeToString())

    async def RespondWorkflowTaskCompleted(
        self, request: RespondWorkflowTaskCompletedRequest, call: Call
    ) -> Message | bytes:
        token = self._context.token(request.task_token, request.namespace)
        limits = self._context.limits(request.namespace)
        check_identity(request.identity, limits)
        check_completion(request, limits)
        key, ref = self._task(token)
        # Each look at a repeated field makes Python objects of its messages, unless some are there.
        commands = tuple(request.commands)
        self._check_namespaces(commands)
        sticky = request.sticky_attributes
        nonce = self._node.nonce() if request.return_new_workflow_task else 0
        completion_id = self._node.fresh_id()
        call.task_returns += task_returns(
            self._node.executions,
            key,
            ReturnWorkflowTask(nonce),
            ReturnEagerActivities(completion_id),
        )
        answer = await self._node.executions.ask(
            key,
            CompleteWorkflowTask(
                ref=ref,
                event=_completed_event(request),
                commands=commands,
                is_bad_binary=self._is_bad(key, request.binary_checksum),
                query_results={
                    query_id: result.SerializeToString()
                    for query_id, result in request.query_results.items()
                },
                sticky_queue=sticky.worker_task_queue.name,
                sticky_schedule_to_start_ns=duration_ns(sticky.schedule_to_start_timeout),
                force_new_task=request.force_create_new_workflow_task,
                return_new_task_nonce=nonce,
                completion_id=completion_id,
                messages=tuple(request.messages),
                page=self._page(key, request),
                can_see_again=(request.capabilities.discard_speculative_workflow_task_with_events),
            ),
        )
        completed = answer.reply
        if isinstance(completed, PageKept):
            self._node.completion_pages.count(key.namespace_id, completed.pages)
            return RespondWorkflowTaskCompletedResponse()
        assert isinstance(completed, TaskCompleted)
        if completed.new_task is None and not completed.activity_tasks:
            call.task_returns.clear()
        return await self._completed_response(key, request.identity, completed)

    async def RespondWorkflowTaskFailed(
        self, request: RespondWorkflowTaskFailedRequest, call: Call
    ) -> RespondWorkflowTaskFailedResponse:
        token = self._context.token(request.task_token, request.namespace)
        check_identity(request.identity, self._context.limits(request.namespace))
        key, ref = self._task(token)
        await self._node.executions.ask(
            key,
            FailWorkflowTask(
                ref=ref,
                cause=request.cause,
                failure=(
                    bounded_failure(request.failure, self._limits_of(key))
                    if request.HasField("failure")
                    else None
                ),
                identity=request.identity,
                binary_checksum=request.binary_checksum,
                worker_version=(
                    request.worker_version if request.HasField("worker_version") else None
                ),
            ),
        )
        return RespondWorkflowTaskFailedResponse()

    async def RespondQueryTaskCompleted(
        self, request: RespondQueryTaskCompletedRequest, call: Call
    ) -> RespondQueryTaskCompletedResponse:
        token = self._context.token(request.task_token, request.namespace)
        if not isinstance(token, QueryToken):
            raise Rejected(Code.NOT_FOUND, "query task not found, or already expired")
        result = WorkflowQueryResult(
            result_type=request.completed_type, error_message=request.error_message
        )
        if request.HasField("query_result"):
            result.answer.CopyFrom(request.query_result)
        if request.HasField("failure"):
            result.failure.CopyFrom(request.failure)
        if result.result_type != QueryResultType.QUERY_RESULT_TYPE_UNSPECIFIED:
            namespace = self._context.namespaces.name_of(token.namespace_id)
            result = bounded_answer(result, self._context.limits(namespace))
            self._node.queries.respond(token.query_id, result.SerializeToString())
        return RespondQueryTaskCompletedResponse()

    def _check_namespaces(self, commands: Iterable[Command]) -> None:
        """Raise `Rejected` if a command names a namespace that does not exist: the worker keeps its task."""
        for command in commands:
            name = _WITH_NAMESPACE.get(command.command_type)
            namespace = getattr(command, name).namespace if name is not None else ""
            if namespace:
                self._context.namespaces.get(namespace)

    def _page(self, key: ExecutionKey, request: RespondWorkflowTaskCompletedRequest) -> Page | None:
        """Return the page of a completion that the request is; None if it is the whole completion."""
        if not request.intermediate_page and request.page_number <= 0:
            return None
        room = self._node.completion_pages.room(key.namespace_id, self._limits_of(key))
        return Page(request.page_number, not request.intermediate_page, room)

    def _is_bad(self, key: ExecutionKey, checksum: str) -> bool:
        namespace = self._context.namespaces.get_by_id(key.namespace_id)
        return bool(checksum) and checksum in namespace.bad_binaries

    def _limits_of(self, key: ExecutionKey) -> Limits:
        return self._context.limits(self._context.namespaces.name_of(key.namespace_id))

    def _task(self, token: object) -> tuple[ExecutionKey, TaskRef]:
        if not isinstance(token, WorkflowTaskToken):
            raise no_workflow_task()
        key = self._node.executions.key(token.namespace_id, token.workflow_id, token.run_id)
        return key, TaskRef(token.scheduled_event_id, token.attempt, token.nonce)

    async def _completed_response(
        self, key: ExecutionKey, identity: str, completed: TaskCompleted
    ) -> Message | bytes:
        response = RespondWorkflowTaskCompletedResponse(
            reset_history_event_id=completed.reset_to_event_id
        )
        namespace = self._context.namespaces.get_by_id(key.namespace_id).name
        for task in completed.activity_tasks:
            response.activity_tasks.append(
                activity_response(ActivityTaskReply(key, namespace, task))
            )
        if completed.new_task is None:
            return response
        begun = response.SerializeToString()
        reply = await self._node.polls.workflow_task_reply(
            key, completed.new_task, only_new=True, taken_bytes=len(begun)
        )
        return begun + field(_NEW_TASK_FIELD, workflow_task_response(reply))


def workflow_task_response(reply: WorkflowTaskReply) -> bytes:
    """Return a serialized `PollWorkflowTaskQueueResponse`."""
    key, task = reply.key, reply.task
    response = PollWorkflowTaskQueueResponse(
        task_token=encode(
            WorkflowTaskToken(
                key.namespace_id,
                key.business_id,
                key.run_id,
                task.ref.scheduled_event_id,
                task.ref.attempt,
                task.ref.nonce,
            )
        ),
        previous_started_event_id=task.previous_started_event_id,
        started_event_id=task.started_event_id,
        attempt=task.ref.attempt,
        backlog_count_hint=reply.backlog_count,
        messages=task.messages,
    )
    execution = response.workflow_execution
    execution.workflow_id, execution.run_id = key.business_id, key.run_id
    response.workflow_type.name = task.workflow_type
    queue = response.workflow_execution_task_queue
    queue.name = task.task_queue
    queue.kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    set_timestamp(response.scheduled_time, task.scheduled_at_ns)
    set_timestamp(response.started_time, task.started_at_ns)
    for query_id, query in task.queries.items():
        response.queries[query_id].CopyFrom(WorkflowQuery.FromString(query))
    if reply.next_event_id:
        response.next_page_token = encode(
            HistoryToken(key.run_id, reply.next_event_id, reply.after_seq)
        )
    return with_submessage(response, _HISTORY_FIELD, reply.history)


def _query_response(reply: QueryTaskReply) -> bytes:
    key = reply.key
    response = PollWorkflowTaskQueueResponse(
        task_token=encode(QueryToken(key.namespace_id, reply.query_id)),
        previous_started_event_id=reply.previous_started_event_id,
        attempt=1,
        query=reply.query,
    )
    execution = response.workflow_execution
    execution.workflow_id, execution.run_id = key.business_id, key.run_id
    response.workflow_type.name = reply.workflow_type
    response.workflow_execution_task_queue.name = reply.task_queue
    response.workflow_execution_task_queue.kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    if reply.next_event_id:
        response.next_page_token = encode(
            HistoryToken(key.run_id, reply.next_event_id, reply.after_seq)
        )
    return with_submessage(response, _HISTORY_FIELD, reply.history)


def _completed_event(request: RespondWorkflowTaskCompletedRequest) -> HistoryEvent:
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    attributes = event.workflow_task_completed_event_attributes
    attributes.identity = request.identity
    attributes.binary_checksum = request.binary_checksum
    attributes.worker_deployment_name = request.deployment_options.deployment_name
    if request.HasField("worker_version_stamp"):
        attributes.worker_version.CopyFrom(request.worker_version_stamp)
    if request.HasField("sdk_metadata"):
        attributes.sdk_metadata.CopyFrom(request.sdk_metadata)
    if request.HasField("metering_metadata"):
        attributes.metering_metadata.CopyFrom(request.metering_metadata)
    return event


def poller_info(request: PollWorkflowTaskQueueRequest, now_ns: int) -> PollerInfo:
    capabilities = serialized(request, "worker_version_capabilities")
    return PollerInfo(
        request.identity,
        now_ns,
        version_capabilities=capabilities,
        worker_key=request.worker_instance_key,
    )


def version_stamp(request: PollWorkflowTaskQueueRequest) -> bytes | None:
    """Return the serialized `WorkerVersionStamp` of the worker that polls, if it names a build."""
    if not request.HasField("worker_version_capabilities"):
        return None
    capabilities = request.worker_version_capabilities
    return _stamp(capabilities.build_id, capabilities.use_versioning)


@lru_cache(maxsize=256)
def _stamp(build_id: str, use_versioning: bool) -> bytes | None:
    """Return the stamp of a worker; None if it names no build. A worker has the same one in all of its polls."""
    if not build_id:
        return None
    stamp = WorkerVersionStamp(build_id=build_id, use_versioning=use_versioning)
    return stamp.SerializeToString()

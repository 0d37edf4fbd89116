"""Clients start workflows, alone or together with a signal."""

from google.protobuf.message import Message
from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import (
    SignalWithStartWorkflowExecutionRequest,
    SignalWithStartWorkflowExecutionResponse,
    StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse,
)

from perdure.core.workflow.options_update import AttachRequest
from perdure.core.workflow.returning import ReturnFirstTask
from perdure.core.workflow.signals import Signal
from perdure.core.workflow.start_workflow import StartWorkflow
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.protobuf_wire import with_submessage
from perdure.frontend.tasks.workflow_tasks import workflow_task_response
from perdure.frontend.workflows.event_links import link_to_signal
from perdure.frontend.workflows.start_validation import check_signal_with_start, check_start
from perdure.runtime.call_notes import note_start
from perdure.runtime.matching.task_returns import task_returns

_EAGER_TASK_FIELD = StartWorkflowExecutionResponse.DESCRIPTOR.fields_by_name[
    "eager_workflow_task"
].number


class WorkflowStarts:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def StartWorkflowExecution(
        self, request: StartWorkflowExecutionRequest, call: Call
    ) -> Message | bytes:
        namespace = self._context.namespace_to_start_in(request.namespace)
        types = self._context.namespaces.search_attribute_types(namespace.id)
        reuse, conflict = check_start(request, types, self._context.limits(request.namespace))
        request.request_id = request.request_id or self._node.fresh_id()
        attach = _attachment(request) if request.HasField("on_conflict_options") else None
        executions = self._node.executions
        key = executions.key(namespace.id, request.workflow_id)
        start = StartWorkflow(namespace.id, request, reuse, conflict, attach=attach)
        note_start(request.workflow_type.name, request.task_queue.name)
        if request.request_eager_execution:
            # The first task comes with the answer: a client that is gone before has not got it.
            call.task_returns += task_returns(executions, key, ReturnFirstTask(request.request_id))
        reply = (await executions.ask(key, start)).reply
        response = StartWorkflowExecutionResponse(
            run_id=reply.run_id,
            first_execution_run_id=reply.first_run_id,
            started=reply.started,
            status=WorkflowExecutionStatus.ValueType(reply.status),
        )
        link = response.link.workflow_event
        link.namespace = request.namespace
        link.workflow_id, link.run_id = request.workflow_id, reply.run_id
        if reply.attached:
            link.request_id_ref.request_id = request.request_id
            link.request_id_ref.event_type = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED
        else:
            link.event_ref.event_id = 1
            link.event_ref.event_type = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
        if reply.task is None:
            call.task_returns.clear()
            return response
        run = key._replace(run_id=reply.run_id)
        task = workflow_task_response(await self._node.polls.workflow_task_reply(run, reply.task))
        return with_submessage(response, _EAGER_TASK_FIELD, task)

    async def SignalWithStartWorkflowExecution(
        self, request: SignalWithStartWorkflowExecutionRequest, call: Call
    ) -> SignalWithStartWorkflowExecutionResponse:
        namespace = self._context.namespace_to_start_in(request.namespace)
        types = self._context.namespaces.search_attribute_types(namespace.id)
        reuse, conflict = check_signal_with_start(
            request, types, self._context.limits(request.namespace)
        )
        request.request_id = request.request_id or self._node.fresh_id()
        signal = Signal(
            name=request.signal_name,
            input=request.signal_input if request.HasField("signal_input") else None,
            identity=request.identity,
            request_id=request.request_id,
            header=request.header if request.HasField("header") else None,
            links=tuple(request.links),
            skips_delay=True,
        )
        note_start(request.workflow_type.name, request.task_queue.name)
        start = StartWorkflow(namespace.id, request, reuse, conflict, signal=signal)
        key = self._node.executions.key(namespace.id, request.workflow_id)
        reply = (await self._node.executions.ask(key, start)).reply
        return SignalWithStartWorkflowExecutionResponse(
            run_id=reply.run_id,
            first_execution_run_id=reply.first_run_id,
            started=reply.started,
            signal_link=link_to_signal(
                request.namespace, request.workflow_id, reply.run_id, request.request_id
            ),
        )


def _attachment(request: StartWorkflowExecutionRequest) -> AttachRequest:
    """Return what the request attaches to the current run if that is used instead of a new one."""
    options = request.on_conflict_options
    return AttachRequest(
        request.request_id if options.attach_request_id else "",
        tuple(request.completion_callbacks) if options.attach_completion_callbacks else (),
        tuple(request.links) if options.attach_links else (),
    )

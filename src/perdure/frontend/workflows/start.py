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
from perdure.core.workflow.signals import Signal
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.protobuf_wire import with_submessage
from perdure.frontend.tasks.workflow_tasks import workflow_task_response
from perdure.frontend.workflows.event_links import link_to_signal
from perdure.frontend.workflows.start_validation import check_signal_with_start, check_start

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
        reply = await self._node.starts.start(
            namespace.id,
            request,
            reuse=reuse,
            conflict=conflict,
            attach=attach,
            give_backs=call.give_backs,
        )
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
            return response
        key = self._node.engine.key(namespace.id, request.workflow_id, reply.run_id)
        task = workflow_task_response(await self._node.workflow_task_reply(key, reply.task))
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
        reply = await self._node.starts.start(
            namespace.id, request, reuse=reuse, conflict=conflict, signal=signal
        )
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

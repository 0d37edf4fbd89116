"""Clients start, signal, cancel, terminate and describe workflow executions."""

from google.protobuf.message import Message
from temporalio.api.common.v1 import Link, WorkflowExecution
from temporalio.api.enums.v1 import (
    EventType,
    ResetReapplyExcludeType,
    ResetReapplyType,
    WorkflowExecutionStatus,
)
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    DeleteWorkflowExecutionResponse,
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    PauseWorkflowExecutionRequest,
    PauseWorkflowExecutionResponse,
    RequestCancelWorkflowExecutionRequest,
    RequestCancelWorkflowExecutionResponse,
    ResetWorkflowExecutionRequest,
    ResetWorkflowExecutionResponse,
    SignalWithStartWorkflowExecutionRequest,
    SignalWithStartWorkflowExecutionResponse,
    SignalWorkflowExecutionRequest,
    SignalWorkflowExecutionResponse,
    StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse,
    TerminateWorkflowExecutionRequest,
    TerminateWorkflowExecutionResponse,
    UnpauseWorkflowExecutionRequest,
    UnpauseWorkflowExecutionResponse,
    UpdateWorkflowExecutionOptionsRequest,
    UpdateWorkflowExecutionOptionsResponse,
)

from perdure.core.errors import Code, Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.cancellation import RequestCancel
from perdure.core.workflow.description import describe
from perdure.core.workflow.lifecycle.execution import Terminate
from perdure.core.workflow.lifecycle.pause import Pause, Unpause
from perdure.core.workflow.options_update import AttachRequest, UpdateOptions
from perdure.core.workflow.signals import Signal
from perdure.frontend.call import Call
from perdure.frontend.context import Services
from perdure.frontend.links import check_links
from perdure.frontend.protobuf_wire import with_submessage
from perdure.frontend.tasks.workflow_tasks import workflow_task_response
from perdure.frontend.validation import (
    check_execution,
    check_operation,
    check_options,
    check_pause,
    check_reset,
    check_signal,
    check_signal_with_start,
    check_start,
)
from perdure.runtime.resets import Reset

_EAGER_TASK_FIELD = StartWorkflowExecutionResponse.DESCRIPTOR.fields_by_name[
    "eager_workflow_task"
].number
#: Temporal: the older way to say what is not applied again.
_EXCLUDED = {
    ResetReapplyType.RESET_REAPPLY_TYPE_UNSPECIFIED: (),
    ResetReapplyType.RESET_REAPPLY_TYPE_ALL_ELIGIBLE: (),
    ResetReapplyType.RESET_REAPPLY_TYPE_SIGNAL: (
        ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,
    ),
    ResetReapplyType.RESET_REAPPLY_TYPE_NONE: (
        ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL,
        ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,
    ),
}
_SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED


class Workflows:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._node = services.node

    # Starting

    async def StartWorkflowExecution(
        self, request: StartWorkflowExecutionRequest, call: Call
    ) -> Message | bytes:
        namespace = self._services.namespace_to_start_in(request.namespace)
        types = self._services.namespaces.search_attribute_types(namespace.id)
        reuse, conflict = check_start(request, types, self._services.limits(request.namespace))
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
        namespace = self._services.namespace_to_start_in(request.namespace)
        types = self._services.namespaces.search_attribute_types(namespace.id)
        reuse, conflict = check_signal_with_start(
            request, types, self._services.limits(request.namespace)
        )
        request.request_id = request.request_id or self._node.fresh_id()
        signal = Signal(
            name=request.signal_name,
            input=request.signal_input if request.HasField("signal_input") else None,
            identity=request.identity,
            request_id=request.request_id,
            header=request.header if request.HasField("header") else None,
            links=request.links,
            skips_delay=True,
        )
        reply = await self._node.starts.start(
            namespace.id, request, reuse=reuse, conflict=conflict, signal=signal
        )
        return SignalWithStartWorkflowExecutionResponse(
            run_id=reply.run_id,
            first_execution_run_id=reply.first_run_id,
            started=reply.started,
            signal_link=_signal_link(
                request.namespace, request.workflow_id, reply.run_id, request.request_id
            ),
        )

    # What reaches a run

    async def SignalWorkflowExecution(
        self, request: SignalWorkflowExecutionRequest, call: Call
    ) -> SignalWorkflowExecutionResponse:
        namespace = self._services.namespace(request.namespace)
        execution = check_signal(request, self._services.limits(request.namespace))
        signal = Signal(
            name=request.signal_name,
            input=request.input if request.HasField("input") else None,
            identity=request.identity,
            request_id=request.request_id,
            header=request.header if request.HasField("header") else None,
            links=request.links,
        )
        engine = self._node.engine
        live = await engine.get(self._key(namespace.id, execution))
        await engine.answer(live, lambda: engine.advance(live, signal))
        return SignalWorkflowExecutionResponse(
            link=_signal_link(
                request.namespace, execution.workflow_id, live.key.run_id, request.request_id
            )
        )

    async def RequestCancelWorkflowExecution(
        self, request: RequestCancelWorkflowExecutionRequest, call: Call
    ) -> RequestCancelWorkflowExecutionResponse:
        namespace = self._services.namespace(request.namespace)
        execution = check_execution(request, "workflow_execution")
        check_links(request.links, self._services.limits(request.namespace))
        await self._node.engine.ask(
            self._chain(namespace.id, execution, request.first_execution_run_id),
            RequestCancel(
                reason=request.reason,
                identity=request.identity,
                request_id=request.request_id,
                first_execution_run_id=request.first_execution_run_id,
                links=request.links,
            ),
        )
        return RequestCancelWorkflowExecutionResponse()

    async def TerminateWorkflowExecution(
        self, request: TerminateWorkflowExecutionRequest, call: Call
    ) -> TerminateWorkflowExecutionResponse:
        namespace = self._services.namespace(request.namespace)
        execution = check_execution(request, "workflow_execution")
        check_links(request.links, self._services.limits(request.namespace))
        await self._node.engine.ask(
            self._chain(namespace.id, execution, request.first_execution_run_id),
            Terminate(
                reason=request.reason or "terminated by user via frontend",
                details=request.details if request.HasField("details") else None,
                identity=request.identity or "frontend-service",
                first_execution_run_id=request.first_execution_run_id,
                links=request.links,
            ),
        )
        return TerminateWorkflowExecutionResponse()

    async def ResetWorkflowExecution(
        self, request: ResetWorkflowExecutionRequest, call: Call
    ) -> ResetWorkflowExecutionResponse:
        namespace = self._services.namespace(request.namespace)
        execution = check_reset(request, self._services.limits(request.namespace))
        reset = Reset(
            event_id=request.workflow_task_finish_event_id,
            reason=request.reason,
            request_id=request.request_id,
            excluded=frozenset(
                (*request.reset_reapply_exclude_types, *_EXCLUDED[request.reset_reapply_type])
            ),
            operations=lambda: [check_operation(each) for each in request.post_reset_operations],
        )
        run_id = await self._node.resets.reset(self._key(namespace.id, execution), reset)
        return ResetWorkflowExecutionResponse(run_id=run_id)

    async def UpdateWorkflowExecutionOptions(
        self, request: UpdateWorkflowExecutionOptionsRequest, call: Call
    ) -> UpdateWorkflowExecutionOptionsResponse:
        namespace = self._services.namespace(request.namespace)
        execution, fields = check_options(request)
        wanted = UpdateOptions(request.workflow_execution_options, fields, request.identity)
        options = await self._node.engine.ask(self._key(namespace.id, execution), wanted)
        assert isinstance(options, WorkflowExecutionOptions)
        return UpdateWorkflowExecutionOptionsResponse(workflow_execution_options=options)

    async def PauseWorkflowExecution(
        self, request: PauseWorkflowExecutionRequest, call: Call
    ) -> PauseWorkflowExecutionResponse:
        namespace = self._services.namespace(request.namespace)
        limits = self._services.limits(request.namespace)
        if not limits.enable_pause:
            raise Rejected(
                Code.UNIMPLEMENTED,
                f"workflow pause is not enabled for namespace: {request.namespace}",
            )
        execution = check_pause(request, limits)
        await self._node.engine.ask(
            self._key(namespace.id, execution),
            Pause(request.identity, request.reason, request.request_id),
        )
        return PauseWorkflowExecutionResponse()

    async def UnpauseWorkflowExecution(
        self, request: UnpauseWorkflowExecutionRequest, call: Call
    ) -> UnpauseWorkflowExecutionResponse:
        # Temporal: what was paused can go on even if nothing may be paused any more.
        namespace = self._services.namespace(request.namespace)
        execution = check_pause(request, self._services.limits(request.namespace))
        await self._node.engine.ask(
            self._key(namespace.id, execution),
            Unpause(request.identity, request.reason, request.request_id),
        )
        return UnpauseWorkflowExecutionResponse()

    async def DeleteWorkflowExecution(
        self, request: DeleteWorkflowExecutionRequest, call: Call
    ) -> DeleteWorkflowExecutionResponse:
        namespace = self._services.namespace(request.namespace)
        execution = check_execution(request, "workflow_execution")
        await self._node.engine.delete(self._key(namespace.id, execution))
        return DeleteWorkflowExecutionResponse()

    async def DescribeWorkflowExecution(
        self, request: DescribeWorkflowExecutionRequest, call: Call
    ) -> DescribeWorkflowExecutionResponse:
        namespace = self._services.namespace(request.namespace)
        execution = check_execution(request)
        now_ns, environment = (
            self._node.clock.now_ns(),
            self._node.engine.environment_of(namespace.id),
        )
        return await self._node.engine.read(
            self._key(namespace.id, execution), lambda live: describe(live.run, now_ns, environment)
        )

    def _chain(
        self, namespace_id: str, execution: WorkflowExecution, first_run_id: str
    ) -> ExecutionKey:
        """Temporal: who names the first run of a chain means the last one of it, whichever run is named besides."""
        run_id = "" if first_run_id else execution.run_id
        return self._node.engine.key(namespace_id, execution.workflow_id, run_id)

    def _key(self, namespace_id: str, execution: WorkflowExecution) -> ExecutionKey:
        return self._node.engine.key(namespace_id, execution.workflow_id, execution.run_id)


def _attachment(request: StartWorkflowExecutionRequest) -> AttachRequest:
    """Return what is attached to the run if there is one already."""
    options = request.on_conflict_options
    return AttachRequest(
        request.request_id if options.attach_request_id else "",
        request.completion_callbacks if options.attach_completion_callbacks else (),
        request.links if options.attach_links else (),
    )


def link_to_start(namespace: str, workflow_id: str, run_id: str) -> Link:
    link = Link()
    event = link.workflow_event
    event.namespace, event.workflow_id, event.run_id = namespace, workflow_id, run_id
    event.event_ref.event_id = 1
    event.event_ref.event_type = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
    return link


def _signal_link(namespace: str, workflow_id: str, run_id: str, request_id: str) -> Link:
    link = Link()
    event = link.workflow_event
    event.namespace, event.workflow_id, event.run_id = namespace, workflow_id, run_id
    event.request_id_ref.request_id = request_id
    event.request_id_ref.event_type = _SIGNALED
    return link

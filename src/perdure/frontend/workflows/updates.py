"""Clients update a workflow, and wait for a stage or the outcome of the update."""

import asyncio
from typing import Any

from temporalio.api.common.v1 import Link
from temporalio.api.enums.v1 import EventType, UpdateWorkflowExecutionLifecycleStage
from temporalio.api.update.v1 import Outcome, UpdateRef
from temporalio.api.workflowservice.v1 import (
    PollWorkflowExecutionUpdateRequest,
    PollWorkflowExecutionUpdateResponse,
    UpdateWorkflowExecutionRequest,
    UpdateWorkflowExecutionResponse,
)

from perdure.core.errors import Code, Rejected, invalid_argument, permission_denied
from perdure.core.limits import Limits
from perdure.core.workflow.updates import AdmitUpdate
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.validation.callbacks import check_callbacks, check_variants
from perdure.frontend.validation.fields import check_execution, check_run_id, is_too_long
from perdure.frontend.validation.links import check_links_beside
from perdure.runtime.delivery.updates import UpdateReply, Wait

Stage = UpdateWorkflowExecutionLifecycleStage
#: Temporal: a call without a deadline may take this long.
DEFAULT_TIMEOUT_S = 30.0
_UNSPECIFIED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_UNSPECIFIED
_ADMITTED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED
_ACCEPTED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED
_COMPLETED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED


class WorkflowUpdates:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def UpdateWorkflowExecution(
        self, request: UpdateWorkflowExecutionRequest, call: Call
    ) -> UpdateWorkflowExecutionResponse:
        namespace = self._context.namespace(request.namespace)
        check_execution(request, "workflow_execution")
        stage = check_update(
            request, self._node.fresh_id(), self._context.limits(request.namespace)
        )
        execution = request.workflow_execution
        reply = await self._node.updates.update(
            self._node.executions.key(namespace.id, execution.workflow_id, execution.run_id),
            AdmitUpdate(
                request.request.meta.update_id,
                request.request.SerializeToString(),
                request.first_execution_run_id,
                request.request.request_id,
                tuple(request.request.completion_callbacks),
            ),
            wait(call, stage, self._context.limits(request.namespace)),
        )
        return update_response(request, reply)

    async def PollWorkflowExecutionUpdate(
        self, request: PollWorkflowExecutionUpdateRequest, call: Call
    ) -> PollWorkflowExecutionUpdateResponse:
        namespace = self._context.namespace(request.namespace)
        if not request.HasField("update_ref"):
            raise invalid_argument("UpdateRef is not set on request.")
        _check_allowed(self._context.limits(request.namespace))
        execution = request.update_ref.workflow_execution
        if not execution.workflow_id:
            raise invalid_argument("Can't load workflow execution.  WorkflowId not set.")
        check_run_id(execution.run_id, "RunId is not valid UUID.")
        reply = await self._node.updates.poll(
            self._node.executions.key(namespace.id, execution.workflow_id, execution.run_id),
            request.update_ref.update_id,
            wait(
                call,
                request.wait_policy.lifecycle_stage,
                self._context.limits(request.namespace),
            ),
        )
        response = PollWorkflowExecutionUpdateResponse(
            stage=Stage.ValueType(reply.stage),
            update_ref=_ref(execution.workflow_id, reply.run_id, request.update_ref.update_id),
        )
        if reply.outcome:
            response.outcome.MergeFromString(reply.outcome)
        return response


def check_update(request: UpdateWorkflowExecutionRequest, fresh_id: str, limits: Limits) -> int:
    """Check an update, give it an id if it has none, and return the stage to wait for."""
    inner = request.request
    if not inner.HasField("meta"):
        raise invalid_argument("Update meta is not set on request.")
    if is_too_long(inner.meta.update_id, limits):
        raise invalid_argument("UpdateId length exceeds limit.")
    if not inner.meta.update_id:
        inner.meta.update_id = fresh_id
    if not inner.HasField("input"):
        raise invalid_argument("Update input is not set on request.")
    if not inner.input.name:
        raise invalid_argument("Update name is not set on request.")
    _check_allowed(limits)
    stage = request.wait_policy.lifecycle_stage or _COMPLETED
    if stage == _ADMITTED:
        raise permission_denied(
            "UpdateWorkflowExecution issued asynchronously and waiting on update admitted"
            " is not supported."
        )
    if stage == _ACCEPTED and not limits.allows_async_updates:
        raise permission_denied(
            "UpdateWorkflowExecution issued asynchronously and waiting on update accepted"
            " is disabled on this namespace."
        )
    if inner.completion_callbacks and not inner.request_id:
        raise invalid_argument(
            "invalid *update.Request: request_id is required when completion_callbacks are set"
        )
    if inner.completion_callbacks:
        check_callbacks(inner.completion_callbacks, limits)
        # Temporal: the links of an update without callbacks are not checked.
        check_links_beside(inner.links, inner.completion_callbacks, limits)
    if inner.completion_callbacks and not limits.update_callbacks:
        raise Rejected(
            Code.UNIMPLEMENTED,
            "completion_callbacks of updates are switched off (history.enableUpdateCallbacks)",
        )
    check_variants(inner.completion_callbacks)
    return stage


def _check_allowed(limits: Limits) -> None:
    if not limits.allows_updates:
        raise permission_denied("UpdateWorkflowExecution operation is disabled on this namespace.")


def wait(call: Call, stage: int, limits: Limits) -> Wait:
    now = asyncio.get_running_loop().time()
    deadline = call.deadline if call.deadline is not None else now + DEFAULT_TIMEOUT_S
    # Temporal: a call does not wait for a stage that does not exist.
    return Wait(
        stage if stage <= _COMPLETED else _ADMITTED, deadline, now + limits.long_poll_ns / 1e9
    )


def update_response(
    request: UpdateWorkflowExecutionRequest, reply: UpdateReply
) -> UpdateWorkflowExecutionResponse:
    execution, inner = request.workflow_execution, request.request
    response = UpdateWorkflowExecutionResponse(
        update_ref=_ref(execution.workflow_id, reply.run_id, inner.meta.update_id),
        stage=Stage.ValueType(reply.stage),
    )
    if reply.outcome:
        response.outcome.MergeFromString(reply.outcome)
    link = _link(request, reply, response.outcome)
    if link is not None:
        response.link.CopyFrom(link)
    return response


def _ref(workflow_id: str, run_id: str, update_id: str) -> UpdateRef:
    ref = UpdateRef(update_id=update_id)
    ref.workflow_execution.workflow_id = workflow_id
    ref.workflow_execution.run_id = run_id
    return ref


def _link(
    request: UpdateWorkflowExecutionRequest, reply: UpdateReply, outcome: Outcome
) -> Link | None:
    """Temporal: a failed update links to the workflow, as it may have no event; all others link to the acceptance."""
    link = Link()
    workflow: Any
    if reply.stage == _COMPLETED and outcome.failure.ByteSize():
        workflow = link.workflow
        workflow.reason = "Update rejected"
    elif reply.stage in (_ACCEPTED, _COMPLETED):
        workflow = link.workflow_event
        workflow.request_id_ref.request_id = request.request.request_id
        workflow.request_id_ref.event_type = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    else:
        return None
    workflow.namespace = request.namespace
    workflow.workflow_id = request.workflow_execution.workflow_id
    workflow.run_id = reply.run_id
    return link

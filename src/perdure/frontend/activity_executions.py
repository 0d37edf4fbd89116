"""Operators take a hand in activities by the calls that also know standalone ones, as the official CLI does.

An activity of a workflow is named with it, and the older calls of `activity_control.py` do the work. Standalone
activities are not there yet.
"""

import uuid
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    PauseActivityExecutionRequest,
    PauseActivityExecutionResponse,
    PauseActivityRequest,
    ResetActivityExecutionRequest,
    ResetActivityExecutionResponse,
    ResetActivityRequest,
    UnpauseActivityExecutionRequest,
    UnpauseActivityExecutionResponse,
    UnpauseActivityRequest,
    UpdateActivityExecutionOptionsRequest,
    UpdateActivityExecutionOptionsResponse,
    UpdateActivityOptionsRequest,
)

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.frontend.activity_control import ActivityControl
from perdure.frontend.call import Call
from perdure.frontend.services import Services


class ActivityExecutions:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._of_workflows = ActivityControl(services)

    async def PauseActivityExecution(
        self, request: PauseActivityExecutionRequest, call: Call
    ) -> PauseActivityExecutionResponse:
        older = PauseActivityRequest(
            **self._target(request),
            reason=request.reason,
            request_id=request.request_id or str(uuid.uuid4()),
        )
        await self._of_workflows.PauseActivity(older, call)
        return PauseActivityExecutionResponse()

    async def UnpauseActivityExecution(
        self, request: UnpauseActivityExecutionRequest, call: Call
    ) -> UnpauseActivityExecutionResponse:
        older = UnpauseActivityRequest(**self._target(request), jitter=request.jitter)
        await self._of_workflows.UnpauseActivity(older, call)
        return UnpauseActivityExecutionResponse()

    async def ResetActivityExecution(
        self, request: ResetActivityExecutionRequest, call: Call
    ) -> ResetActivityExecutionResponse:
        older = ResetActivityRequest(
            **self._target(request),
            keep_paused=request.keep_paused,
            jitter=request.jitter,
            restore_original_options=request.restore_original_options,
            reset_heartbeat=request.reset_heartbeat,
        )
        await self._of_workflows.ResetActivity(older, call)
        return ResetActivityExecutionResponse()

    async def UpdateActivityExecutionOptions(
        self, request: UpdateActivityExecutionOptionsRequest, call: Call
    ) -> UpdateActivityExecutionOptionsResponse:
        older = UpdateActivityOptionsRequest(
            **self._target(request), restore_original=request.restore_original
        )
        if request.HasField("activity_options"):
            older.activity_options.CopyFrom(request.activity_options)
        if request.HasField("update_mask"):
            older.update_mask.CopyFrom(request.update_mask)
            if not (request.update_mask.paths or request.restore_original):
                raise invalid_argument("UpdateMask must specify at least one path")
        changed = await self._of_workflows.UpdateActivityOptions(older, call)
        return UpdateActivityExecutionOptionsResponse(activity_options=changed.activity_options)

    def _target(self, request: Any) -> dict[str, Any]:
        """Return the fields by which the older calls name an activity, and who asks. Raises `Rejected`."""
        self._services.namespace(request.namespace)
        limit = self._services.limits(request.namespace).max_id_length
        _check_length("request ID", request.request_id, limit)
        if not request.activity_id:
            raise invalid_argument("activity ID is required")
        _check_length("activity ID", request.activity_id, limit)
        _check_length("identity", request.identity, limit)
        if request.run_id and not _is_uuid(request.run_id):
            raise invalid_argument("invalid run id: must be a valid UUID")
        if not request.workflow_id:
            what = type(request).__name__.removesuffix("Request")
            raise Rejected(Code.UNIMPLEMENTED, f"{what}: standalone activities are not implemented")
        return {
            "namespace": request.namespace,
            "execution": WorkflowExecution(workflow_id=request.workflow_id, run_id=request.run_id),
            "id": request.activity_id,
            "identity": request.identity,
        }


def _check_length(what: str, value: str, limit: int) -> None:
    length = len(value.encode())
    if length > limit:
        raise invalid_argument(f"{what} exceeds length limit. Length={length} Limit={limit}")


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True

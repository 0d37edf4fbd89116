"""Operators pause, unpause and reset activities, and change their options."""

from typing import Any

from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    PauseActivityResponse,
    ResetActivityRequest,
    ResetActivityResponse,
    UnpauseActivityRequest,
    UnpauseActivityResponse,
    UpdateActivityOptionsRequest,
    UpdateActivityOptionsResponse,
)

from perdure.core.errors import invalid_argument
from perdure.core.execution.key import ExecutionKey
from perdure.core.times import duration_ns
from perdure.core.workflow.activities.control import (
    PauseActivities,
    ResetActivities,
    Selected,
    UnpauseActivities,
)
from perdure.core.workflow.activities.option_changes import ChangeActivities
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.validation.fields import check_execution, check_priority, mask_fields


class ActivityControl:
    """The newer calls of `executions.py` pass their request id as an argument: most messages here have none."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def PauseActivity(
        self, request: PauseActivityRequest, call: Call
    ) -> PauseActivityResponse:
        key, which = self._target(request)
        wanted = PauseActivities(which, request.identity, request.reason, request.request_id)
        await self._node.executions.ask(key, wanted)
        return PauseActivityResponse()

    async def UnpauseActivity(
        self, request: UnpauseActivityRequest, call: Call, *, request_id: str = ""
    ) -> UnpauseActivityResponse:
        key, which = self._target(request)
        wanted = UnpauseActivities(
            which,
            reset_attempts=request.reset_attempts,
            reset_heartbeat=request.reset_heartbeat,
            jitter_ns=duration_ns(request.jitter),
            chance=self._node.chance(),
            request_id=request_id,
        )
        await self._node.executions.ask(key, wanted)
        return UnpauseActivityResponse()

    async def ResetActivity(
        self, request: ResetActivityRequest, call: Call, *, request_id: str = ""
    ) -> ResetActivityResponse:
        key, which = self._target(request)
        wanted = ResetActivities(
            which,
            reset_heartbeat=request.reset_heartbeat,
            keep_paused=request.keep_paused,
            restore_options=request.restore_original_options,
            jitter_ns=duration_ns(request.jitter),
            chance=self._node.chance(),
            request_id=request_id,
        )
        await self._node.executions.ask(key, wanted)
        return ResetActivityResponse()

    async def UpdateActivityOptions(
        self, request: UpdateActivityOptionsRequest, call: Call, *, request_id: str = ""
    ) -> UpdateActivityOptionsResponse:
        key, which = self._target(request)
        check_priority(request.activity_options.priority)
        fields = mask_fields(request.update_mask)
        if request.restore_original and fields:
            raise invalid_argument("Both UpdateMask and RestoreOriginal are provided")
        wanted = ChangeActivities(
            which,
            request.activity_options if request.HasField("activity_options") else None,
            fields if request.HasField("update_mask") else None,
            restores=request.restore_original,
            request_id=request_id,
        )
        options = (await self._node.executions.ask(key, wanted)).reply
        assert isinstance(options, ActivityOptions)
        return UpdateActivityOptionsResponse(activity_options=options)

    def _target(self, request: Any) -> tuple[ExecutionKey, Selected]:
        namespace = self._context.namespace(request.namespace)
        if not request.execution.workflow_id:
            raise invalid_argument("WorkflowId is not set on request.")
        execution = check_execution(request, bad_run_id="RunId is not valid UUID.")
        key = self._node.executions.key(namespace.id, execution.workflow_id, execution.run_id)
        match request.WhichOneof("activity"):
            case "id":
                which = Selected(activity_id=request.id)
            case "type":
                which = Selected(activity_type=request.type)
            case None:
                raise invalid_argument(
                    "Either Activity.Id or Activity.Type should be set on request."
                )
            case _:
                which = Selected()
        return key, which

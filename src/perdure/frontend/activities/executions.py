"""Operators control activities by the newer calls, which also know standalone activities. The official CLI uses them.

A request names an activity together with its workflow, and the older calls of `control.py` do the work. Standalone
activities are not implemented yet.
"""

import json
import uuid
from typing import Any, Literal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
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
from perdure.core.limits import Limits
from perdure.core.workflow.activities.option_changes import CHANGEABLE
from perdure.core.workflow.validation import duration_fault, retry_policy_fault, with_defaults
from perdure.frontend.activities.control import ActivityControl
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.validation.fields import check_priority, check_run_id, mask_fields
from perdure.frontend.validation.task_queues import check_callers_task_queue

#: The paths that a mask may have. The start delay is one, though only standalone activities have it.
_CHANGEABLE = CHANGEABLE | {"startDelay"}
_TIMEOUTS = (
    "schedule_to_close_timeout",
    "schedule_to_start_timeout",
    "start_to_close_timeout",
    "heartbeat_timeout",
)
_PRIORITY_FIELDS: dict[Literal["priority_key", "fairness_key", "fairness_weight"], str] = {
    "priority_key": "priorityKey",
    "fairness_key": "fairnessKey",
    "fairness_weight": "fairnessWeight",
}


class ActivityExecutions:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._of_workflows = ActivityControl(context)

    async def PauseActivityExecution(
        self, request: PauseActivityExecutionRequest, call: Call
    ) -> PauseActivityExecutionResponse:
        limits = self._check(request)
        if len(request.reason.encode()) > limits.blob_size:
            raise invalid_argument("reason exceeds length limit")
        older = PauseActivityRequest(
            **_target(request),
            reason=request.reason,
            request_id=request.request_id or str(uuid.uuid4()),
        )
        await self._of_workflows.PauseActivity(older, call)
        return PauseActivityExecutionResponse()

    async def UnpauseActivityExecution(
        self, request: UnpauseActivityExecutionRequest, call: Call
    ) -> UnpauseActivityExecutionResponse:
        self._check(request)
        _check_duration("jitter", request.jitter)
        older = UnpauseActivityRequest(**_target(request), jitter=request.jitter)
        await self._of_workflows.UnpauseActivity(older, call, request_id=request.request_id)
        return UnpauseActivityExecutionResponse()

    async def ResetActivityExecution(
        self, request: ResetActivityExecutionRequest, call: Call
    ) -> ResetActivityExecutionResponse:
        self._check(request)
        _check_duration("jitter", request.jitter)
        older = ResetActivityRequest(
            **_target(request),
            keep_paused=request.keep_paused,
            jitter=request.jitter,
            restore_original_options=request.restore_original_options,
            reset_heartbeat=request.reset_heartbeat,
        )
        await self._of_workflows.ResetActivity(older, call, request_id=request.request_id)
        return ResetActivityExecutionResponse()

    async def UpdateActivityExecutionOptions(
        self, request: UpdateActivityExecutionOptionsRequest, call: Call
    ) -> UpdateActivityExecutionOptionsResponse:
        limits = self._check(request)
        if request.restore_original:
            if request.update_mask.paths:
                raise invalid_argument("Both UpdateMask and RestoreOriginal are provided")
            older = UpdateActivityOptionsRequest(**_target(request), restore_original=True)
        else:
            _check_change(request, limits)
            older = UpdateActivityOptionsRequest(
                **_target(request),
                activity_options=request.activity_options,
                update_mask=request.update_mask,
            )
        changed = await self._of_workflows.UpdateActivityOptions(
            older, call, request_id=request.request_id
        )
        return UpdateActivityExecutionOptionsResponse(activity_options=changed.activity_options)

    def _check(self, request: Any) -> Limits:
        self._context.namespace(request.namespace)
        limits = self._context.limits(request.namespace)
        _check_length("request ID", request.request_id, limits)
        if not request.activity_id:
            raise invalid_argument("activity ID is required")
        _check_length("activity ID", request.activity_id, limits)
        _check_length("identity", request.identity, limits)
        check_run_id(request.run_id, "invalid run id: must be a valid UUID")
        return limits


def _target(request: Any) -> dict[str, Any]:
    """Return the fields by which the older calls name an activity and the caller."""
    if not request.workflow_id:
        what = type(request).__name__.removesuffix("Request")
        raise Rejected(Code.UNIMPLEMENTED, f"{what}: standalone activities are not implemented")
    return {
        "namespace": request.namespace,
        "execution": WorkflowExecution(workflow_id=request.workflow_id, run_id=request.run_id),
        "id": request.activity_id,
        "identity": request.identity,
    }


def _check_length(what: str, value: str, limits: Limits) -> None:
    length = len(value.encode())
    if length > limits.max_id_length:
        raise invalid_argument(
            f"{what} exceeds length limit. Length={length} Limit={limits.max_id_length}"
        )


def _check_duration(what: str, duration: Duration) -> None:
    fault = duration_fault(duration)
    if fault is not None:
        raise invalid_argument(f"invalid {what}: {fault}")


# Options


def _check_change(request: UpdateActivityExecutionOptionsRequest, limits: Limits) -> None:
    """Check the options that the mask names, and no others."""
    if not request.HasField("activity_options"):
        raise invalid_argument("ActivityOptions are not provided")
    if not request.HasField("update_mask"):
        raise invalid_argument("UpdateMask is not provided")
    if not request.update_mask.paths:
        raise invalid_argument("UpdateMask must specify at least one path")
    for path in request.update_mask.paths:
        if not mask_fields(FieldMask(paths=[path])) <= _CHANGEABLE or not path:
            quoted = json.dumps(path, ensure_ascii=False)
            raise invalid_argument(f"unsupported update_mask path: {quoted}")
    options, fields = request.activity_options, mask_fields(request.update_mask)
    if "taskQueue.name" in fields:
        check_callers_task_queue(options, limits)
    for field in _TIMEOUTS:
        name = "".join(word.capitalize() for word in field.split("_"))
        if name[0].lower() + name[1:] in fields:
            _check_duration(name, getattr(options, field))
    _check_changed_priority(options, fields)
    _check_changed_retries(options, fields, limits)
    if "startDelay" in fields:
        _check_duration("StartDelay", options.start_delay)


def _check_changed_priority(options: ActivityOptions, fields: frozenset[str]) -> None:
    """Check the fields that the mask names, and clear the others."""
    if "priority" not in fields and options.HasField("priority"):
        for field, name in _PRIORITY_FIELDS.items():
            if f"priority.{name}" not in fields:
                options.priority.ClearField(field)
    check_priority(options.priority)


def _check_changed_retries(
    options: ActivityOptions, fields: frozenset[str], limits: Limits
) -> None:
    policy = options.retry_policy
    if "retryPolicy" in fields:
        with_defaults(policy, limits.activity_retries)
        fault = retry_policy_fault(policy)
        if fault is not None:
            raise invalid_argument(fault)
    if "retryPolicy.initialInterval" in fields:
        _check_duration("InitialInterval set on retry policy", policy.initial_interval)
    if "retryPolicy.backoffCoefficient" in fields and policy.backoff_coefficient < 1:
        raise invalid_argument("BackoffCoefficient cannot be less than 1 on retry policy.")
    if "retryPolicy.maximumInterval" in fields:
        _check_duration("MaximumInterval set on retry policy", policy.maximum_interval)
    if "retryPolicy.maximumAttempts" in fields and policy.maximum_attempts < 0:
        raise invalid_argument("MaximumAttempts cannot be negative on retry policy.")

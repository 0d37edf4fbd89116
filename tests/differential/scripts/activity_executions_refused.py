"""Refusals of the calls that control activities, in the order of their checks."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Priority, RetryPolicy
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.differential.registry import script
from tests.differential.scripts.activity_control import scheduled
from tests.differential.world import World

_CALLS = (
    (api.PauseActivityExecutionRequest, api.PauseActivityRequest),
    (api.UnpauseActivityExecutionRequest, api.UnpauseActivityRequest),
    (api.ResetActivityExecutionRequest, api.ResetActivityRequest),
    (api.UpdateActivityExecutionOptionsRequest, api.UpdateActivityOptionsRequest),
)
_RUNS = (
    "x",
    "6d1f5a2e000040008000000000000000",
    "{6d1f5a2e-0000-4000-8000-000000000000}",
    "urn:uuid:6d1f5a2e-0000-4000-8000-000000000000",
    "6D1F5A2E-0000-4000-8000-000000000000",
    "6d1f5a2e-00004000-8000-0000-00000000",
    " 6d1f5a2e-0000-4000-8000-000000000000",
    "6d1f5a2e-0000-4000-8000-000000000000\0",
)
_DURATIONS = {
    "negative": Duration(seconds=-1),
    "negative by nanos": Duration(nanos=-1),
    "of two signs": Duration(seconds=1, nanos=-1),
    "for ever": Duration(seconds=10**11),
}
_TIMEOUTS = (
    "schedule_to_close_timeout",
    "schedule_to_start_timeout",
    "start_to_close_timeout",
    "heartbeat_timeout",
)


def _requests(workflow_id: str, run_id: str = "") -> Iterator[tuple[str, Any]]:
    for newer, older in _CALLS:
        yield "", newer(workflow_id=workflow_id, run_id=run_id, activity_id="a")
        request: Any = older(id="a")
        request.execution.workflow_id = workflow_id
        request.execution.run_id = run_id
        yield "", request


@script
async def activities_of_runs_that_are_named_oddly(world: World) -> None:
    workflow, _ = await scheduled(world)
    for run_id in _RUNS:
        for _, request in _requests(workflow.id, run_id):
            await world.attempt(request, repr(run_id))
    await workflow.terminate()
    for _, request in _requests(workflow.id):
        await world.attempt(request, "closed")


@script
async def activities_and_texts_that_are_too_long(world: World) -> None:
    workflow, _ = await scheduled(world)
    for field in ("identity", "request_id", "reason"):
        for text in ("a" * 1001, "é" * 501, "a" * (2 * 1024 * 1024 + 1)):
            for _, request in _requests(workflow.id):
                if field in request.DESCRIPTOR.fields_by_name and "Execution" in str(type(request)):
                    setattr(request, field, text)
                    await world.attempt(request, f"{field} of {len(text)}")


@script
async def activities_with_bad_jitter(world: World) -> None:
    workflow, _ = await scheduled(world)
    for label, jitter in _DURATIONS.items():
        if label == "for ever":
            continue  # That is allowed, and a time drawn at random.
        for kind in (api.UnpauseActivityExecutionRequest, api.ResetActivityExecutionRequest):
            request = kind(workflow_id=workflow.id, activity_id="a", jitter=jitter)
            await world.attempt(request, label)


@script
async def activity_options_that_are_bad(world: World) -> None:
    workflow, _ = await scheduled(world)

    async def change(label: str, *paths: str, **options: Any) -> None:
        request = api.UpdateActivityExecutionOptionsRequest(
            workflow_id=workflow.id,
            activity_id="a",
            activity_options=ActivityOptions(**options),
            update_mask=FieldMask(paths=paths),
        )
        await world.attempt(request, label)

    for path in (
        *("taskQueue", "task_queue.kind", "heartbeatTimeout.seconds", "priority.x", "x", "", 'x"y'),
        *("retry_policy.non_retryable_error_types", "é", "heartbeat_timeout,x", "start_delay"),
        *("priority", "retry_policy", "task_queue.name", "retry_policy.maximum_attempts"),
    ):
        await change(f"{path!r} of nothing", path)
        await change(f"{path!r} and one that is bad", "heartbeat_timeout", path, "bad")
    await change("the words of a refusal are cut", "x" * 5000)
    for label, duration in _DURATIONS.items():
        for name in _TIMEOUTS:
            await change(f"{name} {label}", name, **{name: duration})
            await change(f"{name} {label}, not asked for", "priority", **{name: duration})
        for name in ("initial_interval", "maximum_interval"):
            policy = RetryPolicy(**{name: duration})
            await change(f"{name} {label}", f"retry_policy.{name}", retry_policy=policy)
    for coefficient in (0, 0.5, -1):
        policy = RetryPolicy(backoff_coefficient=coefficient)
        await change(
            f"coefficient {coefficient}", "retry_policy.backoff_coefficient", retry_policy=policy
        )
        await change(f"policy with coefficient {coefficient}", "retry_policy", retry_policy=policy)
    policy = RetryPolicy(maximum_attempts=-1)
    await change("attempts", "retry_policy.maximum_attempts", retry_policy=policy)
    await change("policy with attempts", "retry_policy", retry_policy=policy)
    for priority in (
        *(Priority(priority_key=-1), Priority(fairness_key="a" * 65), Priority(fairness_weight=-1)),
        *(Priority(priority_key=9), Priority(fairness_key="é"), Priority(fairness_weight=1e9)),
    ):
        for path in ("", ".priority_key", ".fairness_key", ".fairness_weight"):
            await change(
                f"priority{path} of {priority}".strip(), f"priority{path}", priority=priority
            )
        await change(f"{priority}, not asked for".strip(), "heartbeat_timeout", priority=priority)
    for queue in ("", "a" * 1001, "/_sys/x", "temporal-sys-per-ns-tq"):
        await change(f"queue {queue[:9]!r}", "task_queue.name", task_queue=TaskQueue(name=queue))
    restore = api.UpdateActivityExecutionOptionsRequest(
        workflow_id=workflow.id, activity_id="a", restore_original=True
    )
    await world.attempt(restore, "as it was")
    await workflow.terminate()


@script
async def activity_options_that_are_missing(world: World) -> None:
    workflow, _ = await scheduled(world)
    mask, empty = FieldMask(paths=["heartbeat_timeout"]), FieldMask()
    for label, fields in {
        "nothing": {},
        "options": {"activity_options": ActivityOptions()},
        "mask": {"update_mask": mask},
        "empty mask": {"update_mask": empty},
        "empty mask and options": {"update_mask": empty, "activity_options": ActivityOptions()},
        "mask and restore": {"update_mask": mask, "restore_original": True},
        "empty mask and restore": {"update_mask": empty, "restore_original": True},
        "options and restore": {
            "activity_options": ActivityOptions(priority=Priority(priority_key=-1)),
            "restore_original": True,
        },
    }.items():
        newer = api.UpdateActivityExecutionOptionsRequest(
            workflow_id=workflow.id, activity_id="a", **fields
        )
        await world.attempt(newer, label)
        for activity in ("a", "b"):
            older = api.UpdateActivityOptionsRequest(id=activity, **fields)
            older.execution.workflow_id = workflow.id
            await world.attempt(older, f"{label} for {activity}")

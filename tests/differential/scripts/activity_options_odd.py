"""Changing the options of activities where there is nothing to change, or by masks that are odd."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import complete_workflow, schedule_activity
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.scripts.activity_control import do, scheduled
from tests.differential.world import World

_OPTIONS: dict[str, Any] = {"start_to_close_timeout": "7s", "heartbeat_timeout": "3s"}
_WAYS: dict[str, dict[str, Any]] = {
    "restored": {"restore_original": True},
    "changed": {"activity_options": _OPTIONS, "update_mask": "heartbeatTimeout"},
    "changed without a mask": {"activity_options": _OPTIONS},
    "changed without options": {"update_mask": "heartbeatTimeout"},
    "nothing": {},
}
_LEFT_BEHIND = "a closed run has no activities: none can start, whatever its options are"


@script(
    intended=[
        Intended("*Options closed, restored.*", _LEFT_BEHIND),
        Intended("*Options closed, restored, all.*", _LEFT_BEHIND),
    ]
)
async def activity_options_of_what_is_not_there(world: World) -> None:
    workflow, _ = await scheduled(world)
    for state in ("open", "closed"):
        if state == "closed":
            await workflow.terminate(quiet=True)
        for label, fields in _WAYS.items():
            for which, selection in {
                "unknown": {"id": "nobody"},
                "empty id": {"id": ""},
                "unknown type": {"type": "Nobody"},
                "empty type": {"type": ""},
            }.items():
                await do(workflow, "change", f"{state}, {label}, {which}", **selection, **fields)
            if state == "closed":
                await do(workflow, "change", f"closed, {label}", **fields)
                await do(workflow, "change", f"closed, {label}, all", match_all=True, **fields)
    for what in ("pause", "unpause", "reset"):
        for selection in ({"id": ""}, {"type": ""}):
            await do(workflow, what, f"closed {selection}", **selection)


@script
async def activities_selected_by_nothing(world: World) -> None:
    workflow, _ = await scheduled(world)
    for what in ("pause", "unpause", "reset"):
        for selection in ({"id": ""}, {"type": ""}):
            await do(workflow, what, f"{what} {selection}", **selection)
    await workflow.describe("untouched")


@script(
    intended=[
        Intended(
            "* 'retryPolicy.nonRetryableErrorTypes'.*",
            "they can be changed, and need a policy as all other parts of it do",
        )
    ]
)
async def activity_options_by_odd_masks(world: World) -> None:
    workflow, _ = await scheduled(world)
    for mask in (
        "",
        "nothing",
        "heartbeatTimeout.seconds",
        "taskQueue",
        "taskQueue.kind",
        "retryPolicy.nonRetryableErrorTypes",
        "priority.nothing",
        "startToCloseTimeout,startToCloseTimeout",
        "startToCloseTimeout,nothing",
    ):
        await do(workflow, "change", repr(mask), activity_options=_OPTIONS, update_mask=mask)
    await workflow.describe("changed")
    await do(workflow, "change", "restored", restore_original=True)
    await do(workflow, "change", "restored again", restore_original=True, update_mask="")
    await do(
        workflow, "change", "restored, empty options", restore_original=True, activity_options={}
    )
    await workflow.describe("restored")


@script(intended=[Intended("*Options completed, *", _LEFT_BEHIND)])
async def activity_options_restored_for_many(world: World) -> None:
    workflow, queue = world.workflow(), world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(
        schedule_activity("a", queue, heartbeat_timeout="9s"),
        schedule_activity("b", queue, heartbeat_timeout="9s"),
    )
    changed = {"activity_options": _OPTIONS, "update_mask": "heartbeatTimeout"}
    await do(workflow, "change", "all", match_all=True, **changed)
    await workflow.describe("changed")
    await do(workflow, "change", "one restored", restore_original=True)
    await do(workflow, "change", "all restored", match_all=True, restore_original=True)
    await do(workflow, "change", "by type", type="Activity", restore_original=True)
    await workflow.describe("restored")
    await workflow.signal()
    await workflow.poll_and_complete(complete_workflow())
    for label, selection in {"id": {"id": "a"}, "all": {"match_all": True}}.items():
        await do(workflow, "change", f"completed, {label}", restore_original=True, **selection)


@script(intended=[Intended("*Options closed, restored, a.*", _LEFT_BEHIND)])
async def activity_executions_whose_options_are_not_there(world: World) -> None:
    workflow, _ = await scheduled(world)
    for state in ("open", "closed"):
        if state == "closed":
            await workflow.terminate(quiet=True)
        for label, fields in _WAYS.items():
            for activity in ("a", "nobody"):
                if (state, activity) == ("open", "a"):
                    continue
                request = api.UpdateActivityExecutionOptionsRequest(
                    workflow_id=workflow.id, activity_id=activity
                )
                await world.attempt(request, f"{state}, {label}, {activity}", **fields)

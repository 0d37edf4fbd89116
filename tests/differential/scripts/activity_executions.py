"""Operators take a hand in activities of workflows by the calls that also know standalone ones."""

from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import complete_workflow
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.scripts.activity_control import scheduled
from tests.differential.world import Workflow, World

_WITH = {
    "pause": api.PauseActivityExecutionRequest,
    "unpause": api.UnpauseActivityExecutionRequest,
    "reset": api.ResetActivityExecutionRequest,
    "change": api.UpdateActivityExecutionOptionsRequest,
}
_COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED


async def _do(workflow: Workflow, what: str, label: str = "", **fields: Any) -> None:
    request = _WITH[what](workflow_id=workflow.id, identity="operator")
    await workflow.world.attempt(request, label, **{"activity_id": "a"} | fields)


@script(
    intended=[
        Intended(
            "* PollActivityTaskQueue.heartbeat_timeout",
            "the real server tells the worker what held before the change",
        )
    ]
)
async def activity_execution_of_a_workflow(world: World) -> None:
    workflow, queue = await scheduled(world)
    await _do(workflow, "pause", reason="why")
    await workflow.describe("paused")
    await _do(
        workflow,
        "change",
        activity_options={"heartbeat_timeout": "7s"},
        update_mask="heartbeatTimeout",
    )
    await _do(workflow, "reset", keep_paused=True)
    await workflow.describe("still paused")
    await _do(workflow, "unpause")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)
    await workflow.poll_and_complete(complete_workflow())


@script
async def activity_execution_of_a_workflow_refused(world: World) -> None:
    workflow, _ = await scheduled(world)
    for what in _WITH:
        asked = {"activity_options": {"heartbeat_timeout": "7s"}, "update_mask": "heartbeatTimeout"}
        fields = asked if what == "change" else {}
        await _do(workflow, what, "unknown", activity_id="b", **fields)
        await _do(workflow, what, "no id", activity_id="", **fields)
        await _do(workflow, what, "bad run", run_id="x", **fields)
        await _do(workflow, what, "long id", activity_id="a" * 1001, **fields)
        await _do(workflow, what, "long request id", request_id="a" * 1001, **fields)
    await _do(workflow, "change", "nothing")
    await _do(workflow, "change", "no mask", activity_options={"heartbeat_timeout": "7s"})
    await _do(workflow, "change", "empty mask", activity_options={}, update_mask="")
    await workflow.terminate()

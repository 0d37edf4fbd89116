"""How an open run is treated is changed from outside."""

from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    complete_workflow,
    continue_as_new,
    start_child,
    start_timer,
)
from tests.differential.registry import script
from tests.differential.wire import Refusal
from tests.differential.world import Workflow, World


async def _update(workflow: Workflow, label: str, mask: str | None, **options: Any) -> Any:
    request = api.UpdateWorkflowExecutionOptionsRequest(
        workflow_execution=WorkflowExecution(workflow_id=workflow.id), identity="operator"
    )
    return await workflow.world.attempt(
        request, label, update_mask=mask, workflow_execution_options=options
    )


@script
async def priority_changed(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(priority={"priority_key": 3})
    await _update(workflow, "key", "priority.priorityKey", priority={"priority_key": 5})
    await workflow.describe("changed")
    await _update(workflow, "same", "priority.priorityKey", priority={"priority_key": 5})
    await _update(
        workflow,
        "fairness",
        "priority.fairnessKey,priority.fairnessWeight",
        priority={"fairness_key": "key", "fairness_weight": 2.5},
    )
    await _update(workflow, "taken away", "priority")
    await workflow.describe("taken away")
    await _update(workflow, "all of it", "priority", priority={"priority_key": 1})
    await workflow.poll_and_complete(complete_workflow())
    await _update(workflow, "closed", "priority")


@script
async def priority_changed_while_a_worker_is_busy(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await _update(workflow, "busy", "priority.priorityKey", priority={"priority_key": 5})
    await workflow.describe("busy")
    await task.complete(complete_workflow())
    await workflow.poll_and_complete(complete_workflow())


@script
async def changed_priority_is_inherited(world: World) -> None:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await _update(parent, "key", "priority.priorityKey", priority={"priority_key": 5})
    await parent.poll_and_complete(start_child(child.id, child.task_queue))
    await child.poll()


@script
async def options_refused(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await _update(workflow, "no mask", None, priority={"priority_key": 5})
    request = api.UpdateWorkflowExecutionOptionsRequest
    execution = WorkflowExecution(workflow_id=workflow.id)
    await world.attempt(request(workflow_execution=execution), "no options", update_mask="priority")
    await world.attempt(request(), "nothing")
    await _update(workflow, "bad priority", "priority", priority={"priority_key": -1})
    nobody = WorkflowExecution(workflow_id=world.id("nobody"))
    await world.attempt(
        request(workflow_execution=nobody),
        "nobody",
        update_mask="priority",
        workflow_execution_options={"priority": {"priority_key": 2}},
    )


_VERSION = {"deployment_name": "deployment", "build_id": "build"}
_OVERRIDES: dict[str, dict[str, Any]] = {
    "auto-upgrade": {"auto_upgrade": True},
    "not auto-upgrade": {"auto_upgrade": False},
    "auto-upgrade in the old form": {"behavior": "VERSIONING_BEHAVIOR_AUTO_UPGRADE"},
    "auto-upgrade to a version": {
        "behavior": "VERSIONING_BEHAVIOR_AUTO_UPGRADE",
        "pinned_version": "deployment.build",
    },
    "pinned": {"pinned": {"behavior": "PINNED_OVERRIDE_BEHAVIOR_PINNED", "version": _VERSION}},
    "pinned somehow": {"pinned": {"version": _VERSION}},
    "pinned in the old form": {
        "behavior": "VERSIONING_BEHAVIOR_PINNED",
        "pinned_version": "deployment.build",
    },
    "once": {"one_time": {"target_deployment_version": _VERSION}},
    "nothing": {},
}


@script
async def versioning_overridden_at_the_start(world: World) -> None:
    for number, (name, override) in enumerate(_OVERRIDES.items()):
        workflow = world.workflow(f"start-{number}")
        await workflow.try_start(name, versioning_override=override)
        other = world.workflow(f"signal-{number}")
        await other.signal_with_start(name, versioning_override=override)


@script
async def versioning_overridden(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    for name, override in _OVERRIDES.items():
        await _update(workflow, name, "versioningOverride", versioning_override=override)
    await workflow.describe("overridden")
    await _update(
        workflow, "the same", "versioningOverride", versioning_override={"auto_upgrade": True}
    )
    await _update(workflow, "priority", "priority", priority={"priority_key": 2})
    await _update(
        workflow, "a part", "versioningOverride.behavior", versioning_override={"behavior": 2}
    )
    await _update(
        workflow, "another", "versioningOverride.autoUpgrade", versioning_override={"behavior": 2}
    )
    await _update(workflow, "taken away", "versioningOverride")
    await workflow.describe("taken away")


@script
async def versioning_override_is_not_inherited(world: World) -> None:
    workflow, child = world.workflow(), world.workflow("child")
    await workflow.start(versioning_override={"auto_upgrade": True})
    await workflow.poll_and_complete(start_child(child.id, child.task_queue))
    task = await child.poll()
    child.saw_run(task.reply.workflow_execution.run_id)
    await workflow.poll_and_complete(continue_as_new())


@script
async def versioning_overridden_by_a_reset(world: World) -> None:
    for number, name in enumerate(("auto-upgrade", "pinned")):
        workflow = world.workflow(f"reset-{number}")
        await workflow.start()
        await workflow.poll_and_complete(start_timer("t", 100))
        options = {"versioning_override": _OVERRIDES[name]}
        change = {"workflow_execution_options": options, "update_mask": "versioningOverride"}
        reply = await world.attempt(
            api.ResetWorkflowExecutionRequest(workflow_execution=workflow.execution()),
            name,
            workflow_task_finish_event_id=4,
            request_id="reset",
            reason="reason",
            post_reset_operations=[{"update_workflow_options": change}],
        )
        if not isinstance(reply, Refusal):
            workflow.saw_run(reply.run_id)

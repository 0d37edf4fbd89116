"""The description of a closed run shows what was pending when it closed."""

from collections.abc import Awaitable, Callable

from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    cancel_activity,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
    schedule_activity,
    start_child,
    start_timer,
)
from tests.differential.registry import add, script
from tests.differential.scripts.resetting import reset
from tests.differential.world import ActivityTask, Workflow, World

End = Callable[[Workflow], Awaitable[None]]

_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
_RETRIES = {"retry_policy": {"initial_interval": "100s"}}


async def _busy(workflow: Workflow) -> tuple[Workflow, ActivityTask]:
    """Let activities be in every state, and a child run; return the child, and what a worker holds."""
    world = workflow.world
    child = world.workflow(f"{workflow.name}-child")
    queues = {name: world.id(f"{workflow.name}-{name}") for name in ("held", "failed", "asked")}
    await workflow.poll_and_complete(
        schedule_activity("waits", world.id(f"{workflow.name}-waits")),
        *(schedule_activity(name, queue, **_RETRIES) for name, queue in queues.items()),
        schedule_activity("paused", world.id(f"{workflow.name}-paused")),
        start_timer("t", 100),
        start_child(child.id, child.task_queue, parent_close_policy="PARENT_CLOSE_POLICY_ABANDON"),
    )
    held = await world.poll_activity(queues["held"])
    await held.heartbeat()
    await (await world.poll_activity(queues["failed"])).fail(failure())
    await world.poll_activity(queues["asked"])
    pause = api.PauseActivityRequest(execution=workflow.execution(), id="paused", reason="why")
    await world.do(pause, identity="operator")
    await workflow.until(_STARTED)
    described = await child.describe(quiet=True)
    child.saw_run(described.workflow_execution_info.execution.run_id)
    await workflow.poll_and_complete(cancel_activity(8))
    await workflow.describe("busy")
    return child, held


async def _by_termination(workflow: Workflow) -> None:
    await workflow.terminate()


async def _while_a_task_waits(workflow: Workflow) -> None:
    await workflow.signal()
    await workflow.terminate()


async def _while_a_worker_is_at_it(workflow: Workflow) -> None:
    await workflow.signal()
    await workflow.poll()
    await workflow.signal("buffered")
    await workflow.terminate()


async def _by_completion(workflow: Workflow) -> None:
    await workflow.signal()
    await workflow.poll_and_complete(complete_workflow())


async def _by_failure(workflow: Workflow) -> None:
    await workflow.signal()
    await workflow.poll_and_complete(fail_workflow())


async def _by_what_begins_in_the_same_task(workflow: Workflow) -> None:
    await workflow.signal()
    late = workflow.world.id("late")
    policies = ("ABANDON", "TERMINATE")
    await workflow.poll_and_complete(
        schedule_activity("late", late, input={"payloads": [{"data": "aW5wdXQ="}]}),
        *(
            start_child(f"{late}-{each}", late, parent_close_policy=f"PARENT_CLOSE_POLICY_{each}")
            for each in policies
        ),
        complete_workflow(),
    )


async def _by_a_new_run(workflow: Workflow) -> None:
    await workflow.signal()
    await workflow.poll_and_complete(continue_as_new())


async def _by_a_reset(workflow: Workflow) -> None:
    await reset(workflow, 4)


_ENDS: dict[str, End] = {
    "terminated": _by_termination,
    "terminated_while_a_task_waits": _while_a_task_waits,
    "terminated_while_a_worker_is_at_it": _while_a_worker_is_at_it,
    "completed": _by_completion,
    "failed": _by_failure,
    "completed_in_the_task_that_begins_more": _by_what_begins_in_the_same_task,
    "continued": _by_a_new_run,
    "reset": _by_a_reset,
}


def _add(name: str, end: End) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        await workflow.start()
        first = workflow.run_id
        child, held = await _busy(workflow)
        await end(workflow)
        await workflow.until_closed(first)
        await workflow.describe("closed", run_id=first)
        # A late answer changes nothing about it.
        await held.complete(label="late")
        await child.poll_and_complete(complete_workflow())
        await workflow.describe("after what came later", run_id=first)

    add(f"left_pending_when_{name}", play)


for _name, _end in _ENDS.items():
    _add(_name, _end)


@script
async def left_pending_when_timed_out(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_run_timeout="2s")
    await workflow.poll_and_complete(schedule_activity("waits", world.id("waits")))
    await workflow.until_closed()


@script
async def left_pending_when_an_attempt_had_failed(world: World) -> None:
    """The workflow task that would be tried again left no event."""
    workflow = world.workflow()
    await workflow.start()
    for _ in range(2):
        await (await workflow.poll()).fail(failure())
    await workflow.terminate()

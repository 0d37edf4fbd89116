"""A workflow starts another one, learns how it ends, and decides what its own end means for it."""

from typing import Any

from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    cancel_workflow,
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    json_payloads,
    start_child,
    start_timer,
)
from tests.differential.registry import add, script
from tests.differential.world import Workflow, World

_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED


async def _family(world: World, **fields: Any) -> tuple[Workflow, Workflow]:
    """A parent that knows its child to be started, and has no task."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(start_child(child.id, child.task_queue, **fields))
    await _see(parent, child)
    await parent.poll_and_complete()
    return parent, child


async def _see(parent: Workflow, child: Workflow) -> None:
    await parent.until(_STARTED)
    described = await child.describe(quiet=True)
    child.saw_run(described.workflow_execution_info.execution.run_id)


# How a child ends


def _end(name: str, *commands: Any, **fields: Any) -> None:
    async def play(world: World) -> None:
        parent, child = await _family(world, **fields)
        await parent.describe("with a child")
        await child.poll_and_complete(*commands)
        await parent.until(getattr(EventType, f"EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_{name}"))
        await parent.poll_and_complete(complete_workflow())

    add(f"child_{name.lower()}", play)


_end("COMPLETED", complete_workflow("from the child"))
_end("FAILED", fail_workflow("in the child"))
_end("CANCELED", cancel_workflow())
_end("TIMED_OUT", start_timer("t", 100), workflow_run_timeout="1s")


@script
async def child_terminated(world: World) -> None:
    parent, child = await _family(world)
    await child.terminate()
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED)
    await parent.poll_and_complete(complete_workflow())


@script
async def child_goes_on_as_new(world: World) -> None:
    """The parent hears of the last run, under the id of the first."""
    parent, child = await _family(world)
    await child.poll_and_complete(continue_as_new())
    described = await child.describe(quiet=True)
    child.saw_run(described.workflow_execution_info.execution.run_id)
    await child.poll_and_complete(complete_workflow())
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await parent.poll_and_complete(complete_workflow())


@script
async def child_with_everything(world: World) -> None:
    note = json_payloads("note")["payloads"][0]
    parent, child = await _family(
        world,
        input=json_payloads("input"),
        workflow_execution_timeout="100s",
        workflow_run_timeout="50s",
        workflow_task_timeout="5s",
        control="control",
        retry_policy={"initial_interval": "2s"},
        memo={"fields": {"note": note}},
        header={"fields": {"trace": note}},
        priority={"priority_key": 2},
        workflow_id_reuse_policy="WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE",
        parent_close_policy="PARENT_CLOSE_POLICY_ABANDON",
    )
    await child.poll_and_complete(complete_workflow())
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await parent.poll_and_complete(complete_workflow())


@script
async def child_inherits(world: World) -> None:
    """Queue, priority and root come from the parent, where the command says nothing."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start(priority={"priority_key": 4}, workflow_task_timeout="7s")
    child.task_queue = parent.task_queue
    await parent.poll_and_complete(start_child(child.id, ""))
    await _see(parent, child)
    tasks = [await parent.poll(quiet=True) for _ in range(2)]
    task = next(each for each in tasks if each.reply.workflow_execution.workflow_id == child.id)
    grandchild = world.workflow("grandchild")
    await task.complete(start_child(grandchild.id, grandchild.task_queue))
    await _see(child, grandchild)
    await grandchild.poll_and_complete(complete_workflow())
    await child.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)


@script
async def child_with_user_metadata(world: World) -> None:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    wanted = start_child(child.id, child.task_queue)
    wanted.user_metadata.summary.data = b"summary"
    await parent.poll_and_complete(wanted)
    await _see(parent, child)
    await child.describe()


@script
async def child_of_a_known_id(world: World) -> None:
    """One is running, and one may not be used again."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await child.start()
    await parent.start()
    await parent.poll_and_complete(start_child(child.id, child.task_queue))
    failed = EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED
    await parent.until(failed)
    task = await parent.poll()
    await child.poll_and_complete(complete_workflow())
    await task.complete(
        start_child(
            child.id,
            child.task_queue,
            workflow_id_reuse_policy="WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE",
        )
    )
    await parent.until(failed, failed)
    await parent.poll_and_complete(start_child(child.id, child.task_queue))
    await _see(parent, child)


@script
async def child_ends_while_the_parent_is_busy(world: World) -> None:
    """Events that arrive meanwhile are buffered."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    first = await parent.poll()
    # The next task starts with the same step, so that the child's start always finds it under way.
    task = await first.complete_and_get_next(
        start_child(child.id, child.task_queue), force_create_new_workflow_task=True
    )
    described = await child.describe(quiet=True)
    while not hasattr(described, "workflow_execution_info"):
        await world.settle()
        described = await child.describe(quiet=True)
    child.saw_run(described.workflow_execution_info.execution.run_id)
    await child.poll_and_complete(complete_workflow())
    await child.until_closed()
    await world.settle()
    await parent.describe("busy")
    await task.complete()
    await parent.poll_and_complete(complete_workflow())


@script
async def children_of_one_task(world: World) -> None:
    """Temporal: they start side by side, so in which order the parent hears of them is not said."""
    parent = world.workflow("parent")
    children = [world.workflow(name) for name in ("one", "two", "three")]
    await parent.start()
    await parent.poll_and_complete(*(start_child(child.id, child.task_queue) for child in children))
    await parent.until(_STARTED, _STARTED, _STARTED)
    completed = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED
    for number, child in enumerate(children, 1):
        await child.poll_and_complete(complete_workflow())
        await parent.until(*[completed] * number)
    parent.run_ids.clear()
    history = await parent.history(quiet=True)
    world.note("what happened", [event.event_type for event in history.history.events])


# How a parent ends


def _parent_ends(name: str, policy: str) -> None:
    async def play(world: World) -> None:
        parent, child = await _family(world, parent_close_policy=f"PARENT_CLOSE_POLICY_{policy}")
        await parent.signal()
        await parent.poll_and_complete(complete_workflow())
        if policy == "REQUEST_CANCEL":
            await child.until(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
        else:
            await world.settle()
            await child.poll_and_complete(complete_workflow())

    add(f"parent_closes_and_its_child_{name}", play)


_parent_ends("is_asked_to_stop", "REQUEST_CANCEL")
_parent_ends("goes_on", "ABANDON")


@script
async def parent_goes_on_as_new(world: World) -> None:
    """To its child that is an end like any other."""
    parent, child = await _family(world)
    await parent.signal()
    await parent.poll_and_complete(continue_as_new())
    await child.until_closed()


@script
async def parent_closes_with_what_it_asked_for(world: World) -> None:
    """A child of the very task that closes the parent is never started."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(start_child(child.id, child.task_queue), complete_workflow())
    await world.wait(1)
    await child.describe("never started")


# Commands that are refused

_CHILD: dict[str, Any] = {"workflow_type": {"name": "Child"}, "task_queue": {"name": "queue"}}


def _refused(name: str, wanted: Any) -> None:
    async def play(world: World) -> None:
        parent = world.workflow("parent")
        await parent.start()
        await (await parent.poll()).complete(wanted)

    add(f"refused_child_{name}", play)


def _child(**fields: Any) -> Any:
    return command("START_CHILD_WORKFLOW_EXECUTION", **(_CHILD | {"workflow_id": "x"} | fields))


_refused("without_id", _child(workflow_id=""))
_refused("without_type", _child(workflow_type={}))
_refused("with_long_id", _child(workflow_id="x" * 1001))
_refused("with_negative_timeout", _child(workflow_run_timeout="-1s"))
_refused("with_bad_retries", _child(retry_policy={"initial_interval": "-1s"}))
_refused(
    "with_unknown_search_attribute", _child(search_attributes={"indexed_fields": {"Nobody": {}}})
)
_refused("of_another_namespace", _child(namespace="elsewhere"))

"""Commands that reach other namespaces, where an operator allows them: children, signals, requests to stop."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest

from tests.build.commands import (
    cancel_external,
    cancel_workflow,
    command,
    complete_workflow,
    signal_external,
    start_child,
)
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.scripts.switched_on import ALL_ON
from tests.differential.world import Workflow, World

_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
_NOT_STARTED = EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED
_COMPLETED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED
_SIGNALED = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED
_NOT_SIGNALED = EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED
_ASKED = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED


@contextmanager
def _inside(world: World, namespace: str) -> Iterator[None]:
    """Call in that namespace meanwhile."""
    before, world.namespace = world.namespace, namespace
    try:
        yield
    finally:
        world.namespace = before


async def _elsewhere(world: World) -> str:
    """Make another namespace; return its name."""
    with _inside(world, world.namespace):
        await world.own_namespace()
        return world.namespace


async def _all_of(workflow: Workflow) -> None:
    for run_id in workflow.run_ids:
        await workflow.history(f"of {workflow.name}", run_id=run_id)
        await workflow.describe(f"of {workflow.name}", run_id=run_id)


async def _child_starts(world: World, other: str, **fields: Any) -> tuple[Workflow, Workflow]:
    """Start a parent here, and a child there."""
    parent, child = world.workflow("parent"), Workflow(world, "child")
    await parent.start(quiet=True)
    wanted = start_child(child.id, child.task_queue, namespace=other, **fields)
    await parent.poll_and_complete(wanted)
    started = await parent.until(_STARTED)
    attributes = started.child_workflow_execution_started_event_attributes
    child.saw_run(attributes.workflow_execution.run_id)
    return parent, child


@script(settings=ALL_ON)
async def a_child_in_another_namespace(world: World) -> None:
    other = await _elsewhere(world)
    parent, child = await _child_starts(world, other)
    await parent.describe("while the child runs")
    with _inside(world, other):
        await child.describe("while it runs")
        await child.poll_and_complete(complete_workflow())
    await parent.until(_COMPLETED)
    await parent.poll_and_complete(complete_workflow())
    with _inside(world, other):
        await _all_of(child)


@script(settings=ALL_ON)
async def a_child_in_another_namespace_that_ends_first(world: World) -> None:
    """It goes on as another run, and tells its parent of the last one's end."""
    other = await _elsewhere(world)
    parent, child = await _child_starts(world, other)
    with _inside(world, other):
        task = await child.poll()
        await task.complete(
            command(
                "CONTINUE_AS_NEW_WORKFLOW_EXECUTION",
                workflow_type={"name": "Workflow"},
                task_queue={"name": child.task_queue},
            )
        )
        await child.poll_and_complete(complete_workflow())
    await parent.until(_COMPLETED)
    with _inside(world, other):
        await _all_of(child)


async def _parent_closes(world: World, policy: str) -> None:
    other = await _elsewhere(world)
    parent, child = await _child_starts(world, other, parent_close_policy=policy)
    await parent.poll_and_complete(complete_workflow())
    with _inside(world, other):
        if policy == "PARENT_CLOSE_POLICY_TERMINATE":
            await child.until_closed()
        else:
            await child.until(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
            await child.poll_and_complete(cancel_workflow())
        await _all_of(child)


@script(settings=ALL_ON)
async def a_child_in_another_namespace_is_terminated(world: World) -> None:
    await _parent_closes(world, "PARENT_CLOSE_POLICY_TERMINATE")


@script(settings=ALL_ON)
async def a_child_in_another_namespace_is_cancelled(world: World) -> None:
    await _parent_closes(world, "PARENT_CLOSE_POLICY_REQUEST_CANCEL")


@script(settings=ALL_ON)
async def a_child_of_a_taken_id_in_another_namespace(world: World) -> None:
    """An id is taken in a namespace: here it is, there it is not."""
    other = await _elsewhere(world)
    parent, child = await _child_starts(world, other)
    wanted = start_child(child.id, child.task_queue, namespace=other)
    await parent.poll_and_complete(wanted)
    await parent.until(_NOT_STARTED)
    here = world.workflow("child")
    await parent.poll_and_complete(start_child(here.id, here.task_queue))
    await parent.until(_STARTED, _STARTED)
    with _inside(world, other):
        await child.terminate()
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED)


@script(settings=ALL_ON)
async def signals_and_cancels_to_another_namespace(world: World) -> None:
    other = await _elsewhere(world)
    one, there = world.workflow("one"), Workflow(world, "there")
    with _inside(world, other):
        await there.start()
    await one.start(quiet=True)
    await one.poll_and_complete(signal_external(there.id, namespace=other, control="control"))
    await one.until(_SIGNALED)
    await one.poll_and_complete(signal_external(there.id))
    await one.until(_NOT_SIGNALED)
    await one.poll_and_complete(
        signal_external(there.id, namespace=other, child_workflow_only=True)
    )
    await one.until(_NOT_SIGNALED, _NOT_SIGNALED)
    await one.poll_and_complete(cancel_external(there.id, namespace=other, reason="why"))
    await one.until(_ASKED)
    # The same id, there: it is not itself.
    namesake = Workflow(world, "one")
    with _inside(world, other):
        await namesake.start()
    await one.poll_and_complete(signal_external(one.id, namespace=other))
    await one.until(_SIGNALED, _SIGNALED)
    await one.poll_and_complete(complete_workflow())
    with _inside(world, other):
        await there.terminate()
        await _all_of(there)
        await namesake.terminate()
        await _all_of(namesake)


@script(settings=ALL_ON)
async def children_in_another_namespace_that_are_refused(world: World) -> None:
    """Faults name the namespace that is reached, and its search attributes count."""
    other = await _elsewhere(world)
    for name, fields in {
        "no such namespace": {"namespace": "no-such-namespace"},
        "no id": {"workflow_id": ""},
        "no type": {"workflow_type": {"name": ""}},
        "unknown attribute": {
            "search_attributes": {"indexed_fields": {"NoSuch": {"data": "IngKIg=="}}}
        },
        "long id": {"workflow_id": "x" * 1001},
        "bad timeout": {"workflow_run_timeout": "-1s"},
    }.items():
        parent = world.workflow(name.replace(" ", "-"))
        await parent.start(quiet=True)
        task = await parent.poll(quiet=True)
        wanted = {"namespace": other} | fields
        await task.complete(start_child("child", "queue", **wanted), label=name)


@script(
    settings=ALL_ON,
    intended=[
        Intended(
            "*.start_child_workflow_execution_initiated_event_attributes.search_attributes.*",
            "the real server shows the column that the value is kept in, here it has its name",
        )
    ],
)
async def a_child_in_a_namespace_of_other_search_attributes(world: World) -> None:
    """The attributes of a child are those of its namespace."""
    other = await _elsewhere(world)
    add = {"search_attributes": {"Fruit": "INDEXED_VALUE_TYPE_KEYWORD"}}
    await world.do(AddSearchAttributesRequest(namespace=other), quiet=True, **add)
    parent, child = await _child_starts(
        world,
        other,
        search_attributes={
            "indexed_fields": {
                "Fruit": {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "ImZpZyI="}
            }
        },
    )
    with _inside(world, other):
        await _all_of(child)
        await child.terminate()
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED)

"""How a child comes to be: whose id it may take, what it is given, and what stands in its way."""

from typing import Any

from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    cancel_external,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    json_payloads,
    search_attribute,
    signal_external,
    start_child,
    start_timer,
)
from tests.differential.registry import script
from tests.differential.wire import Refusal
from tests.differential.world import Workflow, World

_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
_NOT_STARTED = EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED
_TERMINATED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED


async def _see(workflow: Workflow) -> None:
    """Note the current run of `workflow`, which others have started."""
    described = await workflow.describe(quiet=True)
    while isinstance(described, Refusal):
        await workflow.world.settle()
        described = await workflow.describe(quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)


async def _family(world: World, **fields: Any) -> tuple[Workflow, Workflow]:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(start_child(child.id, child.task_queue, **fields))
    await parent.until(_STARTED)
    await _see(child)
    return parent, child


# Whose id


@script
async def child_after_one_that_failed(world: World) -> None:
    policy = "WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY"
    parent, child = world.workflow("parent"), world.workflow("child")
    await child.start()
    await child.poll_and_complete(fail_workflow())
    await parent.start()
    wanted = start_child(child.id, child.task_queue, workflow_id_reuse_policy=policy)
    await parent.poll_and_complete(wanted)
    await parent.until(_STARTED)
    await _see(child)
    await child.poll_and_complete(complete_workflow())
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await parent.poll_and_complete(wanted)
    await parent.until(_NOT_STARTED)
    await parent.poll_and_complete(complete_workflow())


@script
async def child_instead_of_one_that_runs(world: World) -> None:
    policy = "WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING"
    parent, child = world.workflow("parent"), world.workflow("child")
    await child.start()
    await parent.start()
    await parent.poll_and_complete(
        start_child(child.id, child.task_queue, workflow_id_reuse_policy=policy)
    )
    await parent.until(_STARTED)
    await _see(child)
    await child.poll_and_complete(complete_workflow())
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)


@script
async def child_instead_of_itself(world: World) -> None:
    policy = "WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING"
    parent, child = await _family(world, workflow_id_reuse_policy=policy)
    await parent.poll_and_complete(
        start_child(child.id, child.task_queue, workflow_id_reuse_policy=policy)
    )
    await parent.until(_TERMINATED)
    await _see(child)
    await parent.poll()


@script
async def child_with_the_id_of_its_parent(world: World) -> None:
    parent = world.workflow("parent")
    await parent.start()
    await parent.poll_and_complete(start_child(parent.id, parent.task_queue))
    await parent.until(_NOT_STARTED)
    await parent.poll_and_complete(complete_workflow())


@script
async def child_with_the_id_of_its_sister(world: World) -> None:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(start_child(child.id, child.task_queue))
    await parent.until(_STARTED)
    await _see(child)
    await parent.poll_and_complete(start_child(child.id, child.task_queue, control="second"))
    await parent.until(_NOT_STARTED)
    await parent.poll_and_complete(complete_workflow())
    await child.until_closed()


# Options and inheritance


@script
async def child_is_given_no_timeouts(world: World) -> None:
    """Those of its parent are its parent's own."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start(
        workflow_execution_timeout="500s",
        workflow_run_timeout="400s",
        retry_policy={"maximum_attempts": 3},
        memo={"fields": {"note": json_payloads("memo")["payloads"][0]}},
    )
    await parent.poll_and_complete(start_child(child.id, child.task_queue))
    await parent.until(_STARTED)
    await _see(child)


@script
async def child_run_longer_than_the_whole(world: World) -> None:
    _, child = await _family(world, workflow_execution_timeout="50s", workflow_run_timeout="100s")
    await child.describe()


@script
async def child_with_search_attributes(world: World) -> None:
    _, child = await _family(
        world,
        search_attributes={
            "indexed_fields": {"TemporalChangeVersion": search_attribute('["a"]', "KeywordList")}
        },
    )
    await child.describe()


@script
async def child_with_its_own_priority(world: World) -> None:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start(
        priority={"priority_key": 2, "fairness_key": "tenant", "fairness_weight": 2.5}
    )
    await parent.poll_and_complete(
        start_child(child.id, child.task_queue, priority={"priority_key": 5})
    )
    await parent.until(_STARTED)
    await _see(child)
    await child.poll()


@script
async def child_that_times_out_with_retries(world: World) -> None:
    """The parent hears that the whole chain is late."""
    parent, child = await _family(
        world,
        workflow_execution_timeout="2s",
        workflow_run_timeout="1s",
        retry_policy={"initial_interval": "0.5s", "backoff_coefficient": 1},
    )
    await parent.poll_and_complete()
    await child.until_closed()
    await _see(child)
    await child.until_closed()
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT)
    await parent.poll_and_complete(complete_workflow())


# In the same task


@script
async def child_cancelled_before_the_parent_knows_it(world: World) -> None:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    first = await parent.poll()
    # The next task starts with the same step, so that the child's start always finds it under way.
    task = await first.complete_and_get_next(
        start_child(child.id, child.task_queue), force_create_new_workflow_task=True
    )
    await _see(child)
    await world.settle()
    await task.complete(cancel_external(child.id, child_workflow_only=True))
    await child.until(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await child.poll_and_complete(cancel_workflow())
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED)


@script
async def signal_and_close(world: World) -> None:
    """Children that a workflow asked for with its last task."""
    one, other, third = (world.workflow(name) for name in ("one", "other", "third"))
    await other.start()
    await third.start()
    await one.start()
    await one.poll_and_complete(
        signal_external(other.id), cancel_external(third.id), complete_workflow()
    )
    await world.wait(1)
    for workflow in (other, third):
        await workflow.history("what arrived")


@script
async def signal_and_continue(world: World) -> None:
    one, other = world.workflow("one"), world.workflow("other")
    await other.start()
    await one.start()
    await one.poll_and_complete(signal_external(other.id), continue_as_new())
    await world.wait(1)
    await other.history("what arrived")


@script
async def signal_what_waits_for_its_start(world: World) -> None:
    one, other = world.workflow("one"), world.workflow("other")
    await other.start(workflow_start_delay="100s")
    await one.start()
    await one.poll_and_complete(signal_external(other.id))
    await one.until(EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED)
    await one.poll_and_complete(cancel_external(other.id))
    await one.until(EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED)


@script
async def signal_an_older_run(world: World) -> None:
    one, other = world.workflow("one"), world.workflow("other")
    await other.start()
    old = other.run_id
    await other.poll_and_complete(continue_as_new())
    await one.start()
    await one.poll_and_complete(signal_external(other.id, run_id=old))
    await one.until(EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED)
    await one.poll_and_complete(cancel_external(other.id, run_id=old))
    await one.until(EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED)


# Another namespace


@script
async def commands_for_another_namespace(world: World) -> None:
    """The namespace exists."""
    await world.own_namespace()
    for name, wanted in {
        "child": start_child("x", "queue", namespace="default"),
        "signal": signal_external("x", "s", namespace="default"),
        "cancel": cancel_external("x", namespace="default"),
    }.items():
        workflow = world.workflow(name)
        await workflow.start()
        await (await workflow.poll()).complete(wanted)


# Its parent ends


@script
async def parent_times_out(world: World) -> None:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start(workflow_run_timeout="2s")
    await parent.poll_and_complete(start_child(child.id, child.task_queue))
    await parent.until(_STARTED)
    await _see(child)
    await child.until_closed()


@script
async def parent_fails_and_is_retried(world: World) -> None:
    """Its child ends with the attempt that started it."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start(retry_policy={"initial_interval": "1s"})
    await parent.poll_and_complete(start_child(child.id, child.task_queue))
    await parent.until(_STARTED)
    await _see(child)
    await parent.poll_and_complete(fail_workflow())
    await _see(parent)
    await child.until_closed()
    await parent.poll_and_complete(complete_workflow())


@script
async def parent_ends_while_its_child_waits(world: World) -> None:
    """A child that waits for its next attempt is ended all the same."""
    for policy in ("TERMINATE", "REQUEST_CANCEL"):
        parent, child = world.workflow(f"parent{policy}"), world.workflow(f"child{policy}")
        await parent.start()
        await parent.poll_and_complete(
            start_child(
                child.id,
                child.task_queue,
                retry_policy={"initial_interval": "100s"},
                parent_close_policy=f"PARENT_CLOSE_POLICY_{policy}",
            )
        )
        await parent.until(_STARTED)
        await _see(child)
        await child.poll_and_complete(fail_workflow())
        await _see(child)
        await parent.poll_and_complete(complete_workflow())
        if policy == "TERMINATE":
            await child.until_closed()
        else:
            await child.until(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)


@script
async def parent_ends_after_its_child(world: World) -> None:
    """The last word of the child is buffered when the parent ends."""
    parent, child = await _family(world)
    task = await parent.poll()
    await child.poll_and_complete(complete_workflow())
    await child.until_closed()
    await world.settle()
    await task.complete(complete_workflow())
    await parent.poll_and_complete(start_timer("t", 100))


@script
async def parent_terminated_while_it_is_busy(world: World) -> None:
    parent, child = await _family(world)
    await parent.poll()
    await child.poll_and_complete(complete_workflow())
    await child.until_closed()
    await world.settle()
    await parent.terminate()


@script
async def parent_ends_in_the_task_that_abandons_its_child(world: World) -> None:
    """It is started although nobody waits for it any more."""
    for policy in ("ABANDON", "REQUEST_CANCEL"):
        parent, child = world.workflow(f"parent{policy}"), world.workflow(f"child{policy}")
        await parent.start()
        wanted = start_child(
            child.id, child.task_queue, parent_close_policy=f"PARENT_CLOSE_POLICY_{policy}"
        )
        await parent.poll_and_complete(wanted, complete_workflow())
        await world.wait(1)
        if not isinstance(await child.describe(policy), Refusal):
            await _see(child)


@script
async def parent_continues_in_the_task_that_abandons_its_child(world: World) -> None:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    wanted = start_child(
        child.id, child.task_queue, parent_close_policy="PARENT_CLOSE_POLICY_ABANDON"
    )
    await parent.poll_and_complete(wanted, continue_as_new())
    await world.wait(1)
    if not isinstance(await child.describe(), Refusal):
        await _see(child)


@script
async def child_started_and_cancelled_in_one_task(world: World) -> None:
    """As if it were somebody else."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    task = await parent.poll()
    await task.complete(start_child(child.id, child.task_queue), cancel_external(child.id))


@script
async def child_that_parents_share(world: World) -> None:
    """The second parent waits in vain for what is the first one's."""
    one, two, child = (world.workflow(name) for name in ("one", "two", "child"))
    for parent in (one, two):
        await parent.start()
    await one.poll_and_complete(start_child(child.id, child.task_queue))
    await one.until(_STARTED)
    await _see(child)
    await two.poll_and_complete(start_child(child.id, child.task_queue))
    await two.until(_NOT_STARTED)
    await two.poll_and_complete(signal_external(child.id, child_workflow_only=True))
    await two.until(EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED)
    await two.poll_and_complete(cancel_external(child.id, child_workflow_only=True))
    await two.until(EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED)


@script
async def child_of_a_workflow_that_went_on(world: World) -> None:
    """An abandoned child ends when its parent is a run of long ago."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(
        start_child(child.id, child.task_queue, parent_close_policy="PARENT_CLOSE_POLICY_ABANDON")
    )
    await parent.until(_STARTED)
    await _see(child)
    await parent.poll_and_complete(continue_as_new())
    await child.poll_and_complete(complete_workflow())
    await child.until_closed()
    await parent.poll_and_complete(complete_workflow())


@script
async def parent_cancels_its_child_and_ends(world: World) -> None:
    parent, child = await _family(world)
    await parent.poll_and_complete(cancel_external(child.id, child_workflow_only=True))
    await child.until(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await child.poll_and_complete(cancel_workflow())
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED)
    await parent.poll_and_complete(complete_workflow())


@script
async def grandchild_and_its_root(world: World) -> None:
    """The root is told to all below it, across runs."""
    top, middle, low = (world.workflow(name) for name in ("top", "middle", "low"))
    await top.start()
    await top.poll_and_complete(start_child(middle.id, middle.task_queue))
    await top.until(_STARTED)
    await _see(middle)
    await middle.poll_and_complete(continue_as_new())
    await _see(middle)
    await middle.poll_and_complete(start_child(low.id, low.task_queue))
    await middle.until(_STARTED)
    await _see(low)
    await top.poll_and_complete(complete_workflow())
    await middle.until_closed()
    await low.until_closed()

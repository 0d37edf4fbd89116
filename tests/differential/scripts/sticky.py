"""Sticky queues: a worker that has the workflow in its cache gets the next task, unless it is gone."""

from temporalio.api.enums.v1 import EventType, TaskQueueType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import complete_workflow, failure, start_timer
from tests.differential.registry import script
from tests.differential.world import World

_TIMED_OUT = EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT


@script
async def sticky_worker_gets_what_is_new(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    await workflow.describe("sticky")
    task = await workflow.signal_and_poll_sticky()
    await workflow.history("started on the sticky queue")
    await task.complete(start_timer("t", 100), sticky_attributes=workflow.sticky())
    task = await workflow.signal_and_poll_sticky()
    await task.complete(complete_workflow())


@script
async def sticky_worker_lets_go(world: World) -> None:
    """A completion without sticky attributes ends it."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    task = await workflow.signal_and_poll_sticky()
    await task.complete()
    await workflow.signal()
    await workflow.poll_and_complete(complete_workflow())


@script
async def sticky_worker_fails(world: World) -> None:
    """The next attempt goes to the normal queue with the whole history."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    task = await workflow.signal_and_poll_sticky()
    await task.fail(failure())
    await workflow.describe("failed")
    await workflow.poll_and_complete(complete_workflow())


@script
async def sticky_worker_stops_in_the_middle(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_task_timeout="1s")
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    await workflow.signal_and_poll_sticky()
    await workflow.poll_and_complete(complete_workflow())


@script
async def sticky_worker_never_polled(world: World) -> None:
    """The task goes to the normal queue at once; its event names the sticky one."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    await workflow.signal()
    await workflow.poll_and_complete(complete_workflow())


@script
async def sticky_worker_never_polled_and_another_fails(world: World) -> None:
    """A worker that gets the task from the normal queue takes the stickiness away: its failure counts."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    await workflow.signal()
    task = await workflow.poll()
    await workflow.describe("another worker has it")
    await task.fail(failure())
    await (await workflow.poll("second attempt")).fail(failure())
    await workflow.poll_and_complete(complete_workflow())


@script
async def sticky_worker_never_polled_and_another_gives_up(world: World) -> None:
    """So does its timeout."""
    workflow = world.workflow()
    await workflow.start(workflow_task_timeout="1s")
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    await workflow.signal()
    await workflow.poll()
    await workflow.poll("second attempt")
    await workflow.poll_and_complete(complete_workflow())


@script
async def sticky_task_is_not_taken(world: World) -> None:
    """The sticky worker polled a moment ago, but is busy: after the timeout anybody may have it."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky(1))
    task = await workflow.signal_and_poll_sticky()
    await task.complete(sticky_attributes=workflow.sticky(1))
    await workflow.signal()
    await workflow.describe("waiting for the sticky worker")
    await workflow.until(_TIMED_OUT)
    await workflow.describe("timed out")
    await workflow.poll_and_complete(complete_workflow())


@script
async def sticky_is_reset(world: World) -> None:
    workflow = world.workflow()
    reset = api.ResetStickyTaskQueueRequest(execution=workflow.execution())
    await workflow.start()
    await world.attempt(reset, "not sticky yet")
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    task = await workflow.signal_and_poll_sticky()
    await task.complete(sticky_attributes=workflow.sticky())
    await world.attempt(reset)
    await workflow.signal()
    await workflow.poll_and_complete(complete_workflow())
    await world.attempt(reset, "closed")


@script
async def sticky_worker_shuts_down(world: World) -> None:
    """A task that is scheduled on its queue afterwards goes to the normal one."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    task = await workflow.signal_and_poll_sticky()
    await task.complete(sticky_attributes=workflow.sticky())
    await world.attempt(
        api.ShutdownWorkerRequest(
            sticky_task_queue=workflow.sticky_queue, identity="worker", reason="done"
        )
    )
    await workflow.signal()
    await workflow.poll_and_complete(complete_workflow())


@script
async def shutdown_of_nobody(world: World) -> None:
    await world.attempt(api.ShutdownWorkerRequest(), "nothing set")
    await world.attempt(api.ShutdownWorkerRequest(sticky_task_queue="none"), "unknown queue")
    await world.attempt(
        api.ShutdownWorkerRequest(
            sticky_task_queue="none",
            worker_instance_key="key",
            task_queue="none",
            task_queue_types=[
                TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
                TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            ],
        ),
        "everything set",
    )


@script
async def sticky_timeout_of_the_worker(world: World) -> None:
    """A task in flight on the sticky queue that got a signal and failed comes with all events."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    task = await workflow.signal_and_poll_sticky()
    await workflow.signal("another")
    await task.complete(sticky_attributes=workflow.sticky())
    task = await workflow.poll(sticky=True)
    await task.complete(complete_workflow())


@script
async def sticky_query(world: World) -> None:
    """A query goes to the worker that has the workflow in its cache, without any history."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    async with (
        world.meanwhile(workflow.poll(sticky=True)) as polling,
        world.meanwhile(workflow.query()),
    ):
        task = await polling
        await task.answer_query()


@script
async def sticky_query_without_its_worker(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    async with world.meanwhile(workflow.query()):
        task = await workflow.poll()
        await task.answer_query()


@script
async def query_without_the_sticky_worker_makes_it_forgotten(world: World) -> None:
    """A task that is scheduled after it names the normal queue."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky())
    async with world.meanwhile(workflow.query()):
        task = await workflow.poll()
        await task.answer_query()
    await workflow.signal()
    await workflow.poll_and_complete(complete_workflow())


@script
async def query_that_the_sticky_worker_does_not_take(world: World) -> None:
    """It polled a moment ago, but is busy: after its own timeout anybody may have the query."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(sticky_attributes=workflow.sticky(1))
    task = await workflow.signal_and_poll_sticky()
    await task.complete(sticky_attributes=workflow.sticky(1))
    async with world.meanwhile(workflow.query()):
        task = await workflow.poll(timeout=3.5)
        await task.answer_query()
    await workflow.signal()
    await workflow.poll_and_complete(complete_workflow())

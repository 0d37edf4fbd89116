"""The workflow sleeps."""

from temporalio.api.enums.v1 import EventType

from tests.build.commands import complete_workflow, start_timer
from tests.differential.registry import script
from tests.differential.world import World

_FIRED = EventType.EVENT_TYPE_TIMER_FIRED


@script
async def timers_fire_in_order(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("second", 2), start_timer("first", 1))
    for _ in range(2):
        await workflow.poll_and_complete()


@script
async def timer_fires_while_failing(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("t", 1))
    await workflow.signal()
    await (await workflow.poll()).fail()
    await workflow.until(_FIRED)
    await workflow.history("fired")
    await workflow.poll_and_complete(complete_workflow())


@script
async def timer_outlives_nothing(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("t", 1), complete_workflow())
    await world.wait(1.2)


@script
async def timers_due_at_once(world: World) -> None:
    """One workflow task tells of all of them, in the order in which they were started."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(
        start_timer("b", 1), start_timer("a", 1), start_timer("later", 100), start_timer("c", 1)
    )
    await workflow.poll_and_complete(complete_workflow())


@script
async def timers_due_at_once_while_started(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("b", 1), start_timer("a", 1))
    await workflow.signal()
    task = await workflow.poll()
    await world.wait(1.5)
    await task.complete()
    await workflow.poll_and_complete(complete_workflow())

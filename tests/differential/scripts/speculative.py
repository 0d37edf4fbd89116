"""Speculative workflow tasks: which queue they wait on, for how long, and what is told again."""

from temporalio.api.enums.v1 import EventType

from tests.build.commands import start_timer
from tests.build.updates import accepts, completes
from tests.differential.registry import script
from tests.differential.updates import accept_and_complete, respond, update
from tests.differential.world import Workflow, World

_TIMED_OUT = EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT
_SCHEDULED = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED


async def _sticky(world: World, seconds: float) -> Workflow:
    """A workflow that waits, whose worker is on its own queue and then is not there."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(
        start_timer("t", 1000), sticky_attributes=workflow.sticky(seconds)
    )
    return workflow


async def _seen(workflow: Workflow) -> None:
    """The worker polls its own queue in vain: it counts as there from now on."""
    await workflow.poll(sticky=True, timeout=2.5, quiet=True)


@script
async def update_that_the_sticky_worker_does_not_take(world: World) -> None:
    workflow = await _sticky(world, 2)
    await _seen(workflow)
    async with world.meanwhile(update(workflow)):
        await workflow.history("waiting")
        await workflow.until(_TIMED_OUT, _SCHEDULED)
        await workflow.history("timed out")
        await workflow.describe("timed out")
        await accept_and_complete(await workflow.poll())


@script
async def update_that_the_sticky_worker_does_not_take_for_long(world: World) -> None:
    """Longer than a speculative task waits on a normal queue."""
    workflow = await _sticky(world, 7)
    await _seen(workflow)
    async with world.meanwhile(update(workflow)):
        await world.wait(6)
        await workflow.history("after 6 s")
        task = await workflow.poll(sticky=True)
        await accept_and_complete(task)


@script
async def update_of_a_sticky_worker_that_is_gone(world: World) -> None:
    """It is on the normal queue, for as long as on the sticky one."""
    workflow = await _sticky(world, 2)
    await world.wait(11)
    async with world.meanwhile(update(workflow)):
        await workflow.until(_TIMED_OUT, _SCHEDULED)
        await workflow.history("timed out")
        await accept_and_complete(await workflow.poll())


@script
async def update_that_nobody_takes_and_a_signal(world: World) -> None:
    """The task is a normal one since the signal."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("t", 1000))
    async with world.meanwhile(update(workflow)):
        await workflow.signal()
        await workflow.history("signalled")
        await world.wait(6)
        await workflow.history("after 6 s")
        await accept_and_complete(await workflow.poll())


@script
async def update_that_the_sticky_worker_does_not_take_and_a_signal(world: World) -> None:
    workflow = await _sticky(world, 3)
    await _seen(workflow)
    async with world.meanwhile(update(workflow)):
        await workflow.signal()
        await workflow.history("signalled")
        await workflow.until(_TIMED_OUT, _SCHEDULED)
        await workflow.history("timed out")
        await accept_and_complete(await workflow.poll())


@script
async def heartbeat_of_a_task_with_an_update(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("t", 1000), sticky_attributes=workflow.sticky())
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        [asked] = task.reply.messages
        beaten = await task.complete(
            label="heartbeat",
            force_create_new_workflow_task=True,
            return_new_workflow_task=True,
            sticky_attributes=workflow.sticky(),
        )
        world.note("messages again", [each.id for each in beaten.workflow_task.messages])
        async with world.meanwhile(update(workflow, "two")):
            again = type(task)(workflow, beaten.workflow_task)
            beaten = await again.complete(
                label="second heartbeat",
                force_create_new_workflow_task=True,
                return_new_workflow_task=True,
                sticky_attributes=workflow.sticky(),
            )
            world.note("only the new one", [each.id for each in beaten.workflow_task.messages])
            last = type(task)(workflow, beaten.workflow_task)
            [second] = beaten.workflow_task.messages
            await respond(
                last,
                [answer for each in (asked, second) for answer in (accepts(each), completes(each))],
            )


@script
async def heartbeat_whose_next_task_is_polled(world: World) -> None:
    """Another worker may poll it: the update comes again."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("t", 1000))
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await task.complete(label="heartbeat", force_create_new_workflow_task=True)
        await accept_and_complete(await workflow.poll())


@script
async def update_after_a_heartbeat_that_times_out(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_task_timeout="2s")
    await workflow.poll_and_complete(start_timer("t", 1000))
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await task.complete(
            label="heartbeat", force_create_new_workflow_task=True, return_new_workflow_task=True
        )
        await workflow.until(_TIMED_OUT)
        await accept_and_complete(await workflow.poll())

"""Updates whose workflow ends, goes on as a new run, or has not begun."""

from tests.build.commands import (
    complete_workflow,
    continue_as_new,
    fail_workflow,
)
from tests.build.updates import accepts, rejects
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.scripts.updating import LONG, idle
from tests.differential.updates import accept_and_complete, poll_update, respond, update
from tests.differential.world import World

_ABORTED = Intended(
    "* PollWorkflowExecutionUpdate one.message",
    "the real server remembers an update that the end of its run aborted, as long as the run is in its cache",
)


# Its workflow ends


@script
async def update_and_end_in_one_task(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        await accept_and_complete(await workflow.poll(), complete_workflow())
    await update(workflow, label="again")
    await poll_update(workflow)
    await update(workflow, "another")


@script
async def update_accepted_by_the_last_task(world: World) -> None:
    """The worker never says what came of it."""
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await respond(task, [accepts(task.reply.messages[0])], complete_workflow())
    await update(workflow, label="again")
    await poll_update(workflow, wait="COMPLETED")
    await poll_update(workflow, label="accepted", wait="ACCEPTED")


@script
async def update_to_be_accepted_by_the_last_task(world: World) -> None:
    """More is known than was asked for."""
    workflow = await idle(world)
    async with world.meanwhile(update(workflow, wait="ACCEPTED")):
        task = await workflow.poll()
        await respond(task, [accepts(task.reply.messages[0])], complete_workflow())


@script(intended=[_ABORTED])
async def update_passed_over_by_the_last_task(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        await workflow.poll_and_complete(complete_workflow())
    await poll_update(workflow)


@script
async def update_rejected_by_the_last_task(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await respond(task, [rejects(task.reply.messages[0])], fail_workflow())


@script
async def update_while_the_last_task_is_in_flight(world: World) -> None:
    workflow = await idle(world)
    await workflow.signal()
    task = await workflow.poll()
    async with world.meanwhile(update(workflow)):
        await task.complete(complete_workflow())


@script(intended=[_ABORTED])
async def terminate_while_an_update_waits(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        await workflow.terminate()
    await poll_update(workflow)


@script
async def terminate_while_an_update_is_in_flight(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        await workflow.poll()
        await workflow.terminate()


@script
async def terminate_while_an_update_is_accepted(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow, wait="ACCEPTED")):
        task = await workflow.poll()
        await respond(task, [accepts(task.reply.messages[0])])
    async with world.meanwhile(poll_update(workflow, wait="COMPLETED")):
        await workflow.terminate()
    await update(workflow, label="again")


@script
async def run_times_out_while_an_update_waits(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_run_timeout="1.5s")
    await workflow.poll_and_complete(LONG)
    await update(workflow)


# Its workflow goes on as a new run


@script
async def update_while_the_task_that_continues_is_in_flight(world: World) -> None:
    """The new run gets it."""
    workflow = await idle(world)
    await workflow.signal()
    task = await workflow.poll()
    async with world.meanwhile(update(workflow)):
        await task.complete(continue_as_new())
        await accept_and_complete(await workflow.poll(), LONG)


@script
async def update_of_one_run_that_continues(world: World) -> None:
    """It was meant for the old run alone."""
    workflow = await idle(world)
    await workflow.signal()
    task = await workflow.poll()
    async with world.meanwhile(update(workflow, run_id=workflow.run_id)):
        await task.complete(continue_as_new())
    await workflow.poll_and_complete(complete_workflow())


@script
async def update_accepted_by_the_task_that_continues(world: World) -> None:
    workflow = await idle(world)
    first = workflow.run_id
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await respond(task, [accepts(task.reply.messages[0])], continue_as_new())
    described = await workflow.describe(quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)
    await poll_update(workflow, label="of the old run", run_id=first)
    await poll_update(workflow, label="of the new run")
    async with world.meanwhile(update(workflow, label="once more")):
        await accept_and_complete(await workflow.poll(), complete_workflow())


@script
async def update_known_to_an_older_run(world: World) -> None:
    """The new run does not know of it."""
    workflow = await idle(world)
    first = workflow.run_id
    async with world.meanwhile(update(workflow)):
        await accept_and_complete(await workflow.poll())
    await workflow.signal()
    await workflow.poll_and_complete(continue_as_new())
    await update(workflow, label="of the old run", run_id=first)
    async with world.meanwhile(update(workflow, label="of the new run")):
        await accept_and_complete(await workflow.poll(), complete_workflow())
    await update(workflow, label="of the first run", first_execution_run_id=first)
    await update(workflow, label="of another", first_execution_run_id=workflow.run_id)


# Before the first task is due


@script
async def update_skips_the_start_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="1000s")
    async with world.meanwhile(update(workflow)):
        await workflow.history("meanwhile")
        await accept_and_complete(await workflow.poll(), complete_workflow())


@script
async def update_while_a_retry_waits(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(retry_policy={"initial_interval": "1000s"})
    await workflow.poll_and_complete(fail_workflow())
    await workflow.until_closed()
    described = await workflow.describe(quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)
    await update(workflow, timeout=1.5)
    await workflow.describe("waiting")


@script
async def update_before_a_cron_run(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(cron_schedule="@every 1000s")
    await update(workflow, timeout=1.5)
    await workflow.describe("waiting")

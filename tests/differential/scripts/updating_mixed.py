"""Updates beside other things: failing tasks, activities, histories from the end, several at once."""

import asyncio
from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    bare,
    cancel_timer,
    complete_workflow,
    fail_workflow,
    failure,
    schedule_activity,
    start_timer,
)
from tests.build.updates import accepts, completes, rejects
from tests.differential.registry import script
from tests.differential.scripts.multi_operation import update_with_start
from tests.differential.scripts.updating import LONG, idle
from tests.differential.updates import accept_and_complete, poll_update, respond, update
from tests.differential.world import World

# Its task fails


@script
async def update_accepted_beside_a_bad_command(world: World) -> None:
    """Nothing of the task counts. The worker may repeat what it remembers of the update."""
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        asked = task.reply.messages[0]
        answers = [accepts(asked), completes(asked)]
        await respond(task, answers, cancel_timer("nobody"), label="bad")
    await poll_update(workflow)
    task = await workflow.poll()
    await respond(task, answers, label="good")
    await poll_update(workflow, label="known")


@script
async def update_beside_a_bad_command_again(world: World) -> None:
    """From the second attempt on nothing is recorded; whoever waits is told all the same."""
    workflow = world.workflow()
    await workflow.start(workflow_task_timeout="1s")
    await (await workflow.poll()).complete(bare("START_TIMER"), label="first")
    task = await workflow.poll()
    second = asyncio.create_task(update(workflow, "late", timeout=5))
    await world.settle()
    await task.complete(bare("START_TIMER"), label="second")
    await world.settle()
    task = await workflow.poll("third")
    await accept_and_complete(task)
    await second


@script
async def update_accepted_by_a_task_that_must_see_more(world: World) -> None:
    """A signal has come: the run does not end yet, and the update was in vain."""
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        asked = task.reply.messages[0]
        await workflow.signal()
        await respond(task, [accepts(asked), completes(asked)], complete_workflow())
    await update(workflow, "another", timeout=1)
    await workflow.poll_and_complete(complete_workflow())


@script
async def update_while_a_run_tries_to_end(world: World) -> None:
    """It would come too late."""
    workflow = await idle(world)
    await workflow.signal()
    task = await workflow.poll()
    await workflow.signal("second")
    await task.complete(complete_workflow(), label="too early")
    await update(workflow, "waits", timeout=1)
    task = await workflow.poll()
    await update(workflow, "refused", timeout=1)
    await task.complete(complete_workflow())


# Beside other things


@script
async def activity_ends_while_an_update_is_in_flight(world: World) -> None:
    workflow, queue = world.workflow(), world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(schedule_activity("a", queue))
    activity = await world.poll_activity(queue)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await activity.complete()
        await workflow.history("meanwhile")
        await accept_and_complete(task)
    await workflow.poll_and_complete(complete_workflow())


@script
async def activity_starts_while_an_update_waits(world: World) -> None:
    """That is no event, but it is written down."""
    workflow, queue = world.workflow(), world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(schedule_activity("a", queue))
    async with world.meanwhile(update(workflow)):
        activity = await world.poll_activity(queue)
        await workflow.describe("started")
        task = await workflow.poll()
        await activity.heartbeat()
        await respond(task, [rejects(task.reply.messages[0])])


@script
async def activity_beats_while_an_update_is_in_flight(world: World) -> None:
    workflow, queue = world.workflow(), world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(schedule_activity("a", queue))
    activity = await world.poll_activity(queue)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await activity.heartbeat()
        await workflow.history("meanwhile")
        await respond(task, [rejects(task.reply.messages[0])])


@script
async def update_starts_an_activity(world: World) -> None:
    """It is done when the activity is."""
    workflow, queue = await idle(world), world.id("activities")
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await respond(task, [accepts(task.reply.messages[0])], schedule_activity("a", queue))
        await (await world.poll_activity(queue)).complete()
        await respond(await workflow.poll(), [completes("one")])


@script
async def updates_one_after_another(world: World) -> None:
    workflow = await idle(world)
    for name in ("one", "two", "three"):
        async with world.meanwhile(update(workflow, name)):
            await accept_and_complete(await workflow.poll())


@script
async def updates_done_in_another_order(world: World) -> None:
    workflow = await idle(world)
    waiting = []
    for name in ("one", "two", "three"):
        waiting.append(asyncio.create_task(update(workflow, name)))
        await world.settle()
    task = await workflow.poll()
    one, two, three = task.reply.messages
    await respond(task, [accepts(three), accepts(one), completes(three), accepts(two)])
    await workflow.signal()
    await respond(await workflow.poll(), [completes("two"), completes("one")])
    await asyncio.gather(*waiting)


@script
async def update_rejected_between_others(world: World) -> None:
    """The commands say where the accepted ones belong."""
    workflow = await idle(world)
    waiting = []
    for name in ("one", "two"):
        waiting.append(asyncio.create_task(update(workflow, name)))
        await world.settle()
    task = await workflow.poll()
    one, two = task.reply.messages
    await respond(
        task, [accepts(one), rejects(two), completes(one)], start_timer("t", 100), LONG_AGAIN
    )
    await asyncio.gather(*waiting)


LONG_AGAIN = start_timer("again", 1000)


@script
async def history_from_the_end_while_an_update_waits(world: World) -> None:
    workflow = await idle(world)
    request = api.GetWorkflowExecutionHistoryReverseRequest
    async with world.meanwhile(update(workflow)):
        await world.attempt(request(execution=workflow.execution()), "scheduled")
        task = await workflow.poll()
        await world.attempt(request(execution=workflow.execution()), "started")
        await accept_and_complete(task)


@script
async def history_from_the_end_between_attempts(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await (await workflow.poll()).fail(failure("broken"))
    request = api.GetWorkflowExecutionHistoryReverseRequest
    await world.attempt(request(execution=workflow.execution()), "scheduled")
    await workflow.poll()
    await world.attempt(request(execution=workflow.execution()), "started")


@script
async def run_times_out_while_an_update_is_in_flight(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_run_timeout="2s")
    await workflow.poll_and_complete(LONG)
    async with world.meanwhile(update(workflow)):
        await workflow.poll()
        await workflow.until_closed()


@script
async def run_is_retried_while_an_update_waits(world: World) -> None:
    """The caller is told to ask again: the new attempt may do it."""
    workflow = world.workflow()
    await workflow.start(retry_policy={"initial_interval": "1s"})
    task = await workflow.poll()
    async with world.meanwhile(update(workflow)):
        await task.complete(fail_workflow())
    described = await workflow.describe(quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)
    async with world.meanwhile(update(workflow, label="again")):
        await accept_and_complete(await workflow.poll(), complete_workflow())


# With a start


@script
async def start_with_an_update_and_a_bad_command(world: World) -> None:
    workflow = world.workflow()
    async with world.meanwhile(update_with_start(workflow)):
        task = await workflow.poll()
        asked = task.reply.messages[0]
        await respond(task, [accepts(asked)], cancel_timer("nobody"))
    described = await workflow.describe(quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)


@script
async def start_with_an_update_instead_of_what_runs(world: World) -> None:
    """By the reuse policy that says so."""
    workflow = world.workflow()
    await workflow.start()
    policy: dict[str, Any] = {"workflow_id_reuse_policy": 4, "workflow_id_conflict_policy": 0}
    async with world.meanwhile(update_with_start(workflow, start=policy)):
        await accept_and_complete(await workflow.poll(), LONG)


@script
async def two_start_with_updates_at_once(world: World) -> None:
    """One starts it, both update it."""
    workflow = world.workflow()
    one = asyncio.create_task(update_with_start(workflow, "one"))
    await world.settle()
    two = asyncio.create_task(update_with_start(workflow, "two"))
    await world.settle()
    await accept_and_complete(await workflow.poll(), LONG)
    await asyncio.gather(one, two)


@script
async def update_that_no_worker_takes_for_long(world: World) -> None:
    """After a while its task is written down as any other."""
    workflow = await idle(world)
    waiting = asyncio.create_task(update(workflow, timeout=15))
    await world.wait(6)
    await workflow.history("late")
    await workflow.describe("late")
    task = await workflow.poll()
    await respond(task, [rejects(task.reply.messages[0])])
    await waiting


@script
async def update_of_the_first_task_that_no_worker_takes(world: World) -> None:
    """During a start delay."""
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="100s")
    waiting = asyncio.create_task(update(workflow, timeout=15))
    await world.wait(6)
    await workflow.history("late")
    task = await workflow.poll()
    await respond(task, [rejects(task.reply.messages[0])])
    await waiting
    await workflow.signal()
    await workflow.poll()


@script
async def update_rejected_during_the_start_delay(world: World) -> None:
    """The task leaves no trace: what comes then?"""
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="3s")
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await respond(task, [rejects(task.reply.messages[0])])
    await workflow.history("rejected")
    await workflow.signal()
    await workflow.history("signalled")
    await workflow.poll()

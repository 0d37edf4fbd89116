"""Updates from the client's call to the outcome: stages, ids, and what history shows."""

import asyncio

from google.protobuf.json_format import ParseDict
from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    failure,
    json_payloads,
    start_timer,
)
from tests.build.updates import accepts, completes, fails, rejects
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.updates import (
    accept_and_complete,
    poll_update,
    respond,
    update,
    update_request,
)
from tests.differential.world import Workflow, World

LONG = start_timer("long", 1000)
_DROPPED = Intended(
    "08 PollWorkflowTaskQueue.messages",
    "the real server loses updates, unless their callers still wait, when it refuses another one",
)


async def idle(world: World, name: str = "workflow") -> Workflow:
    """A workflow that waits, with no workflow task."""
    workflow = world.workflow(name)
    await workflow.start()
    await workflow.poll_and_complete(LONG)
    return workflow


# The usual


@script
async def update_is_done_at_once(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        await accept_and_complete(await workflow.poll())
    await poll_update(workflow, label="unspecified")
    await poll_update(workflow, label="completed", wait="COMPLETED")


@script
async def update_fails(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        asked = task.reply.messages[0]
        await respond(task, [accepts(asked), fails(asked)])
    await poll_update(workflow)


@script
async def update_is_rejected(world: World) -> None:
    """The task leaves a trace: it has shown the worker an event that it cannot see again."""
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await workflow.history("meanwhile")
        await workflow.describe("meanwhile")
        await respond(task, [rejects(task.reply.messages[0])])
    await poll_update(workflow)
    await workflow.history("afterwards")
    await workflow.signal()
    await workflow.poll_and_complete()


@script
async def update_is_rejected_and_something_else_is_done(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await respond(task, [rejects(task.reply.messages[0])], start_timer("other", 1000))


@script
async def update_of_an_ordinary_task_is_rejected(world: World) -> None:
    workflow = await idle(world)
    await workflow.signal()
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await respond(task, [rejects(task.reply.messages[0])])


@script
async def updates_accepted_and_rejected_together(world: World) -> None:
    workflow = await idle(world)
    first = asyncio.create_task(update(workflow, "first"))
    await world.settle()
    second = asyncio.create_task(update(workflow, "second"))
    await world.settle()
    task = await workflow.poll()
    one, two = task.reply.messages
    await respond(task, [rejects(one), accepts(two), completes(two)])
    await first
    await second


@script
async def update_with_everything(world: World) -> None:
    workflow = await idle(world)
    request = {
        "request": {
            "meta": {"update_id": "full", "identity": "somebody"},
            "input": {
                "header": {"fields": {"h": json_payloads("header")["payloads"][0]}},
                "name": "everything",
                "args": json_payloads("a", "b"),
            },
            "request_id": "request",
            "links": [
                {"workflow_event": {"namespace": "n", "workflow_id": "w", "run_id": "r"}},
            ],
        }
    }
    asked = ParseDict(request, update_request(workflow))
    async with world.meanwhile(world.attempt(asked)):
        await accept_and_complete(await workflow.poll())


@script
async def update_without_an_id(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow, "", "no id")):
        task = await workflow.poll(quiet=True)
        await accept_and_complete(task)
    workflow.world.workflows.remove(
        workflow
    )  # Its events have ids in places that no id is sought in.
    await workflow.terminate()


# Before there is a worker, and while it is busy


@script
async def update_before_the_first_task(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    async with world.meanwhile(update(workflow)):
        await poll_update(workflow, label="unspecified")
        await poll_update(workflow, label="admitted", wait="ADMITTED")
        await workflow.history("meanwhile")
        await accept_and_complete(await workflow.poll(), LONG)


@script
async def update_gives_up_before_there_is_a_worker(world: World) -> None:
    """It stays admitted, and is done when a worker comes."""
    workflow = await idle(world)
    await update(workflow, timeout=1)
    await workflow.describe("waiting")
    await workflow.history("waiting")
    await accept_and_complete(await workflow.poll())
    await update(workflow, label="again")


@script
async def update_while_a_task_is_in_flight(world: World) -> None:
    """It comes with the next task."""
    workflow = await idle(world)
    await workflow.signal()
    task = await workflow.poll()
    async with world.meanwhile(update(workflow)):
        await task.complete()
        await workflow.history("meanwhile")
        await accept_and_complete(await workflow.poll())


@script
async def update_while_a_task_is_in_flight_and_returned(world: World) -> None:
    workflow = await idle(world)
    await workflow.signal()
    task = await workflow.poll()
    async with world.meanwhile(update(workflow)):
        await accept_and_complete(await task.complete_and_get_next())


@script
async def update_while_a_task_is_in_flight_with_a_signal(world: World) -> None:
    workflow = await idle(world)
    await workflow.signal()
    task = await workflow.poll()
    await workflow.signal("second")
    async with world.meanwhile(update(workflow)):
        await task.complete()
        await accept_and_complete(await workflow.poll())


@script
async def update_while_a_task_is_forced(world: World) -> None:
    """A heartbeat of a worker that is busy with a local activity."""
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await task.complete(label="heartbeat", force_create_new_workflow_task=True)
        task = await workflow.poll()
        await accept_and_complete(task)


@script
async def update_accepted_by_a_heartbeat(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await respond(
            task,
            [accepts(task.reply.messages[0])],
            label="heartbeat",
            force_create_new_workflow_task=True,
        )
        await respond(await workflow.poll(), [completes("one")])


@script
async def update_that_a_worker_passes_over(world: World) -> None:
    """A worker that does not know of updates says nothing about them."""
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        await workflow.poll_and_complete()
    await poll_update(workflow)


@script
async def update_that_a_worker_passes_over_with_commands(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        await workflow.poll_and_complete(start_timer("other", 1000))


# One id, more calls


@script
async def one_update_asked_twice(world: World) -> None:
    workflow = await idle(world)
    first = asyncio.create_task(update(workflow, label="first"))
    await world.settle()
    async with world.meanwhile(update(workflow, label="second")):
        await accept_and_complete(await workflow.poll())
    await first
    await update(workflow, label="third")
    await update(workflow, label="accepted only", wait="ACCEPTED")


@script
async def update_asked_again_while_accepted(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow, wait="ACCEPTED")):
        task = await workflow.poll()
        await respond(task, [accepts(task.reply.messages[0])])
    await update(workflow, label="again", wait="ACCEPTED")
    async with world.meanwhile(update(workflow, label="to its end")):
        await workflow.signal()
        await respond(await workflow.poll(), [completes("one")])


@script
async def update_asked_again_after_its_rejection(world: World) -> None:
    """It is forgotten, and so is asked anew."""
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await respond(task, [rejects(task.reply.messages[0])])
    async with world.meanwhile(update(workflow, label="again")):
        await accept_and_complete(await workflow.poll())


# Something else happens to its workflow task


@script
async def signal_while_an_update_waits(world: World) -> None:
    """The task that was for the update alone becomes an ordinary one."""
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        await workflow.signal()
        await workflow.history("meanwhile")
        task = await workflow.poll()
        await respond(task, [rejects(task.reply.messages[0])])


@script
async def signal_while_an_update_is_in_flight(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await workflow.signal()
        await workflow.history("meanwhile")
        await respond(task, [rejects(task.reply.messages[0])])
    await workflow.poll_and_complete()


@script
async def signal_while_an_update_is_being_accepted(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await workflow.signal()
        await accept_and_complete(task)
    await workflow.poll_and_complete()


@script
async def timer_fires_while_an_update_waits(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("short", 1))
    async with world.meanwhile(update(workflow)):
        await workflow.until(EventType.EVENT_TYPE_TIMER_FIRED)
        await accept_and_complete(await workflow.poll())


@script
async def cancel_while_an_update_is_in_flight(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await workflow.cancel()
        await respond(task, [rejects(task.reply.messages[0])])
    await workflow.poll_and_complete()


@script
async def query_while_an_update_waits(world: World) -> None:
    workflow = await idle(world)
    asked = asyncio.create_task(update(workflow))
    await world.settle()
    query = asyncio.create_task(workflow.query())
    await world.settle()
    task = await workflow.poll()
    if task.reply.HasField("query"):
        await task.answer_query()
        await query
        task = await workflow.poll()
        await accept_and_complete(task)
    else:
        results = {
            query_id: {"result_type": "QUERY_RESULT_TYPE_ANSWERED", "answer": json_payloads("a")}
            for query_id in task.reply.queries
        }
        await accept_and_complete(task, query_results=results)
        await query
    await asked


@script
async def task_of_an_update_fails(world: World) -> None:
    workflow = await idle(world)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await task.fail(failure("broken"))
        await workflow.history("meanwhile")
        await accept_and_complete(await workflow.poll())


@script
async def task_of_an_update_times_out(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_task_timeout="1s")
    await workflow.poll_and_complete(LONG)
    async with world.meanwhile(update(workflow)):
        await workflow.poll()
        task = await workflow.poll()
        await workflow.history("meanwhile")
        await accept_and_complete(task)


@script
async def sticky_task_of_an_update(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await (await workflow.poll()).complete(LONG, sticky_attributes=workflow.sticky())
    poll = asyncio.create_task(workflow.poll("sticky", sticky=True))
    await world.settle()
    async with world.meanwhile(update(workflow)):
        await accept_and_complete(await poll, sticky_attributes=workflow.sticky())


@script
async def sticky_task_of_an_update_is_not_taken(world: World) -> None:
    """The worker polled a moment ago, but is gone."""
    workflow = world.workflow()
    await workflow.start()
    await (await workflow.poll()).complete(LONG, sticky_attributes=workflow.sticky(1))
    await workflow.poll("nothing", sticky=True, timeout=3)
    async with world.meanwhile(update(workflow)):
        task = await workflow.poll()
        await workflow.history("meanwhile")
        await respond(task, [rejects(task.reply.messages[0])])


@script(intended=[_DROPPED])
async def update_of_a_failing_workflow(world: World) -> None:
    """Nobody waits for a workflow task that keeps failing."""
    workflow = world.workflow()
    await workflow.start()
    await (await workflow.poll()).fail(failure("first"))
    await update(workflow, "early", timeout=1)
    await (await workflow.poll()).fail(failure("second"))
    await update(workflow, "late", timeout=1)
    await (await workflow.poll()).fail(failure("third"))
    await update(workflow, "later", timeout=1)

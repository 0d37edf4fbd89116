"""In which order things are written that come at one time, and that they are done together or not at all."""

from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    cancel_activity,
    cancel_timer,
    complete_workflow,
    continue_as_new,
    failure,
    json_payloads,
    record_marker,
    schedule_activity,
    start_child,
    start_timer,
)
from tests.differential.registry import add, script
from tests.differential.world import World


@script
async def everything_arrives_while_a_task_is_held(world: World) -> None:
    """The last events of activities and children come after all others, each in the order of its arrival."""
    workflow, queue = world.workflow(), world.id("activities")
    child = world.workflow("child")
    await workflow.start()
    await workflow.poll_and_complete(
        schedule_activity("a", queue),
        schedule_activity("b", queue),
        schedule_activity("c", queue),
        start_timer("t", 0.2),
        start_child(child.id, child.task_queue),
    )
    activities = [await world.poll_activity(queue, quiet=True) for _ in range(3)]
    by_id = {each.reply.activity_id: each for each in activities}
    await workflow.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    task = await workflow.poll()
    await world.wait(1.5)  # The timer fires meanwhile.
    await workflow.signal("one")
    await by_id["b"].complete()
    await workflow.signal("two")
    await child.terminate()
    await world.wait(0.5)  # The child's end is told meanwhile.
    await by_id["a"].fail(failure(non_retryable=True))
    await workflow.cancel()
    await workflow.signal("three")
    await by_id["c"].complete()
    await workflow.history("held")
    await task.complete(record_marker("m"))
    await workflow.history("written")
    await workflow.poll_and_complete(complete_workflow())


@script
async def timers_and_signals_in_one_task(world: World) -> None:
    """All that came before a worker takes the task is in it; a timer that has fired is not cancelled any more."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("one", 0.3), start_timer("two", 0.6))
    await workflow.signal("before")
    await workflow.until(EventType.EVENT_TYPE_TIMER_FIRED, EventType.EVENT_TYPE_TIMER_FIRED)
    await workflow.signal("after")
    await workflow.poll_and_complete(cancel_timer("one"))
    await workflow.poll_and_complete(complete_workflow())


@script
async def signals_are_kept_with_continue_as_new(world: World) -> None:
    """A signal that the worker has not seen is never lost to the next run: the task fails, and comes again with it."""
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await workflow.signal("one")
    await task.complete(continue_as_new())
    task = await workflow.poll("with the signal")
    await task.complete(continue_as_new())
    await workflow.signal("two", "to the new run")
    await workflow.poll_and_complete(complete_workflow())


@script
async def a_query_sees_what_came_before_it(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete()
    await workflow.signal()
    async with world.meanwhile(workflow.query("after a signal")):
        task = await workflow.poll()
        answer = {"result_type": "QUERY_RESULT_TYPE_ANSWERED", "answer": json_payloads("seen")}
        await task.complete(query_results=task.query_results(**answer))
    await workflow.signal("once more")
    task = await workflow.poll()
    await workflow.signal("while the task is held")
    async with world.meanwhile(workflow.query("after a buffered signal")):
        await task.complete()
        task = await workflow.poll()
        await task.complete(query_results=task.query_results(**answer))


@script
async def cancel_is_requested_twice(world: World) -> None:
    """Also while the first request waits for its place in history."""
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await workflow.cancel("buffered", request_id="one", reason="a")
    await workflow.cancel("the same", request_id="one", reason="a")
    await workflow.cancel("another", request_id="two", reason="b")
    await workflow.describe("buffered")
    await task.complete()
    await workflow.cancel("written", request_id="one")
    await workflow.cancel("written, another", request_id="three")
    await workflow.poll_and_complete(complete_workflow())


def _terminated(name: str) -> None:
    async def play(world: World) -> None:
        workflow, queue = world.workflow(), world.id("activities")
        await workflow.start(request_eager_execution=name == "eager", quiet=True)
        if name == "eager":
            await workflow.terminate()
            return
        task = await workflow.poll(quiet=True)
        if name == "held_with_buffered":
            await workflow.signal()
            await workflow.cancel()
        elif name == "heartbeating":
            task = await task.complete_and_get_next(force_create_new_workflow_task=True)
        elif name == "after_a_failure":
            await task.fail(failure(), quiet=True)
            await workflow.signal()
        elif name == "activity_held":
            await task.complete(schedule_activity("a", queue), quiet=True)
            activity = await world.poll_activity(queue)
            await workflow.terminate()
            await activity.heartbeat()
            await activity.complete()
            return
        elif name == "activity_eager":
            eager = schedule_activity("a", workflow.task_queue, request_eager_execution=True)
            await task.complete(eager)
        elif name == "sticky":
            await task.complete(sticky_attributes=workflow.sticky(), quiet=True)
            await workflow.signal()
        await workflow.terminate()
        await task.complete(label="too late")
        await workflow.signal("signal", "too late")
        await workflow.cancel("too late")
        await workflow.terminate("again")

    add(f"terminated_while_{name}", play)


for _name in (
    "eager",
    "held_with_buffered",
    "heartbeating",
    "after_a_failure",
    "activity_held",
    "activity_eager",
    "sticky",
):
    _terminated(_name)


@script
async def nothing_of_a_refused_completion_is_done(world: World) -> None:
    workflow, queue = world.workflow(), world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(start_timer("kept", 100))
    await workflow.signal()
    task = await workflow.poll()
    await task.complete(
        schedule_activity("a", queue, request_eager_execution=True),
        schedule_activity("b", workflow.task_queue, request_eager_execution=True),
        cancel_timer("kept"),
        record_marker("m"),
        start_child(world.id("child"), queue),
        cancel_activity(99),
        sticky_attributes=workflow.sticky(),
    )
    await workflow.describe()
    await workflow.poll_and_complete(complete_workflow())
    none = api.PollActivityTaskQueueRequest(identity="activity worker")
    await world.attempt(none, "nothing was scheduled", task_queue={"name": queue}, timeout=2.5)

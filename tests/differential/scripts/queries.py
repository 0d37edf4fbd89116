"""Asking a workflow: directly, with a task, behind a task in flight, in vain."""

from typing import Any

from temporalio.api.enums.v1 import QueryRejectCondition

from tests.build.commands import (
    complete_workflow,
    fail_workflow,
    failure,
    json_payloads,
    start_timer,
)
from tests.differential.registry import add, script
from tests.differential.world import Workflow, World

_ANSWER = {"result_type": "QUERY_RESULT_TYPE_ANSWERED", "answer": json_payloads("answer")}
_FAILURE = {"result_type": "QUERY_RESULT_TYPE_FAILED", "error_message": "no such query"}


async def _idle(world: World) -> Workflow:
    """A workflow that waits for something."""
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(start_timer("t", 100), quiet=True)
    return workflow


@script
async def query_an_idle_workflow(world: World) -> None:
    workflow = await _idle(world)
    async with world.meanwhile(workflow.query()):
        task = await workflow.poll()
        await task.answer_query()
        await task.answer_query("again")


@script
async def query_with_headers(world: World) -> None:
    workflow = await _idle(world)
    header = {"fields": {"trace": json_payloads("trace")["payloads"][0]}}
    async with world.meanwhile(workflow.query(query={"header": header})):
        await (await workflow.poll()).answer_query()


@script
async def query_fails(world: World) -> None:
    workflow = await _idle(world)
    failures: dict[str, dict[str, Any]] = {
        "with a failure": {"failure": {"message": "cause", "application_failure_info": {}}},
        "without a failure": {},
        "with a cause": {"cause": "WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR"},
    }
    for label, fields in failures.items():
        async with world.meanwhile(workflow.query(label)):
            task = await workflow.poll()
            await task.answer_query(
                completed_type="QUERY_RESULT_TYPE_FAILED", error_message="broken", **fields
            )


@script
async def query_is_answered_with_nothing(world: World) -> None:
    workflow = await _idle(world)
    async with world.meanwhile(workflow.query()):
        task = await workflow.poll()
        await task.answer_query(error_message="")


@script
async def query_nobody_answers(world: World) -> None:
    workflow = await _idle(world)
    await workflow.query("no worker", timeout=1)
    fresh = world.workflow("fresh")
    await fresh.start(quiet=True)
    await fresh.query("no worker, nothing done yet", timeout=1)
    await fresh.poll()


@script
async def query_comes_with_the_task(world: World) -> None:
    """A scheduled task takes the query along."""
    workflow = world.workflow()
    await workflow.start()
    async with world.meanwhile(workflow.query("of a new workflow")):
        task = await workflow.poll()
        await task.complete(query_results=task.query_results(**_ANSWER))
    await workflow.signal()
    async with world.meanwhile(workflow.query("of one with news")):
        task = await workflow.poll()
        await task.complete(query_results=task.query_results(**_FAILURE))


@script
async def query_with_the_task_is_not_answered(world: World) -> None:
    """It is sent again, on its own."""
    workflow = world.workflow()
    await workflow.start()
    async with world.meanwhile(workflow.query()):
        task = await workflow.poll("with the task")
        await task.complete(start_timer("t", 100))
        task = await workflow.poll("on its own")
        await task.answer_query()


@script
async def query_and_the_closing_task(world: World) -> None:
    for name, closing in (("answered", True), ("unanswered", False)):
        workflow = world.workflow(name)
        await workflow.start()
        async with world.meanwhile(workflow.query(name)):
            task = await workflow.poll()
            results = task.query_results(**_ANSWER) if closing else None
            await task.complete(complete_workflow(), query_results=results)
            if not closing:
                await (await workflow.poll()).answer_query()


@script
async def query_and_a_failing_task(world: World) -> None:
    """The task fails; the query goes along with the next attempt."""
    workflow = world.workflow()
    await workflow.start()
    async with world.meanwhile(workflow.query()):
        await (await workflow.poll()).fail(failure())
        task = await workflow.poll("second attempt")
        await task.complete(query_results=task.query_results(**_ANSWER))


@script
async def query_behind_a_task_with_more_to_come(world: World) -> None:
    workflow = await _idle(world)
    await workflow.signal()
    task = await workflow.poll()
    async with world.meanwhile(workflow.query()):
        await workflow.signal("more")
        task = await task.complete_and_get_next()
        await task.complete(query_results=task.query_results(**_ANSWER))


@script
async def query_behind_a_task_that_closes(world: World) -> None:
    workflow = await _idle(world)
    await workflow.signal()
    task = await workflow.poll()
    async with world.meanwhile(workflow.query()):
        await task.complete(complete_workflow())
        await (await workflow.poll("the query")).answer_query()


@script
async def query_behind_a_task_that_fails(world: World) -> None:
    workflow = await _idle(world)
    await workflow.signal()
    task = await workflow.poll()
    async with world.meanwhile(workflow.query()):
        await task.fail(failure())
        task = await workflow.poll("second attempt")
        await task.complete(query_results=task.query_results(**_ANSWER))


@script
async def two_queries_at_once(world: World) -> None:
    workflow = await _idle(world)
    await workflow.signal()
    async with world.meanwhile(workflow.query("one")), world.meanwhile(workflow.query("two")):
        task = await workflow.poll()
        await task.complete(query_results=task.query_results(**_ANSWER))


@script
async def query_results_that_are_not_asked_for(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(query_results={"nobody": _ANSWER})


def _rejected(state: str) -> None:
    async def play(world: World) -> None:
        workflow = await _idle(world)
        if state == "terminated":
            await workflow.terminate(quiet=True)
        elif state != "open":
            await workflow.signal(quiet=True)
            task = await workflow.poll(quiet=True)
            closing = complete_workflow() if state == "completed" else fail_workflow()
            await task.complete(closing, quiet=True)
        for name in QueryRejectCondition.DESCRIPTOR.values_by_name:
            await workflow.query(name, query_reject_condition=name, timeout=1)

    add(f"query_reject_{state}", play)


for _state in ("open", "completed", "failed", "terminated"):
    _rejected(_state)


@script
async def query_what_never_started(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.terminate()
    await workflow.query()
    await workflow.query("not open", query_reject_condition="QUERY_REJECT_CONDITION_NOT_OPEN")


@script
async def query_a_failing_workflow(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    for attempt in range(1, 4):
        await (await workflow.poll()).fail(failure())
        await workflow.query(f"after {attempt}", timeout=1)


@script
async def query_an_older_run(world: World) -> None:
    workflow = world.workflow()
    first = await workflow.start()
    await workflow.poll_and_complete(complete_workflow())
    await workflow.start(request_id="second")
    await workflow.poll("the new run")
    async with world.meanwhile(workflow.query(run_id=first)):
        await (await workflow.poll("the query")).answer_query()


@script(settings=('matching.queryPollerUnavailableWindow="1s"',))
async def query_of_a_workflow_whose_workers_are_gone(world: World) -> None:
    """Its caller learns a second early that there is nobody."""
    workflow = await _idle(world)
    await workflow.query("just gone", timeout=1.5)
    await world.wait(1.5)
    await workflow.query("gone", timeout=3)
    await workflow.query("gone, asked in a hurry", timeout=0.9)
    await workflow.terminate()
    await workflow.query("closed", timeout=2)

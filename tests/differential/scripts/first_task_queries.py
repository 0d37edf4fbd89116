"""Asking a workflow whose first task is not due yet: the query waits for it, if its caller does."""

from tests.build.commands import fail_workflow, json_payloads
from tests.build.updates import rejects
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.updates import respond, update
from tests.differential.world import Workflow, World

_ANSWER = {"result_type": "QUERY_RESULT_TYPE_ANSWERED", "answer": json_payloads("answer")}


async def _answered(workflow: Workflow) -> None:
    task = await workflow.poll()
    results = {query_id: _ANSWER for query_id in task.reply.queries}
    await task.complete(query_results=results)


@script
async def query_waits_for_the_end_of_the_start_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="3s")
    async with world.meanwhile(workflow.query()):
        await _answered(workflow)


@script
async def query_whose_caller_is_gone_before_the_first_task(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="6s")
    await workflow.query("too short", timeout=3)
    await workflow.query("even shorter", timeout=1)
    async with world.meanwhile(workflow.query("long enough", timeout=12)):
        await _answered(workflow)


@script
async def query_waits_for_a_retry(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(retry_policy={"initial_interval": "3s"})
    first = await workflow.poll()
    await first.complete(fail_workflow())
    described = await workflow.describe("retried", quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)
    await workflow.query("too short", timeout=1)
    async with world.meanwhile(workflow.query("long enough")):
        await _answered(workflow)


@script
async def query_of_a_cron_schedule(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(cron_schedule="@every 3s")
    async with world.meanwhile(workflow.query("long enough")):
        await _answered(workflow)


@script
async def signal_with_start_answers_a_waiting_query(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="8s")
    async with world.meanwhile(workflow.query("long enough")):
        await workflow.signal_with_start()
        await _answered(workflow)


@script(
    intended=[
        Intended(
            f"02 QueryWorkflow.{field}",
            "there the query of a run that was closed before its first task waits until its caller gives up",
        )
        for field in ("refused", "message", "details*")
    ]
)
async def termination_refuses_a_waiting_query(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="3s")
    async with world.meanwhile(workflow.query(timeout=5)):
        await workflow.terminate()


@script
async def query_and_update_during_the_start_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="5s")
    async with world.meanwhile(workflow.query("long enough")):
        async with world.meanwhile(update(workflow)):
            task = await workflow.poll()
            await respond(task, [rejects(task.reply.messages[0])])
        task = await workflow.poll()
        await task.answer_query()

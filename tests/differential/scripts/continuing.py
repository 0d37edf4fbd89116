"""A run is followed by another: continue-as-new."""

from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    complete_workflow,
    continue_as_new,
    json_payloads,
    start_timer,
)
from tests.differential.registry import script
from tests.differential.world import World

_ONE = json_payloads("value")["payloads"][0]


@script
async def continue_with_everything_changed(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(
        memo={"fields": {"old": _ONE}}, workflow_run_timeout="500s", workflow_task_timeout="5s"
    )
    await workflow.poll_and_complete(
        start_timer("t", 100),
        continue_as_new(
            workflow_type={"name": "Another"},
            task_queue={"name": workflow.task_queue},
            input=json_payloads("input"),
            workflow_run_timeout="400s",
            workflow_task_timeout="7s",
            initiator="CONTINUE_AS_NEW_INITIATOR_WORKFLOW",
            last_completion_result=json_payloads("result"),
            failure={"message": "failure"},
            header={"fields": {"trace": _ONE}},
            memo={"fields": {"new": _ONE}},
            retry_policy={"maximum_attempts": 4},
            backoff_start_interval="1s",
        ),
    )
    await workflow.describe("waiting")
    await workflow.poll_and_complete(complete_workflow())


@script
async def continue_keeps_what_the_run_had(world: World) -> None:
    """Memo, retry policy, timeouts: what is carried over if the command says nothing."""
    workflow = world.workflow()
    await workflow.start(
        memo={"fields": {"old": _ONE}},
        header={"fields": {"trace": _ONE}},
        input=json_payloads("input"),
        retry_policy={"maximum_attempts": 4},
        workflow_execution_timeout="1000s",
        workflow_run_timeout="500s",
        workflow_task_timeout="5s",
        user_metadata={"summary": _ONE},
        priority={"priority_key": 2},
    )
    await workflow.poll_and_complete(continue_as_new())
    await workflow.poll()


@script
async def continue_twice(world: World) -> None:
    workflow = world.workflow()
    first = await workflow.start()
    await workflow.poll_and_complete(continue_as_new())
    await workflow.poll_and_complete(continue_as_new())
    await workflow.until(EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)
    await workflow.try_start("while it runs", request_id="second")
    await workflow.terminate(first_execution_run_id=first)
    await workflow.try_start("the request id of the first run")


@script
async def continue_by_cron(world: World) -> None:
    """The initiator is the worker's to say."""
    for initiator in ("RETRY", "CRON_SCHEDULE"):
        workflow = world.workflow(initiator.lower())
        await workflow.start()
        await workflow.poll_and_complete(
            continue_as_new(initiator=f"CONTINUE_AS_NEW_INITIATOR_{initiator}")
        )


@script
async def continue_past_the_execution_timeout(world: World) -> None:
    """The execution timeout is for the whole chain."""
    workflow = world.workflow()
    await workflow.start(workflow_execution_timeout="2s")
    await workflow.poll_and_complete(continue_as_new())
    await workflow.describe("second run")
    await workflow.poll_and_complete(start_timer("t", 100))
    await workflow.until_closed()


@script
async def continue_with_a_query_buffered(world: World) -> None:
    workflow = world.workflow()
    first = await workflow.start()
    task = await workflow.poll()
    async with world.meanwhile(workflow.query(timeout=3)):
        await task.complete(continue_as_new())
        task = await workflow.poll("the query or the new run")
        if task.reply.HasField("query"):
            await task.answer_query()
    await workflow.history("the old run", run_id=first)

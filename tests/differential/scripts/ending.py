"""How a run ends, and what can still be done with it then: complete, fail, cancel, terminate, time out."""

from typing import Any

from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    command,
    complete_workflow,
    fail_workflow,
    json_payloads,
    start_timer,
)
from tests.differential.compare import Intended
from tests.differential.registry import add, script
from tests.differential.world import World

_UNKNOWN_RUN = "6d1f5a2e-0000-4000-8000-000000000000"


@script
async def complete_with_a_result(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("t", 100), complete_workflow("result"))
    await workflow.history("close event", history_event_filter_type=2)


@script
async def fail_with_a_cause(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    cause = {"message": "cause", "timeout_failure_info": {"timeout_type": 2}}
    await workflow.poll_and_complete(
        fail_workflow("broken", source="sdk", stack_trace="line 1", cause=cause)
    )


@script
async def cancel_with_details(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.cancel(
        links=[{"workflow_event": {"workflow_id": "a", "namespace": "n", "run_id": "r"}}]
    )
    await workflow.poll_and_complete(
        command("CANCEL_WORKFLOW_EXECUTION", details=json_payloads("details"))
    )


@script
async def cancel_and_ignore(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.cancel()
    await workflow.poll_and_complete(complete_workflow())


@script
async def cancel_the_right_chain(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.cancel("another chain", first_execution_run_id=_UNKNOWN_RUN)
    await workflow.cancel("no id at all", first_execution_run_id="junk")
    await workflow.cancel("this chain", first_execution_run_id=workflow.run_id)
    await workflow.terminate("another chain", first_execution_run_id=_UNKNOWN_RUN)
    await workflow.terminate("this chain", first_execution_run_id=workflow.run_id)
    await workflow.terminate("closed, another chain", first_execution_run_id=_UNKNOWN_RUN)
    await workflow.cancel("closed, another chain", first_execution_run_id=_UNKNOWN_RUN)


@script
async def terminate_while_scheduled(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.terminate(reason="because", details=json_payloads("details"))
    await workflow.terminate("again")
    await workflow.signal()


@script
async def terminate_without_a_reason(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.terminate(identity="")


@script
async def terminate_while_started(world: World) -> None:
    """A task in flight is failed first, and what is buffered is written."""
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await workflow.signal()
    await workflow.terminate()
    await task.complete(complete_workflow())


@script
async def terminate_while_failing(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await (await workflow.poll()).fail()
    await workflow.poll("second attempt")
    await workflow.terminate()


_RACE = Intended(
    "*.retry_state",
    "the run's timer and the chain's fire at once, and either may win",
    sometimes=True,
)


def _timeout(name: str, *intended: Intended, **timeouts: Any) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        await workflow.start(**timeouts)
        await workflow.describe()
        await workflow.poll_and_complete(start_timer("t", 100))
        await workflow.until_closed()
        await workflow.signal("late", "timed out")

    add(f"{name}_timeout", play, intended=intended)


_timeout("run", workflow_run_timeout="1s")
_timeout("execution", _RACE, workflow_execution_timeout="1s")
_timeout("run_below_execution", workflow_run_timeout="1s", workflow_execution_timeout="50s")
_timeout("run_cut_to_execution", _RACE, workflow_run_timeout="50s", workflow_execution_timeout="1s")


@script
async def run_timeout_while_started(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_run_timeout="1s")
    task = await workflow.poll()
    await workflow.signal()
    await workflow.until_closed()
    await task.complete(complete_workflow())


@script
async def run_timeout_before_the_first_task(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_run_timeout="1s")
    await workflow.until_closed()


@script
async def task_timeout_is_cut_to_run_timeout(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_run_timeout="5s", workflow_task_timeout="20s")
    await workflow.poll()


@script
async def start_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="1s")
    await workflow.describe("delayed")
    await workflow.history("delayed")
    await workflow.poll()
    await workflow.describe("started")


@script
async def start_delay_and_timeouts(world: World) -> None:
    """The delay counts against the execution timeout, and not against the run timeout."""
    workflow = world.workflow()
    await workflow.start(
        workflow_start_delay="1s", workflow_run_timeout="1s", workflow_execution_timeout="1.5s"
    )
    await workflow.describe("delayed")
    await workflow.until(EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)
    await workflow.until_closed()


@script
async def signal_during_the_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="100s")
    await workflow.signal()
    await workflow.describe("signalled")
    await workflow.history("signalled")
    await workflow.cancel()
    await workflow.describe("cancelled")
    await workflow.terminate()


@script
async def delay_ends_after_a_signal(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="1s")
    await workflow.signal()
    await workflow.poll()


@script
async def query_during_the_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="100s")
    await workflow.query()


@script
async def retried_run(world: World) -> None:
    """A run that fails and has a retry policy is followed by another one."""
    workflow = world.workflow()
    first = await workflow.start(
        retry_policy={"initial_interval": "1s", "maximum_attempts": 2},
        input=json_payloads("input"),
        memo={"fields": {"note": json_payloads("memo")["payloads"][0]}},
    )
    await workflow.poll_and_complete(fail_workflow("first"))
    described = await workflow.describe("waiting")
    workflow.saw_run(described.workflow_execution_info.execution.run_id)
    await workflow.history("close event of the first", run_id=first, history_event_filter_type=2)
    await workflow.poll_and_complete(fail_workflow("second"))


@script
async def run_that_is_not_retried(world: World) -> None:
    policy = {"initial_interval": "1s", "non_retryable_error_types": ["Broken"]}
    listed = world.workflow("listed")
    await listed.start(retry_policy=policy)
    await listed.poll_and_complete(fail_workflow("listed type"))
    marked = world.workflow("marked")
    await marked.start(retry_policy={"initial_interval": "1s"})
    info = {"type": "Other", "non_retryable": True}
    await marked.poll_and_complete(fail_workflow("marked", application_failure_info=info))
    cut = world.workflow("cut")
    await cut.start(retry_policy={"initial_interval": "10s"}, workflow_execution_timeout="5s")
    await cut.poll_and_complete(fail_workflow("no time left"))


@script
async def timed_out_run_is_retried(world: World) -> None:
    workflow = world.workflow()
    first = await workflow.start(retry_policy={"initial_interval": "1s"}, workflow_run_timeout="1s")
    await workflow.poll_and_complete()
    await workflow.until_closed(first)
    described = await workflow.describe("waiting", quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)
    await workflow.poll()

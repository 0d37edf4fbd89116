"""A run whose first task is not due yet, retries and cron schedules at their limits."""

from typing import Any

from tests.build.commands import (
    complete_workflow,
    continue_as_new,
    fail_workflow,
    json_payloads,
    search_attribute,
    start_timer,
)
from tests.differential.registry import script
from tests.differential.world import Workflow, World


async def _next_run(workflow: Workflow, label: str = "next run") -> None:
    await workflow.until_closed(workflow.run_id)
    described = await workflow.describe(label)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)


# Start delay


@script
async def signal_during_the_start_delay(world: World) -> None:
    """It does not make the first task due."""
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="1.5s")
    await workflow.signal()
    await workflow.history("waiting")
    await workflow.describe("waiting")
    await workflow.poll_and_complete(complete_workflow())


@script
async def query_during_the_start_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="100s")
    await workflow.query(timeout=1.5)


@script
async def cancel_during_the_start_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="100s")
    await workflow.cancel()
    await workflow.history("asked")
    await workflow.poll_and_complete(complete_workflow())


@script
async def terminate_during_the_start_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="100s")
    await workflow.terminate()


@script
async def run_timeout_counts_from_the_end_of_the_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(
        workflow_start_delay="1.2s", workflow_run_timeout="1s", workflow_execution_timeout="2s"
    )
    await workflow.describe("waiting")
    await workflow.poll_and_complete(start_timer("t", 100))
    await workflow.until_closed()


@script
async def signal_with_start_during_the_start_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="100s")
    await workflow.signal_with_start()
    await workflow.history("signalled")


# Retries


@script
async def retry_what_timed_out(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(
        workflow_run_timeout="1s", retry_policy={"initial_interval": "1s", "maximum_attempts": 2}
    )
    await workflow.poll_and_complete(start_timer("t", 100))
    await _next_run(workflow, "second")
    await workflow.poll_and_complete(start_timer("t", 100))
    await workflow.until_closed()


@script
async def retry_within_the_execution_timeout(world: World) -> None:
    """No time is left for another attempt."""
    workflow = world.workflow()
    await workflow.start(workflow_execution_timeout="5s", retry_policy={"initial_interval": "10s"})
    await workflow.poll_and_complete(fail_workflow())


@script
async def retry_by_type(world: World) -> None:
    for kind in ("Fatal", "Broken", "TemporalTimeout:StartToClose"):
        workflow = world.workflow(kind.replace(":", ""))
        await workflow.start(
            retry_policy={
                "initial_interval": "1s",
                "non_retryable_error_types": ["Fatal", "TemporalTimeout:StartToClose"],
            },
            workflow_run_timeout="100s",
        )
        info: dict[str, Any] = {"application_failure_info": {"type": kind}}
        await workflow.poll_and_complete(fail_workflow("failed", **info))
        await workflow.describe("then")
        if kind == "Broken":
            await _next_run(workflow)


@script
async def retry_by_type_of_timeout(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(
        workflow_run_timeout="1s",
        retry_policy={
            "initial_interval": "1s",
            "non_retryable_error_types": ["TemporalTimeout:StartToClose"],
        },
    )
    await workflow.poll_and_complete(start_timer("t", 100))
    await workflow.until_closed()


@script
async def retry_up_to_the_maximum_interval(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(
        retry_policy={
            "initial_interval": "1s",
            "maximum_interval": "1.5s",
            "backoff_coefficient": 10,
        }
    )
    for number in ("first", "second", "third"):
        await workflow.poll_and_complete(fail_workflow(number))
        await _next_run(workflow, number)


@script
async def retry_not_what_must_not_be(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(retry_policy={"initial_interval": "1s"})
    info = {"application_failure_info": {"type": "Broken", "non_retryable": True}}
    await workflow.poll_and_complete(fail_workflow("for good", **info))


@script
async def retry_after_it_went_on_as_new(world: World) -> None:
    """The attempts of the new run are counted anew."""
    workflow = world.workflow()
    policy = {"initial_interval": "1s", "maximum_attempts": 2}
    await workflow.start(retry_policy=policy)
    await workflow.poll_and_complete(fail_workflow("first"))
    await _next_run(workflow)
    await workflow.poll_and_complete(continue_as_new())
    await workflow.poll_and_complete(fail_workflow("in the new run"))
    await _next_run(workflow, "after the new run")
    await workflow.poll_and_complete(fail_workflow("at last"))


@script
async def retry_with_another_policy(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(retry_policy={"initial_interval": "1s", "maximum_attempts": 5})
    await workflow.poll_and_complete(
        continue_as_new(retry_policy={"initial_interval": "1s", "maximum_attempts": 1})
    )
    await workflow.poll_and_complete(fail_workflow())


@script
async def retry_and_the_result_before(world: World) -> None:
    """The values of the run before are carried along."""
    workflow = world.workflow()
    await workflow.start(
        retry_policy={"initial_interval": "1s"},
        last_completion_result=json_payloads("last"),
        continued_failure={"message": "before"},
    )
    await workflow.poll_and_complete(fail_workflow("now"))
    await _next_run(workflow)
    await workflow.poll()


# Cron


@script
async def cron_within_the_execution_timeout(world: World) -> None:
    """The last run ends with the whole."""
    workflow = world.workflow()
    await workflow.start(cron_schedule="@every 1s", workflow_execution_timeout="3s")
    await workflow.poll_and_complete(complete_workflow("one"))
    await _next_run(workflow)
    await workflow.poll_and_complete(start_timer("t", 100))
    await workflow.until_closed()


@script
async def cron_that_is_cancelled_while_it_waits(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(cron_schedule="@every 1s")
    await workflow.poll_and_complete(complete_workflow("one"))
    await _next_run(workflow)
    await workflow.cancel()
    await workflow.poll_and_complete(fail_workflow("cancelled"))
    await _next_run(workflow, "although it was cancelled")


@script
async def cron_that_is_terminated_while_it_waits(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(cron_schedule="@every 100s")
    await workflow.terminate()


@script
async def cron_failure_and_result_are_carried(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(cron_schedule="@every 1s")
    await workflow.poll_and_complete(complete_workflow("one"))
    await _next_run(workflow, "after a result")
    await workflow.poll_and_complete(fail_workflow("two"))
    await _next_run(workflow, "after a failure")
    await workflow.poll_and_complete(complete_workflow("three"))
    await _next_run(workflow, "after another result")
    await workflow.poll()


@script
async def cron_dropped_by_a_new_run(world: World) -> None:
    """A workflow that goes on as new says itself whether it has a schedule."""
    workflow = world.workflow()
    await workflow.start(cron_schedule="@every 1s")
    await workflow.poll_and_complete(continue_as_new())
    await workflow.poll_and_complete(complete_workflow())
    await workflow.until_closed()
    await workflow.describe("at its end")


@script
async def start_instead_of_what_waits(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(cron_schedule="@every 100s")
    await workflow.start(
        request_id="another",
        workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING",
    )
    await workflow.poll_and_complete(complete_workflow())


# Continue as new


@script
async def continue_after_a_while(world: World) -> None:
    """The new run need not wait."""
    for name, fields in {"unsaid": {}, "said": {"backoff_start_interval": "0s"}}.items():
        workflow = world.workflow(name)
        await workflow.start()
        await world.wait(1.2)
        await workflow.poll_and_complete(continue_as_new(**fields))
        await workflow.poll_and_complete(complete_workflow())


@script
async def continue_with_other_search_attributes(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(search_attributes=_versions('["a"]'))
    await workflow.poll_and_complete(continue_as_new())
    await workflow.poll_and_complete(continue_as_new(search_attributes=_versions('["b"]')))
    await workflow.poll()


def _versions(value: str) -> dict[str, Any]:
    return {"indexed_fields": {"TemporalChangeVersion": search_attribute(value, "KeywordList")}}


@script
async def continue_when_asked_to_stop(world: World) -> None:
    """The new run knows nothing of it."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.cancel()
    await workflow.poll_and_complete(continue_as_new())
    await workflow.poll_and_complete(complete_workflow())


@script
async def continue_with_a_signal_unseen(world: World) -> None:
    """A worker that has not seen a signal is asked again before the run ends."""
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await workflow.signal()
    await task.complete(continue_as_new(), label="too early")
    await workflow.poll_and_complete(continue_as_new())
    await workflow.poll_and_complete(complete_workflow())


@script
async def continue_as_refused(world: World) -> None:
    for name, fields in {
        "type": {"workflow_type": {"name": "x" * 1001}},
        "queue": {"task_queue": {"name": "x" * 1001}},
        "run timeout": {"workflow_run_timeout": "-1s"},
        "task timeout": {"workflow_task_timeout": "-1s"},
        "backoff": {"backoff_start_interval": "-1s"},
        "retries": {"retry_policy": {"initial_interval": "-1s"}},
        "search attribute": {"search_attributes": {"indexed_fields": {"Nobody": {}}}},
    }.items():
        workflow = world.workflow(name.replace(" ", "_"))
        await workflow.start()
        await (await workflow.poll()).complete(continue_as_new(**fields), label=name)

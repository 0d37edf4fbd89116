"""A run ends and the workflow goes on: retries and cron schedules."""

from typing import Any

from temporalio.api.enums.v1 import EventType

from perdure.core import cron
from perdure.core.times import SECOND_NS, duration_ns, timestamp_ns
from tests.build.commands import (
    cancel_workflow,
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    json_payloads,
    start_child,
    start_timer,
)
from tests.differential.registry import script
from tests.differential.wire import Refusal
from tests.differential.world import Workflow, World

_POLICY: dict[str, Any] = {"initial_interval": "1s", "maximum_attempts": 3}


async def _next_run(workflow: Workflow, label: str = "next run") -> str:
    """Wait until the last run that is known has ended, and note the one that follows."""
    await workflow.until_closed(workflow.run_id)
    described = await workflow.describe(label)
    run_id = str(described.workflow_execution_info.execution.run_id)
    workflow.saw_run(run_id)
    return run_id


# Retries


@script
async def retries_until_there_are_no_more(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(
        retry_policy=_POLICY | {"backoff_coefficient": 1.5},
        workflow_execution_timeout="100s",
        workflow_run_timeout="50s",
        input=json_payloads("input"),
        links=[{"workflow_event": {"namespace": "n", "workflow_id": "w", "run_id": "r"}}],
        priority={"priority_key": 3},
        user_metadata={"summary": json_payloads("summary")["payloads"][0]},
        last_completion_result=json_payloads("last"),
    )
    for attempt in ("first", "second", "third"):
        await workflow.poll_and_complete(fail_workflow(attempt))
        if attempt != "third":
            await _next_run(workflow)


@script
async def retry_after_what_the_failure_says(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(retry_policy=_POLICY | {"initial_interval": "100s"})
    info = {"type": "Later", "next_retry_delay": "1.5s"}
    await workflow.poll_and_complete(fail_workflow("later", application_failure_info=info))
    await _next_run(workflow)
    await workflow.poll()


@script
async def retry_with_what_was_changed_meanwhile(world: World) -> None:
    """The next attempt begins as the first one did."""
    workflow = world.workflow()
    memo = {"fields": {"note": json_payloads("memo")["payloads"][0]}}
    await workflow.start(retry_policy=_POLICY, memo=memo)
    changed = {"upserted_memo": {"fields": {"other": json_payloads("new")["payloads"][0]}}}
    await workflow.poll_and_complete(
        command("MODIFY_WORKFLOW_PROPERTIES", **changed), fail_workflow("changed")
    )
    await _next_run(workflow)


@script
async def what_happens_while_a_retry_waits(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(retry_policy=_POLICY | {"initial_interval": "100s"})
    await workflow.poll_and_complete(fail_workflow())
    await _next_run(workflow)
    await workflow.signal()
    await workflow.query(timeout=2)
    await workflow.describe("signalled")
    await workflow.cancel()
    await workflow.poll_and_complete(cancel_workflow())


@script
async def terminate_while_a_retry_waits(world: World) -> None:
    workflow = world.workflow()
    first = await workflow.start(retry_policy=_POLICY | {"initial_interval": "100s"})
    await workflow.poll_and_complete(fail_workflow())
    await _next_run(workflow)
    await workflow.terminate("old run", run_id=first)
    await workflow.terminate(first_execution_run_id=first)


@script
async def cancelled_and_failed_is_retried(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(retry_policy=_POLICY)
    await workflow.cancel()
    await workflow.poll_and_complete(fail_workflow("although it was cancelled"))
    await _next_run(workflow)


@script
async def kinds_of_failures_retried(world: World) -> None:
    kinds: dict[str, Any] = {
        "canceled": {"canceled_failure_info": {}},
        "terminated": {"terminated_failure_info": {}},
        "server": {"server_failure_info": {}},
        "final server": {"server_failure_info": {"non_retryable": True}},
        "timeout": {"timeout_failure_info": {"timeout_type": "TIMEOUT_TYPE_HEARTBEAT"}},
        "late": {"timeout_failure_info": {"timeout_type": "TIMEOUT_TYPE_SCHEDULE_TO_CLOSE"}},
        "activity": {"activity_failure_info": {"scheduled_event_id": "5"}},
        "child": {"child_workflow_execution_failure_info": {}},
        "none": {},
    }
    for name, info in kinds.items():
        workflow = world.workflow(name)
        await workflow.start(retry_policy=_POLICY)
        failure = {"failure": {"message": name} | info}
        await workflow.poll_and_complete(command("FAIL_WORKFLOW_EXECUTION", **failure))


@script
async def close_event_of_a_retried_run(world: World) -> None:
    """Clients that know of it are shown the failure, others something that they know to follow."""
    workflow = world.workflow()
    first = await workflow.start(retry_policy=_POLICY)
    await workflow.poll_and_complete(fail_workflow())
    await _next_run(workflow)
    for features in ("", "follows-next-run-id", "other,follows-next-run-id"):
        world.metadata = (("supported-features", features),)
        await workflow.history(features, run_id=first, history_event_filter_type=2)
    late = world.workflow("late")
    run_id = await late.start(
        retry_policy=_POLICY | {"initial_interval": "50s"}, workflow_run_timeout="1s"
    )
    await _next_run(late)
    world.metadata = ()
    await late.history("timed out", run_id=run_id, history_event_filter_type=2)


@script
async def child_is_retried(world: World) -> None:
    """The parent hears of the last attempt only."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(
        start_child(child.id, child.task_queue, retry_policy={"initial_interval": "1s"})
    )
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await parent.poll_and_complete()
    described = await child.describe()
    child.saw_run(described.workflow_execution_info.execution.run_id)
    await child.poll_and_complete(fail_workflow("once"))
    await _next_run(child)
    await parent.describe("meanwhile")
    await child.poll_and_complete(complete_workflow())
    await parent.poll_and_complete(complete_workflow())


# Cron


@script
async def cron_schedules(world: World) -> None:
    """When the first task of each is due, as far as that can be told without a look at the clock."""
    for number, schedule in enumerate(_SCHEDULES):
        workflow = world.workflow(f"cron{number}")
        request = workflow.start_request()
        reply = await world.attempt(request, quiet=True, cron_schedule=schedule)
        if isinstance(reply, Refusal):
            world.note(schedule, [reply.message, cron.fault(schedule) or ""])
            continue
        history = await workflow.history(run_id=reply.run_id, quiet=True)
        event = history.history.events[0]
        attributes = event.workflow_execution_started_event_attributes
        at_ns = timestamp_ns(event.event_time)
        expected = cron.backoff_ns(schedule, at_ns, at_ns)
        told = duration_ns(attributes.first_workflow_task_backoff)
        assert expected is not None
        # The schedule was read a moment before the event was made.
        world.note(schedule, 0 <= told - expected <= SECOND_NS)


_SCHEDULES = (
    "* * * * *", "*/5 * * * *", "5/15 * * * *", "0 9-17/2 * * mon-fri", "0 0 13 * 5", "0 0 */13 * 5",
    "0 0 1 JAN,feb *", "*/1 0 1 * 1", "0 0 1 * */1", "0 0 1 * */2", "0 0 29 2 *", "? ? ? ? ?", "*-5 * * * *",
    "1,2,,3 * * * *", "+5 * * * *", "  * * * * *  ", "@hourly", "@daily", "@midnight", "@weekly", "@monthly",
    "@yearly", "@annually", "@every 2s", "@every 1h30m", "@every 1.5h", "@every 0.5s", "@every -5s", "@every .5h",
    "TZ=Europe/Berlin 0 9 * * *", "CRON_TZ=America/New_York 30 1 * * *", "TZ=Australia/Lord_Howe 0 2 * * *",
    "TZ=Europe/Berlin @daily", "TZ=Local 0 5 * * *", "TZ= 0 5 * * *",
    "0 0 30 2 *", "0 0 31 4 *", ", * * * *", "abc", "0 0 * * 7", "60 * * * *", "10-5 * * * *", "*/0 * * * *",
    "1-2-3 * * * *", "1/2/3 * * * *", "* * * *", "* * * * * *", "0 0 L * *", "0 0 * * sunday", "٣ * * * *",
    "TZ=Nowhere/X * * * * *", "@reboot", "@Daily", "@every", "@every x", "@every 5", "@every 1d",
    "@every 1m1", "@every 1h 30m", "@every 9999999999h",
)  # fmt: skip


@script
async def cron_runs(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(cron_schedule="@every 3s", input=json_payloads("input"))
    await workflow.describe("before the first")
    await workflow.poll_and_complete(complete_workflow("one"))
    await _next_run(workflow, "after the first")
    await workflow.poll_and_complete(fail_workflow("two"))
    await _next_run(workflow, "after the second")
    await workflow.poll_and_complete(cancel_workflow())
    await workflow.describe("at its end")


@script
async def cron_run_that_times_out(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(
        cron_schedule="@every 2s",
        workflow_run_timeout="2s",
        last_completion_result=json_payloads("last"),
    )
    await workflow.poll_and_complete(start_timer("t", 100))
    await _next_run(workflow)
    await workflow.terminate()


@script
async def cron_with_retries(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(
        cron_schedule="@every 2s",
        retry_policy={"initial_interval": "1s", "maximum_attempts": 2},
        last_completion_result=json_payloads("last"),
    )
    for number in ("first", "second"):
        await workflow.poll_and_complete(fail_workflow(number))
        await _next_run(workflow, number)
    await workflow.poll_and_complete(complete_workflow("third"))
    await _next_run(workflow, "third")


@script
async def cron_goes_on_as_new(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(cron_schedule="@every 1s")
    await workflow.poll_and_complete(continue_as_new(cron_schedule="@every 2s"))
    await workflow.poll_and_complete(complete_workflow())
    await _next_run(workflow)


@script
async def continue_with_bad_cron(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await (await workflow.poll()).complete(continue_as_new(cron_schedule="abc"))


@script
async def what_happens_before_a_cron_run(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(cron_schedule="@every 100s")
    await workflow.signal()
    await workflow.query(timeout=2)
    await workflow.describe("signalled")
    await workflow.cancel()
    await workflow.poll_and_complete(complete_workflow())
    await _next_run(workflow)


@script
async def cron_start_again(world: World) -> None:
    """Between two runs the workflow id is taken."""
    workflow = world.workflow()
    await workflow.start(cron_schedule="@every 1s")
    await workflow.poll_and_complete(complete_workflow())
    await _next_run(workflow)
    await workflow.try_start("again", request_id="another")
    await workflow.signal_with_start("again", cron_schedule="@every 1s")


@script
async def cron_child(world: World) -> None:
    """The parent hears of it when the chain ends."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(
        start_child(child.id, child.task_queue, cron_schedule="@every 1s")
    )
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await parent.poll_and_complete()
    described = await child.describe()
    child.saw_run(described.workflow_execution_info.execution.run_id)
    await child.poll_and_complete(complete_workflow("one"))
    await _next_run(child)
    await parent.describe("meanwhile")
    await child.terminate()
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED)
    await parent.poll_and_complete(complete_workflow())


@script
async def child_with_bad_cron(world: World) -> None:
    parent = world.workflow("parent")
    await parent.start()
    task = await parent.poll()
    await task.complete(start_child(world.id("child"), "queue", cron_schedule="abc"))


@script
async def signal_with_start_by_cron(world: World) -> None:
    workflow = world.workflow()
    await workflow.signal_with_start(cron_schedule="@every 1s")
    await workflow.poll_and_complete(complete_workflow())
    await _next_run(workflow)


@script
async def continue_after_a_delay(world: World) -> None:
    """The shortest time between two runs is counted from when the first task was due."""
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="1.2s")
    await workflow.poll_and_complete(continue_as_new())


@script
async def retry_at_once(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(retry_policy=_POLICY | {"initial_interval": "0.1s"})
    await workflow.poll_and_complete(fail_workflow())
    await workflow.poll_and_complete(fail_workflow())


@script
async def continue_during_the_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="50s")
    await workflow.cancel()
    await workflow.poll_and_complete(continue_as_new(backoff_start_interval="20s"))
    workflow = world.workflow("soon")
    await workflow.start(workflow_start_delay="50s")
    await workflow.cancel()
    await workflow.poll_and_complete(continue_as_new())


@script
async def fail_during_the_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="50s", retry_policy=_POLICY)
    await workflow.cancel()
    await workflow.poll_and_complete(fail_workflow())
    await _next_run(workflow)

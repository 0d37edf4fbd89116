"""A worker was gone before it had its task: the task waits for the next one, as if it had never been started."""

import pytest

from perdure.core.errors import Rejected
from perdure.core.workflow.activities.attempts import StartActivity
from perdure.core.workflow.activities.control import PauseActivities, ResetActivities, Selected
from perdure.core.workflow.effects import DispatchActivityTask, DispatchWorkflowTask
from perdure.core.workflow.returning import (
    ReturnActivity,
    ReturnEagerActivities,
    ReturnWorkflowTask,
)
from tests.build.commands import payloads, schedule_activity
from tests.core.workflow.run import OneRun
from tests.core.workflow.tasks.test_schedule_sticky import STICKY, stuck
from tests.core.workflow.test_updates import ACCEPT, RESPOND, asked, says


def give_back(run: OneRun) -> None:
    assert run.task is not None
    run.ask(ReturnWorkflowTask(run.task.ref.nonce))


def test_the_task_is_dispatched_again_and_leaves_no_trace() -> None:
    run = OneRun()
    run.take()
    before = len(run.journal.rows)
    give_back(run)
    assert len(run.journal.rows) == before
    assert run.effects[-1] == DispatchWorkflowTask("q", "", 2, 1)
    run.wait(11)  # The timeout of the task that was given back does nothing.
    assert run.history() == "1 WorkflowExecutionStarted 2 WorkflowTaskScheduled"
    assert run.take().ref.attempt == 1
    run.complete()
    assert run.history().endswith("3 WorkflowTaskStarted 4 WorkflowTaskCompleted")


def test_only_whoever_holds_the_task_can_lose_it() -> None:
    run = OneRun()
    nobody = "NOT_FOUND: Workflow task not found."
    assert run.refused(ReturnWorkflowTask(1)) == nobody
    gone = run.take()
    give_back(run)
    assert run.refused(ReturnWorkflowTask(gone.ref.nonce)) == nobody
    run.take()
    assert run.refused(ReturnWorkflowTask(gone.ref.nonce)) == nobody
    assert run.refused(run.completion(ref=gone.ref)) == nobody
    run.complete()


def test_what_arrived_meanwhile_comes_before_the_next_start() -> None:
    run = OneRun()
    run.take()
    run.signal()
    give_back(run)
    run.work()
    assert run.history().endswith(
        "3 WorkflowExecutionSignaled 4 WorkflowTaskStarted 5 WorkflowTaskCompleted"
    )


def test_the_workers_own_queue_has_it_for_as_long_as_before() -> None:
    run = stuck()
    run.signal()
    run.take("s")
    run.wait(3)
    give_back(run)
    assert run.effects[-1] == DispatchWorkflowTask("q", "s", 6, 1)
    run.wait(1.9)
    assert run.history().endswith("6 WorkflowTaskScheduled")
    run.wait(0.1)
    assert run.history().endswith("7 WorkflowTaskTimedOut 8 WorkflowTaskScheduled")


def test_the_next_worker_gets_the_update_that_was_sent() -> None:
    run = asked()
    give_back(run)
    assert run.described().HasField("pending_workflow_task")
    assert [message.protocol_instance_id for message in run.take().messages] == ["u"]
    assert run.history().endswith("5 WorkflowTaskScheduled 6 WorkflowTaskStarted")
    run.complete(messages=says(ACCEPT, RESPOND))
    assert run.history().endswith("9 WorkflowExecutionUpdateCompleted")


def test_the_next_worker_gets_the_query_that_was_sent() -> None:
    run = OneRun()
    run.work(**STICKY)
    run.signal()
    run.query("1")
    run.take("s")
    give_back(run)
    assert list(run.take("s").queries) == ["1"]


def test_a_transient_task_stays_one() -> None:
    run = OneRun()
    run.take()
    run.fail_task()
    assert run.take().ref.attempt == 2
    give_back(run)
    assert run.take().ref.attempt == 2
    run.complete()
    assert run.history().endswith("6 WorkflowTaskStarted 7 WorkflowTaskCompleted")


def with_activity(**options: str) -> OneRun:
    run = OneRun()
    run.work(schedule_activity("a", "q", start_to_close_timeout="5s", **options))
    return run


def test_an_activity_waits_for_the_next_worker_with_the_same_attempt() -> None:
    run = with_activity()
    run.take_activity()
    run.ask(ReturnActivity("poll-id"))
    assert run.effects[-1] == DispatchActivityTask("q", 5, 1)
    assert run.pending_activity().state == 1  # Scheduled.
    run.wait(6)
    run.crash()
    assert run.effects[-1] == DispatchActivityTask("q", 5, 1)
    assert run.take_activity().attempt == 1
    run.complete_activity()
    assert run.last("ActivityTaskStarted").attempt == 1


def test_an_activity_that_waits_again_times_out_as_before() -> None:
    run = with_activity(schedule_to_start_timeout="3s")
    run.take_activity()
    run.wait(4)
    run.ask(ReturnActivity("poll-id"))
    run.wait(0)
    assert run.history().endswith("6 ActivityTaskTimedOut 7 WorkflowTaskScheduled")


def test_only_the_poll_that_was_given_the_activity_can_lose_it() -> None:
    run = with_activity()
    run.ask(ReturnActivity("poll-id"))
    run.take_activity()
    rows = len(run.journal.rows)
    run.ask(ReturnActivity("another"))
    assert len(run.journal.rows) == rows
    with pytest.raises(Rejected):
        run.ask(StartActivity(5, 1, "worker", "another"))


def test_eager_activities_come_back_together() -> None:
    run = OneRun()
    commands = [schedule_activity(name, "q", start_to_close_timeout="5s") for name in "ab"]
    for command in commands:
        command.schedule_activity_task_command_attributes.request_eager_execution = True
    run.work(*commands, completion_id="00e8d4a5-1000-774a-bd4b-185ec37b053d")
    assert not run.dispatched(DispatchActivityTask)
    assert {activity.request_id for activity in run.state.activities.values()} == {
        "00000005-1000-774a-bd4b-185ec37b053d",
        "00000006-1000-774a-bd4b-185ec37b053d",
    }
    run.ask(ReturnEagerActivities("00e8d4a5-1000-774a-bd4b-000000000000"))
    assert not run.dispatched(DispatchActivityTask)
    run.ask(ReturnEagerActivities("00e8d4a5-1000-774a-bd4b-185ec37b053d"))
    assert [effect.scheduled_event_id for effect in run.dispatched(DispatchActivityTask)] == [5, 6]


def test_a_paused_activity_waits_until_it_is_unpaused() -> None:
    run = with_activity()
    run.take_activity()
    run.ask(PauseActivities(Selected(activity_id="a"), "operator", "why", "id"))
    sent = len(run.dispatched(DispatchActivityTask))
    run.ask(ReturnActivity("poll-id"))
    assert len(run.dispatched(DispatchActivityTask)) == sent
    assert run.pending_activity().paused


def test_an_activity_that_was_reset_meanwhile_begins_anew() -> None:
    run = with_activity()
    run.take_activity()
    run.heartbeat(payloads("details"))
    run.ask(ResetActivities(Selected("a"), True, False, False, 0, 0.0))
    run.ask(ReturnActivity("poll-id"))
    run.crash()
    offer = run.dispatched(DispatchActivityTask)[-1]
    task = run.ask(StartActivity(5, 1, "worker", "next", stamp=offer.stamp))
    assert not task.heartbeat_details
    assert not run.state.activities[5].was_reset, "the worker would be told to stop"

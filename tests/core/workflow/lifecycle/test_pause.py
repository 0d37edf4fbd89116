"""A run is paused, and goes on."""

import pytest
from temporalio.api.update.v1 import Request

from perdure.core.times import SECOND_NS
from perdure.core.workflow.activities.control import PauseActivities, Selected
from perdure.core.workflow.effects import DispatchActivityTask, DispatchQuery, DispatchWorkflowTask
from perdure.core.workflow.lifecycle.pause import Pause, Unpause
from perdure.core.workflow.state_size import approximate_size, may_exceed
from perdure.core.workflow.tasks.start import StartWorkflowTask
from perdure.core.workflow.updates import AdmitUpdate
from tests.build.commands import complete_workflow, schedule_activity, start_timer
from tests.core.workflow.run import OneRun

PAUSE = Pause("operator", "why", "pause-id")
UNPAUSE = Unpause("operator", "enough", "unpause-id")
PAUSED = 8


def dispatched(run: OneRun) -> list[type]:
    kinds = (DispatchWorkflowTask, DispatchActivityTask)
    return [type(effect) for effect in run.effects if isinstance(effect, kinds)]


def test_nothing_is_given_to_workers_after_a_restart_until_the_run_goes_on() -> None:
    run = OneRun()
    run.work(schedule_activity("a", "q"))
    run.ask(PAUSE)
    run.signal()
    run.crash()
    assert dispatched(run) == []
    run.ask(UNPAUSE)
    assert sorted(dispatched(run), key=str) == [DispatchActivityTask, DispatchWorkflowTask]
    run.crash()
    assert sorted(dispatched(run), key=str) == [DispatchActivityTask, DispatchWorkflowTask]


def test_what_a_worker_holds_may_end() -> None:
    run = OneRun()
    run.take()
    run.ask(PAUSE)
    assert run.state.is_paused
    run.complete(schedule_activity("a", "q"), start_timer("t", 1))
    assert "WorkflowExecutionPaused" in run.history()
    assert DispatchActivityTask not in dispatched(run)
    run.wait(2)
    assert run.history().endswith("TimerFired")
    run.ask(UNPAUSE)
    assert DispatchActivityTask in dispatched(run)
    run.work(complete_workflow())


def test_a_task_that_is_lost_in_a_crash_comes_again_when_the_run_goes_on() -> None:
    run = OneRun()
    offers = [each for each in run.effects if isinstance(each, DispatchWorkflowTask)]
    run.take()
    run.ask(PAUSE)
    run.crash()
    assert dispatched(run) == []
    [offer] = offers
    stale = StartWorkflowTask(offer.scheduled_event_id, offer.attempt, "w", "poll", 7)
    assert run.refused(stale) == "NOT_FOUND: Workflow task not found."
    run.signal()
    run.ask(UNPAUSE)
    assert dispatched(run) == [DispatchWorkflowTask]
    assert "4 WorkflowExecutionSignaled 5 WorkflowExecutionUnpaused" in run.history()
    run.work(complete_workflow())


def test_a_task_of_a_sticky_queue_does_not_time_out_while_the_run_is_paused() -> None:
    run = OneRun()
    run.work(sticky_queue="s", sticky_schedule_to_start_ns=5 * SECOND_NS)
    run.signal()
    run.take("s")
    run.ask(PAUSE)
    run.crash()
    run.wait(30)
    assert "TimedOut" not in run.history()
    assert dispatched(run) == []
    run.ask(UNPAUSE)
    assert DispatchWorkflowTask in dispatched(run)
    run.work(complete_workflow())


def test_an_update_whose_task_is_taken_back_comes_with_the_next_one() -> None:
    run = OneRun()
    run.work()
    run.signal()
    run.ask(AdmitUpdate("u", Request().SerializeToString()))
    run.ask(PAUSE)
    assert run.run.in_flight.updates
    run.ask(UNPAUSE)
    assert [message.protocol_instance_id for message in run.take().messages] == ["u"]


def test_a_query_does_not_miss_what_came_before_it_during_a_pause() -> None:
    run = OneRun()
    run.take()
    run.signal()
    run.query()
    run.ask(PAUSE)
    run.complete()
    assert not [each for each in run.effects if isinstance(each, DispatchQuery)]
    run.ask(UNPAUSE)
    assert list(run.take().queries) == ["1"]


def test_what_lists_show_of_a_pause_does_not_make_the_state_larger_than_was_noted() -> None:
    run = OneRun()
    run.work(schedule_activity("a", "q", activity_type={"name": "T" * 500}))
    assert not may_exceed(run.run, 10**6)
    run.ask(PauseActivities(Selected("a"), "", "", ""))
    assert approximate_size(run.run) <= (run.run.state_size_max or 0)


def test_a_run_may_be_closed_while_it_is_paused() -> None:
    run = OneRun()
    run.ask(PAUSE)
    run.terminate()
    assert not run.state.is_open
    assert run.refused(PAUSE) == "NOT_FOUND: workflow execution already completed"
    assert run.refused(UNPAUSE) == "NOT_FOUND: workflow execution already completed"


def test_pausing_twice_is_refused_unless_it_is_the_same_request() -> None:
    run = OneRun()
    assert run.refused(UNPAUSE) == "FAILED_PRECONDITION: workflow is not paused."
    run.ask(PAUSE)
    run.ask(PAUSE)
    other = Pause("operator", "why", "other-id")
    assert run.refused(other) == "FAILED_PRECONDITION: workflow is already paused."
    assert run.history().count("Paused") == 1


@pytest.mark.parametrize("times", [1, 2])
def test_a_failed_task_does_not_count_after_a_pause(times: int) -> None:
    run = OneRun()
    for _ in range(times):
        run.take()
        run.fail_task()
    run.ask(PAUSE)
    run.ask(UNPAUSE)
    assert run.state.workflow_task is not None
    assert run.state.workflow_task.attempt == 1


def test_a_start_delay_ends_with_the_pause() -> None:
    run = OneRun(workflow_start_delay="10s")
    run.ask(PAUSE)
    run.wait(11)
    assert dispatched(run) == []
    run.ask(UNPAUSE)
    run.work(complete_workflow())

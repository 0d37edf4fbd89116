"""The task ids of events: positive, and rising through all runs of a workflow id. `promises.py` looks at every event."""

from temporalio.api.history.v1 import HistoryEvent

from perdure.core.workflow.lifecycle.start_policy import Start
from perdure.core.workflow.machine import fold
from perdure.core.workflow.records import encode_events
from perdure.core.workflow.state import RunState
from perdure.core.workflow.tasks.start import unrecorded
from tests.build.commands import complete_workflow, start_timer
from tests.core.workflow.lifecycle.test_reset import reset
from tests.core.workflow.run import OneRun


def test_they_begin_at_one() -> None:
    run = OneRun()
    run.work(start_timer("t", 100))
    assert [event.task_id for event in run.journal.events] == [1, 2, 3, 4, 5]
    run.crash()
    run.signal()
    assert [event.task_id for event in run.journal.events] == [1, 2, 3, 4, 5, 6, 7]


def test_a_task_that_a_worker_holds_is_shown_with_that_of_its_event() -> None:
    run = OneRun()
    run.work()
    run.signal()
    run.take()
    [shown] = unrecorded(run.run)
    run.complete(complete_workflow())
    assert shown == run.journal.events[shown.event_id - 1]


def test_those_of_the_next_run_follow() -> None:
    run = OneRun()
    first = run.journal.events[0].workflow_execution_started_event_attributes
    following = OneRun(started=Start("ns-id", "ns", "w", "run-2", first, "id", after_task_id=41))
    assert [event.task_id for event in following.journal.events] == [42, 43]


def test_a_reset_keeps_those_of_the_history_that_it_shares() -> None:
    run = OneRun()
    run.work(start_timer("t", 100))
    run.signal()
    new = reset(run, 4, after_task_id=20)
    assert [event.task_id for event in new.journal.events] == [1, 2, 3, 21, 22, 23]


def test_events_of_an_earlier_version_have_none() -> None:
    state = RunState()
    events = [HistoryEvent(event_id=1, event_type=1)]  # type: ignore[arg-type]
    fold(state, [(encode_events(events), b"")])
    assert state.last_task_id == 0
    events = [HistoryEvent(event_id=2, event_type=9, task_id=1)]  # type: ignore[arg-type]
    fold(state, [(encode_events(events), b"")])
    assert state.last_task_id == 1

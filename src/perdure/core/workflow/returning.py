"""A task that was given to a worker comes back: the worker was gone before it had it.

The shell asks for that when it knows that nobody has received the task. The task then waits for the next worker as if
it had never been started, instead of until its timeout.

Temporal: there such a task waits for its timeout.
"""

from collections.abc import Callable
from dataclasses import dataclass

from perdure.core.errors import no_workflow_task
from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.workflow.activities.attempt_records import begin_after_reset, offer, timeouts
from perdure.core.workflow.activities.attempts import eager_request_id
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.pending import PendingActivity
from perdure.core.workflow.records import ActivityReturned
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks import schedule
from perdure.core.workflow.tasks.timers import task_timers

#: The first workflow task of a run that a client starts is scheduled by this event.
FIRST_TASK_EVENT_ID = 2

# What can be asked


@dataclass(frozen=True, slots=True)
class ReturnWorkflowTask(Request[None]):
    """Nobody has received the workflow task that was started with this nonce."""

    nonce: int


@dataclass(frozen=True, slots=True)
class ReturnFirstTask(Request[None]):
    """Nobody has received the first workflow task, which came with the answer to the start with this request id."""

    request_id: str


@dataclass(frozen=True, slots=True)
class ReturnActivity(Request[None]):
    """Nobody has received the attempt that was started by the poll with this id."""

    request_id: str


@dataclass(frozen=True, slots=True)
class ReturnEagerActivities(Request[None]):
    """Nobody has received the activities that the completion with this id has started at once."""

    completion_id: str


Return = ReturnWorkflowTask | ReturnFirstTask | ReturnActivity | ReturnEagerActivities


def return_workflow_task(step: HistoryStep, request: ReturnWorkflowTask) -> None:
    """Changes memory only, unless events have come meanwhile: those are history before the task is started again."""
    step.check_open()
    started = step.in_flight.started
    if started is None or started.nonce != request.nonce:
        raise no_workflow_task()
    _return_started(step)


def return_first_task(step: HistoryStep, request: ReturnFirstTask) -> None:
    """As `return_workflow_task`."""
    step.check_open()
    task, started = step.state.workflow_task, step.in_flight.started
    is_first = task is not None and task.scheduled_event_id == FIRST_TASK_EVENT_ID
    if started is None or not is_first or step.state.start_request_id != request.request_id:
        raise no_workflow_task()
    _return_started(step)


def _return_started(step: HistoryStep) -> None:
    step.in_flight.started = None
    for update in step.in_flight.updates.values():
        update.is_sent = False
    step.flush()
    for timer in task_timers(step.run):
        step.set_timer(timer)
    for effect in schedule.pending_effects(step.run, step.now_ns):
        step.emit(effect)


def return_activity(step: HistoryStep, request: ReturnActivity) -> None:
    _return_activities(step, lambda activity: request.request_id)


def return_eager_activities(step: HistoryStep, request: ReturnEagerActivities) -> None:
    _return_activities(
        step,
        lambda activity: eager_request_id(request.completion_id, activity.scheduled_event_id),
    )


def _return_activities(step: HistoryStep, started_by: Callable[[PendingActivity], str]) -> None:
    """Return each activity that was started by the request id that `started_by` gives for it."""
    step.check_open()
    for activity in step.state.activities.values():
        if not activity.started_at_ns or activity.request_id != started_by(activity):
            continue
        step.record_internal(ActivityReturned(activity.scheduled_event_id))
        for timer in timeouts(activity):
            step.set_timer(timer)
        if not activity.paused_at_ns:
            offer(step, activity)


# How records change the state


def activity_returned(state: RunState, record: ActivityReturned) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.started_at_ns = 0
    activity.request_id = ""
    if not activity.paused_at_ns:
        begin_after_reset(activity)


# What must hold


def check(run: Run) -> None:
    for activity in run.state.activities.values():
        assert activity.request_id == "" or activity.started_at_ns


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "returning",
    check=check,
    requests={
        ReturnWorkflowTask: return_workflow_task,
        ReturnFirstTask: return_first_task,
        ReturnActivity: return_activity,
        ReturnEagerActivities: return_eager_activities,
    },
    appliers={ActivityReturned: activity_returned},
)

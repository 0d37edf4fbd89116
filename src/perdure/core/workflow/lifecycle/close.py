"""A run closes: its worker, a client or the clock ends it."""

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Link, Payload, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import (
    CommandType,
    EventType,
    ParentClosePolicy,
    RetryState,
    TimeoutType,
    WorkflowExecutionStatus,
    WorkflowTaskFailedCause,
)
from temporalio.api.failure.v1 import Failure, TimeoutFailureInfo
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import Code, Rejected
from perdure.core.execution.concept import Concept
from perdure.core.execution.outcome import Timer, TimerKind
from perdure.core.execution.request import Request
from perdure.core.times import timestamp_ns
from perdure.core.workflow.description import left_pending
from perdure.core.workflow.events import HISTORY_SERVICE, attributes_of, new_event
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.lifecycle.next_run import (
    after_failure,
    after_success,
    begin,
    last_result,
)
from perdure.core.workflow.signals import check_parent
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks import fail as workflow_task_failures
from perdure.core.workflow.tasks.fail import FailWorkflowTask, force_close
from perdure.core.workflow.tasks.schedule import require_started
from perdure.core.workflow.validation import check_size

#: The identity that terminates a run to make room for a reset one. Temporal: that is how such an end is recognised.
RESETTER = "history-resetter"
TIMED_OUT = Failure(
    message="workflow timeout",
    source="Server",
    timeout_failure_info=TimeoutFailureInfo(timeout_type=TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE),
)

_MILLISECOND_NS = 10**6

# What can be asked


@dataclass(frozen=True, slots=True)
class Terminate(Request[None]):
    reason: str
    details: Payloads | None
    identity: str
    first_execution_run_id: str = ""
    links: tuple[Link, ...] = ()
    #: Refused by a run that is not this one's child.
    parent: WorkflowExecution | None = None


def terminate(step: HistoryStep, request: Terminate) -> None:
    state = step.state
    step.check_open()
    check_first_run(state, request.first_execution_run_id)
    if request.parent is not None:
        check_parent(state, request.parent)
    record_terminated(step, request.reason, request.details, request.identity, request.links)


def check_first_run(state: RunState, first_execution_run_id: str) -> None:
    """The caller may say which chain of runs it means."""
    if first_execution_run_id and first_execution_run_id != state.first_run_id:
        raise Rejected(Code.NOT_FOUND, "workflow execution not found")


def record_terminated(
    step: HistoryStep,
    reason: str,
    details: Payloads | None,
    identity: str,
    links: Sequence[Link] = (),
) -> None:
    force_close(step)
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED)
    attributes = event.workflow_execution_terminated_event_attributes
    attributes.reason = reason
    if details is not None:
        attributes.details.CopyFrom(details)
    attributes.identity = identity
    event.links.extend(links)
    step.record(event)


def replaced_by(run_id: str) -> Terminate:
    """Temporal: this is what a run's end says that a new start made room for itself."""
    note = f'"terminated by new runID: {run_id}"'
    return Terminate(
        reason="TerminateIfRunning WorkflowIdReusePolicy",
        details=Payloads(
            payloads=[Payload(metadata={"encoding": b"json/plain"}, data=note.encode())]
        ),
        identity=HISTORY_SERVICE,
    )


def fail_task(step: HistoryStep, request: FailWorkflowTask) -> None:
    """Fail the workflow task. A worker that cannot send what it has to say ends the run: it never could."""
    too_large = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE
    if request.cause == too_large and step.state.is_open:
        require_started(step, request.ref)
        # Temporal: the reason is the cause, as error texts name it.
        record_terminated(step, "GrpcMessageTooLarge", None, HISTORY_SERVICE)
    else:
        workflow_task_failures.fail(step, request)


def time_out(step: HistoryStep, timer: Timer) -> None:
    """The run or the whole chain of runs has used up its time."""
    if timer not in end_timers(step.state):
        return
    force_close(step)
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT)
    attributes = event.workflow_execution_timed_out_event_attributes
    attributes.retry_state = RetryState.RETRY_STATE_TIMEOUT
    # Temporal: the end of the whole chain is kept to the millisecond, that of the run is not.
    if not 0 < step.state.execution_expiration_ns <= step.now_ns + _MILLISECOND_NS:
        attributes.retry_state, successor = after_failure(step, TIMED_OUT)
        if successor is not None:
            attributes.new_execution_run_id = successor.run_id
            begin(step, successor, result=last_result(step), failure=TIMED_OUT)
    step.record(event)


# What a worker can command


def complete(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    if not command.HasField("complete_workflow_execution_command_attributes"):
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_COMPLETE_WORKFLOW_EXECUTION_ATTRIBUTES,
            "CompleteWorkflowExecutionCommandAttributes is not set on CompleteWorkflowExecutionCommand.",
        )
    wanted = command.complete_workflow_execution_command_attributes
    check_size(
        step.environment.limits.blob_size,
        # Temporal: with this cause.
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES,
        wanted.result,
        "CompleteWorkflowExecutionCommandAttributes.Result exceeds size limit.",
    )
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED)
    attributes = event.workflow_execution_completed_event_attributes
    if wanted.HasField("result"):
        attributes.result.CopyFrom(wanted.result)
    attributes.workflow_task_completed_event_id = completed_event_id
    refuse_unhandled(step)
    successor = after_success(step)
    if successor is not None:
        attributes.new_execution_run_id = successor.run_id
        begin(step, successor, result=wanted.result if wanted.HasField("result") else None)
    step.record(event)


def fail(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    cause = (
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_FAIL_WORKFLOW_EXECUTION_ATTRIBUTES
    )
    if not command.HasField("fail_workflow_execution_command_attributes"):
        raise BadCommand(
            cause,
            "FailWorkflowExecutionCommandAttributes is not set on FailWorkflowExecutionCommand.",
        )
    wanted = command.fail_workflow_execution_command_attributes
    if not wanted.HasField("failure"):
        raise BadCommand(cause, "Failure is not set on FailWorkflowExecutionCommand.")
    check_size(
        step.environment.limits.blob_size,
        cause,
        wanted.failure,
        "FailWorkflowExecutionCommandAttributes.Failure exceeds size limit.",
    )
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED)
    attributes = event.workflow_execution_failed_event_attributes
    attributes.failure.CopyFrom(wanted.failure)
    attributes.workflow_task_completed_event_id = completed_event_id
    refuse_unhandled(step)
    attributes.retry_state, successor = after_failure(step, wanted.failure)
    if successor is not None:
        attributes.new_execution_run_id = successor.run_id
        # Temporal: a retry forgets the last result; the next run of a schedule does not.
        is_retry = attributes.retry_state == RetryState.RETRY_STATE_IN_PROGRESS
        result = None if is_retry else last_result(step)
        begin(step, successor, result=result, failure=wanted.failure)
    step.record(event)


def cancel(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    if not command.HasField("cancel_workflow_execution_command_attributes"):
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_CANCEL_WORKFLOW_EXECUTION_ATTRIBUTES,
            "CancelWorkflowExecutionCommandAttributes is not set on CancelWorkflowExecutionCommand.",
        )
    wanted = command.cancel_workflow_execution_command_attributes
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED)
    attributes = event.workflow_execution_canceled_event_attributes
    if wanted.HasField("details"):
        attributes.details.CopyFrom(wanted.details)
    attributes.workflow_task_completed_event_id = completed_event_id
    refuse_unhandled(step)
    step.record(event)


def refuse_unhandled(step: HistoryStep) -> None:
    """Temporal: the worker must see what arrived meanwhile before the run may close."""
    if step.arrived_meanwhile:
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND, "UnhandledCommand"
        )


# What other concepts use


def end_timers(state: RunState) -> list[Timer]:
    timers = []
    if state.run_expiration_ns:
        timers.append(Timer(state.run_expiration_ns, TimerKind.RUN_TIMEOUT, 0, 0))
    elif state.execution_expiration_ns:
        timers.append(Timer(state.execution_expiration_ns, TimerKind.EXECUTION_TIMEOUT, 0, 0))
    return timers


# How records change the state


_STATUSES = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: (
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED
    ),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: (
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED
    ),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: (
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED
    ),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: (
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED
    ),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: (
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT
    ),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: (
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
    ),
}
CLOSING_EVENTS = frozenset(_STATUSES)


#: Those that may name the run that follows.
_WITH_NEXT_RUN = (
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
)


def closed(state: RunState, event: HistoryEvent) -> None:
    """Whatever closes it: nothing is pending any more."""
    state.left_pending = left_pending(state)
    state.status = _STATUSES[event.event_type]
    state.close_time_ns = timestamp_ns(event.event_time)
    state.workflow_task = None
    state.buffered = []
    state.timers.clear()
    state.activities.clear()
    state.activity_ids.clear()
    state.external_workflows.clear()
    for child in list(state.children.values()):
        # Temporal: a child that was not started yet never will be.
        if (
            not child.run_id
            or child.parent_close_policy == ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON
        ):
            del state.children[child.initiated_event_id]
    if state.parent is not None or state.callbacks:
        state.close_event = event.SerializeToString(deterministic=True)
    terminated = event.workflow_execution_terminated_event_attributes
    state.made_way = terminated.identity == RESETTER
    state.made_way_for_another = state.made_way and not state.reset_run_id
    if event.event_type in _WITH_NEXT_RUN:
        state.new_run_id = attributes_of(event).new_execution_run_id


# What must hold


def check(run: Run) -> None:
    state = run.state
    assert state.exists == (state.status != 0)
    assert state.is_open == (state.exists and state.close_time_ns == 0)
    if not state.is_open:
        assert run.in_flight.started is None


def pending_timers(run: Run, now_ns: int) -> list[Timer]:
    return end_timers(run.state) if run.state.is_open else []


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "close",
    check=check,
    requests={
        Terminate: terminate,
        FailWorkflowTask: fail_task,
    },
    commands={
        CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION: complete,
        CommandType.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION: fail,
        CommandType.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION: cancel,
    },
    timers={
        TimerKind.RUN_TIMEOUT: time_out,
        TimerKind.EXECUTION_TIMEOUT: time_out,
    },
    appliers={
        **dict.fromkeys(_STATUSES, closed),
    },
    pending_timers=pending_timers,
)

"""The small programs that model workers run. Pure: what is decided follows from the history that was given alone.

A program is a list of steps, one after the other. Any worker may take any task of any run.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import (
    CommandType,
    ContinueAsNewInitiator,
    EventType,
    ParentClosePolicy,
    WorkflowTaskFailedCause,
)
from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionStartedEventAttributes

QUEUE = "programs"
NAMESPACE = "default"

#: Sleep. Run an activity once. Run one until it does not fail. Wait for a signal. Run a child. Go on as a new run.
TIMER, ONCE, RETRIED, SIGNAL, CHILD, CONTINUE = (
    "timer",
    "once",
    "retried",
    "signal",
    "child",
    "continue",
)
#: An activity that fails for some seconds: long enough for somebody to take a hand in it.
STUBBORN = "stubborn"
#: An activity that sends heartbeats, and fails between them. One that goes on until it is asked to stop.
BEATING, ENDLESS = "beating", "endless"
#: An activity beside a timer that is set again, under the same id, when the activity has ended.
RACE = "race"
#: End with a failure; do so unless this is a retry of the run.
FAIL, FLAKY = "fail", "flaky"
#: Signal another workflow; ask it to stop. Which one, the step says after a space.
TELL, STOP = "tell", "stop"
WEIGHTS_BY_STEP = {
    TIMER: 3,
    ONCE: 2,
    RETRIED: 2,
    SIGNAL: 2,
    CHILD: 2,
    CONTINUE: 1,
    RACE: 2,
    STUBBORN: 1,
    FAIL: 0.3,
    FLAKY: 0.5,
    TELL: 4,
    STOP: 0.5,
    BEATING: 2,
    ENDLESS: 1,
}
STEPS, WEIGHTS = tuple(WEIGHTS_BY_STEP), tuple(WEIGHTS_BY_STEP.values())
#: How many attempts fail before one succeeds.
FAILURES = {RETRIED: 1, STUBBORN: 3, BEATING: 2}
#: Steps that leave nothing in history while the run goes on.
_WITHOUT_OUTCOME = (SIGNAL, FLAKY)

_RESET = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
#: How often, and when, a run that fails is tried again.
POLICY = RetryPolicy(
    initial_interval=Duration(seconds=2), backoff_coefficient=2, maximum_attempts=3
)
SCHEDULE = "@every 7s"
RACE_S = 4
RACE_AGAIN_S = 15
#: An endless activity is asked to stop after so long. A worker sends a heartbeat more often than the timeout demands.
ENDLESS_S = 3
HEARTBEAT_TIMEOUT_S = 4
#: The outcomes of an activity. One with a single attempt may get lost with its worker.
OK, LOST = "ok", "lost"


@dataclass(slots=True)
class _Progress:
    """The progress of the steps, by their indexes, as history says."""

    begun: dict[int, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    #: Which of `begun` are timers.
    timers: set[int] = field(default_factory=set)
    timer_starts: Counter[str] = field(default_factory=Counter)
    timer_ends: Counter[str] = field(default_factory=Counter)
    #: The scheduled event ids of activities that were asked to stop.
    asked_to_stop: set[int] = field(default_factory=set)
    signals: int = 0
    is_cancelled: bool = False


def kind_of(step: str) -> str:
    return step.partition(" ")[0]


def program_of(events: Sequence[HistoryEvent]) -> list[str]:
    steps: list[str] = json.loads(_started(events).input.payloads[0].data)
    return steps


def decide(events: Sequence[HistoryEvent]) -> list[Command]:
    """Return the commands of a workflow that has seen `events`: the next step of its program, or its end."""
    program = program_of(events)
    progress = _progress(events)
    if progress.is_cancelled:
        return [_cancel()]
    used_signals = 0
    for index, step in enumerate(program):
        key = str(index)
        if step == SIGNAL:
            used_signals += 1
            if progress.signals < used_signals:
                return []
        elif step == CONTINUE:
            return [_continue(program[index + 1 :])]
        elif step == FAIL or (step == FLAKY and _started(events).attempt == 1):
            return [_cancel() if _is_last_of_schedule(events) else _fail()]
        elif step == FLAKY:
            continue
        elif key not in progress.begun.values():
            return _begin(step, index, events[0])
        elif key not in progress.ended:
            return _waiting(step, key, progress)
        elif step == RACE:
            running = progress.timer_starts[key] - progress.timer_ends[key]
            if progress.timer_starts[key] == 1:
                return [*([_cancel_timer(key)] if running else []), _timer(key, RACE_AGAIN_S)]
            if running:
                return []
    return [_cancel() if _is_last_of_schedule(events) else _complete(program, progress)]


def _waiting(step: str, key: str, progress: _Progress) -> list[Command]:
    """Return the commands of a workflow whose step has begun and not ended."""
    if step != ENDLESS or not progress.timer_ends[key]:
        return []
    [scheduled_event_id] = [
        event_id
        for event_id, begun in progress.begun.items()
        if begun == key and event_id not in progress.timers
    ]
    if scheduled_event_id in progress.asked_to_stop:
        return []
    command = Command(command_type=CommandType.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK)
    attributes = command.request_cancel_activity_task_command_attributes
    attributes.scheduled_event_id = scheduled_event_id
    return [command]


def _started(events: Sequence[HistoryEvent]) -> WorkflowExecutionStartedEventAttributes:
    return events[0].workflow_execution_started_event_attributes


def _is_last_of_schedule(events: Sequence[HistoryEvent]) -> bool:
    """A program that runs by a cron schedule does so twice, and ends that by cancelling itself."""
    started = _started(events)
    by_schedule = ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE
    return bool(started.initiator == by_schedule and started.continued_execution_run_id)


def check_result(events: Sequence[HistoryEvent]) -> None:
    """Assert that a completed run did all that its program says, and nothing else."""
    result = json.loads(
        events[-1].workflow_execution_completed_event_attributes.result.payloads[0].data
    )
    program = program_of(events)
    assert CONTINUE not in program
    assert FAIL not in program
    assert FLAKY not in program or _started(events).attempt > 1
    assert result["signals"] >= program.count(SIGNAL)
    wanted = [(step, index) for index, step in enumerate(program) if step not in _WITHOUT_OUTCOME]
    # A run that was reset may find the child of its other life still running.
    is_reset = any(event.workflow_task_failed_event_attributes.cause == _RESET for event in events)
    for (step, index), outcome in zip(wanted, result["results"], strict=True):
        may_be_lost = kind_of(step) in (ONCE, TELL, STOP) or (step == CHILD and is_reset)
        allowed = (OK, LOST) if may_be_lost else (LOST,) if step == ENDLESS else (OK,)
        assert outcome in allowed, f"step {index} ({step}) came to {outcome}"


def _progress(events: Sequence[HistoryEvent]) -> _Progress:
    found = _Progress()
    for event in events:
        kind = str(event.WhichOneof("attributes"))
        attributes = getattr(event, kind)
        if kind == "timer_started_event_attributes":
            found.timer_starts[attributes.timer_id] += 1
            found.begun[event.event_id] = attributes.timer_id
            found.timers.add(event.event_id)
        elif kind == "activity_task_scheduled_event_attributes":
            found.begun[event.event_id] = attributes.activity_id
        elif kind == "start_child_workflow_execution_initiated_event_attributes":
            found.begun[event.event_id] = attributes.workflow_id.rpartition("/")[2]
        elif kind in _TO_OTHERS:
            found.begun[event.event_id] = attributes.control
        elif kind in ("timer_fired_event_attributes", "timer_canceled_event_attributes"):
            found.timer_ends[attributes.timer_id] += 1
            if program_of(events)[int(attributes.timer_id)] == TIMER:
                found.ended[attributes.timer_id] = OK
        elif kind == "activity_task_cancel_requested_event_attributes":
            found.asked_to_stop.add(attributes.scheduled_event_id)
        elif kind == "workflow_execution_signaled_event_attributes":
            found.signals += 1
        elif kind == "workflow_execution_cancel_requested_event_attributes":
            found.is_cancelled = True
        elif event.event_type in _ENDS:
            key = "scheduled_event_id" if "activity" in kind else "initiated_event_id"
            step = found.begun[getattr(attributes, key)]
            assert step not in found.ended, f"step {step} has ended twice"
            found.ended[step] = _outcome(event, step, attributes)
    return found


def _outcome(event: HistoryEvent, step: str, attributes: Any) -> str:
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
        assert attributes.result.payloads[0].data.decode() == step, "another activity's result"
    return OK if event.event_type in _GOOD_ENDS else LOST


_TO_OTHERS = (
    "signal_external_workflow_execution_initiated_event_attributes",
    "request_cancel_external_workflow_execution_initiated_event_attributes",
)
_GOOD_ENDS = frozenset(
    (
        EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
        EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
    )
)
_ENDS = _GOOD_ENDS | frozenset(
    getattr(EventType, f"EVENT_TYPE_{name}")
    for name in (
        "ACTIVITY_TASK_FAILED",
        "ACTIVITY_TASK_TIMED_OUT",
        "ACTIVITY_TASK_CANCELED",
        "CHILD_WORKFLOW_EXECUTION_FAILED",
        "CHILD_WORKFLOW_EXECUTION_TIMED_OUT",
        "CHILD_WORKFLOW_EXECUTION_TERMINATED",
        "CHILD_WORKFLOW_EXECUTION_CANCELED",
        "START_CHILD_WORKFLOW_EXECUTION_FAILED",
        "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED",
        "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED",
    )
)


def _begin(step: str, index: int, first: HistoryEvent) -> list[Command]:
    key = str(index)
    if step == TIMER:
        return [_timer(key, 1 + 7 * index)]
    if step == CHILD:
        return [_child(key, first)]
    if step == RACE:
        return [_timer(key, RACE_S), _activity(key, RETRIED)]
    if step == ENDLESS:
        return [_timer(key, ENDLESS_S), _activity(key, ENDLESS)]
    kind, _, other = step.partition(" ")
    if kind == TELL:
        return [_tell(key, other, first)]
    if kind == STOP:
        return [_stop(key, other)]
    return [_activity(key, step)]


def _timer(timer_id: str, seconds: int) -> Command:
    command = Command(command_type=CommandType.COMMAND_TYPE_START_TIMER)
    attributes = command.start_timer_command_attributes
    attributes.timer_id = timer_id
    attributes.start_to_fire_timeout.FromSeconds(seconds)
    return command


def _cancel_timer(timer_id: str) -> Command:
    command = Command(command_type=CommandType.COMMAND_TYPE_CANCEL_TIMER)
    command.cancel_timer_command_attributes.timer_id = timer_id
    return command


def _activity(activity_id: str, kind: str) -> Command:
    command = Command(command_type=CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK)
    activity = command.schedule_activity_task_command_attributes
    activity.activity_id = activity_id
    activity.activity_type.name = kind
    activity.task_queue.name = QUEUE
    activity.start_to_close_timeout.FromSeconds(20)
    if kind in (BEATING, ENDLESS):
        activity.heartbeat_timeout.FromSeconds(HEARTBEAT_TIMEOUT_S)
    activity.retry_policy.maximum_attempts = 1 if kind == ONCE else 0
    return command


def _child(key: str, first: HistoryEvent) -> Command:
    command = Command(command_type=CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION)
    child = command.start_child_workflow_execution_command_attributes
    started = first.workflow_execution_started_event_attributes
    child.workflow_id = f"{started.workflow_id}/{started.original_execution_run_id}/{key}"
    child.workflow_type.name = "Program"
    child.task_queue.name = QUEUE
    child.parent_close_policy = ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE
    is_flaky = int(key) % 2
    program = [FLAKY, TIMER] if is_flaky else [TIMER, ONCE]
    if is_flaky:
        child.retry_policy.CopyFrom(POLICY)
    child.input.payloads.add(data=json.dumps(program).encode())
    return command


def _tell(key: str, other: str, first: HistoryEvent) -> Command:
    command = Command(command_type=CommandType.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION)
    signal = command.signal_external_workflow_execution_command_attributes
    signal.execution.workflow_id = other
    me = first.workflow_execution_started_event_attributes.workflow_id
    signal.signal_name = f"{me}/{key}"
    signal.control = key
    return command


def _stop(key: str, other: str) -> Command:
    kind = CommandType.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION
    command = Command(command_type=kind)
    request = command.request_cancel_external_workflow_execution_command_attributes
    request.workflow_id = other
    request.control = key
    return command


def _continue(rest: list[str]) -> Command:
    command = Command(command_type=CommandType.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION)
    attributes = command.continue_as_new_workflow_execution_command_attributes
    attributes.input.payloads.add(data=json.dumps(rest).encode())
    return command


def _cancel() -> Command:
    command = Command(command_type=CommandType.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION)
    command.cancel_workflow_execution_command_attributes.SetInParent()
    return command


def _fail() -> Command:
    command = Command(command_type=CommandType.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION)
    command.fail_workflow_execution_command_attributes.failure.message = "as the program says"
    return command


def _complete(program: list[str], progress: _Progress) -> Command:
    results = [
        progress.ended[str(index)]
        for index, step in enumerate(program)
        if step not in _WITHOUT_OUTCOME
    ]
    done = Command(command_type=CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION)
    done.complete_workflow_execution_command_attributes.result.payloads.add(
        data=json.dumps({"results": results, "signals": progress.signals}).encode()
    )
    return done

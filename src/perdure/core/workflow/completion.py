"""A worker completes the workflow task: its commands are carried out, in order, or none of them."""

from dataclasses import dataclass, field, replace

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkerVersionStamp
from temporalio.api.enums.v1 import (
    CommandType,
    EventType,
    TimeoutType,
    WorkflowTaskFailedCause,
)
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent, WorkflowTaskCompletedEventAttributes
from temporalio.api.protocol.v1 import Message

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.times import timestamp_ns
from perdure.core.workflow import (
    completion_pages,
    queries,
    updates,
)
from perdure.core.workflow.activities import attempts
from perdure.core.workflow.activities import commands as activity_commands
from perdure.core.workflow.activities.attempt_records import offer
from perdure.core.workflow.activities.attempts import ActivityTask, StartActivity, eager_request_id
from perdure.core.workflow.completion_pages import Page, PageKept
from perdure.core.workflow.events import HISTORY_SERVICE
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.lifecycle import execution
from perdure.core.workflow.records import StickySet
from perdure.core.workflow.state import ResetPoint, Run, RunState
from perdure.core.workflow.tasks import reported_problems
from perdure.core.workflow.tasks.fail import record_failed, record_timed_out
from perdure.core.workflow.tasks.schedule import (
    TaskRef,
    ensure_scheduled,
    record_started,
    release,
    require_started,
    schedule,
    schedule_speculative,
)
from perdure.core.workflow.tasks.start import StartWorkflowTask, TaskStarted, start_task
from perdure.core.workflow.updates import Inbox

#: Temporal: the default of history.historyMaxAutoResetPoints. Records are applied without regard to settings.
_RESET_POINTS_MAX = 20
#: What eager activities bring to the answer, besides a single larger one: clients of gRPC take 4 MiB by default.
EAGER_BYTES_MAX = 1024 * 1024
_CLOSING = {
    CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
    CommandType.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION,
    CommandType.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION,
    CommandType.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
}
#: Commands of features that are still to be built, refused by name. Each is a later concept file.
_NOT_YET = {
    CommandType.COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION: "Nexus operations",
    CommandType.COMMAND_TYPE_REQUEST_CANCEL_NEXUS_OPERATION: "Nexus operations",
}

# What can be asked


@dataclass(frozen=True, slots=True)
class TaskCompleted:
    """Reply: the next workflow task and eager activities, for the worker that completed this one."""

    new_task: TaskStarted | None = None
    activity_tasks: list[ActivityTask] = field(default_factory=list)
    #: The task left no trace: the worker must forget all events after this one. Else 0.
    reset_to_event_id: int = 0


@dataclass(frozen=True, slots=True)
class CompleteWorkflowTask(Request[TaskCompleted | PageKept]):
    """`event` is the `WorkflowTaskCompleted` event to be, all but the ids of what came before it."""

    ref: TaskRef
    event: HistoryEvent
    commands: tuple[Command, ...]
    #: Query id → serialized `WorkflowQueryResult`.
    query_results: dict[str, bytes]
    #: Where the worker wants the next tasks; empty for the normal queue.
    sticky_queue: str = ""
    sticky_schedule_to_start_ns: int = 0
    force_new_task: bool = False
    #: Hand the next task to this worker at once, if there is one. Its nonce, else 0.
    return_new_task_nonce: int = 0
    #: Names the activities that this worker gets at once (`eager_request_id`); drawn for this one completion.
    completion_id: str = ""
    #: What the worker says of updates.
    messages: tuple[Message, ...] = ()
    #: The worker can be shown the same events again after a task that left no trace.
    can_see_again: bool = False
    #: An operator has said that this build is not to complete anything.
    is_bad_binary: bool = False
    build_id: str = ""
    #: These are not all of the commands, or others came before them.
    page: Page | None = None


def complete(
    step: HistoryStep, request: CompleteWorkflowTask
) -> TaskCompleted | PageKept | Rejected:
    """Reply `Rejected` where the refusal itself is recorded: it must be durable before the worker learns of it."""
    task, started = require_started(step, request.ref)
    if request.force_new_task and step.state.is_paused:
        raise Rejected(
            Code.FAILED_PRECONDITION,
            "Workflow is paused and force create new workflow task is not allowed.",
        )
    if request.page is not None:
        kept = _take_page(step, request, request.page, started.identity)
        if not isinstance(kept, CompleteWorkflowTask):
            return kept
        request = kept
    _check_sequence(step, request)
    if _leaves_no_trace(step, request):
        return _discard(step, request, started.identity)
    step.make_normal(*_who(request))
    task = step.state.workflow_task or task
    original_scheduled_at_ns = 0
    if request.force_new_task and not request.commands and not request.messages:
        # A heartbeat: the worker needs more time, for a local activity as a rule.
        limit = step.environment.limits.workflow_task_heartbeat_timeout_ns
        if step.now_ns > task.original_scheduled_at_ns + limit:
            return _give_up_heartbeats(step)
        original_scheduled_at_ns = task.original_scheduled_at_ns
    step.arrived_meanwhile = bool(step.state.buffered)
    may_be_refused = request.commands or request.messages or request.is_bad_binary
    checkpoint = step.checkpoint() if may_be_refused else None
    identity = started.identity
    inbox = Inbox(request.messages)
    try:
        _check_binary(request)
        activity_tasks = _carry_out(step, request, inbox)
    except BadCommand as error:
        assert checkpoint is not None
        step.roll_back(checkpoint)
        return _refuse(step, request, error, identity)
    # Also what the commands themselves brought about: a cancelled activity that no worker had started.
    had_buffered = bool(step.state.buffered)
    release(step)
    queries.answer(step, dict(request.query_results))
    updates.conclude(step, inbox.news, is_heartbeat=request.force_new_task)
    new_task = None
    wants_task = request.force_new_task or had_buffered or bool(step.in_flight.updates)
    if step.state.is_paused:
        step.flush()
    elif step.state.is_open and wants_task:
        new_task = _next_task(step, request, original_scheduled_at_ns)
    # A pause keeps from the workflow what has come meanwhile: a query that is to see it waits, too.
    is_kept_back = had_buffered and step.state.is_paused
    if step.run.pending_task is None and not is_kept_back:
        queries.release_unanswered(step)
    return TaskCompleted(new_task, activity_tasks)


def _take_page(
    step: HistoryStep, request: CompleteWorkflowTask, page: Page, identity: str
) -> CompleteWorkflowTask | PageKept | Rejected:
    """Return the whole request, if this page is the last one. Refusals are replies: they forget the pages before."""
    if not step.environment.limits.completion_pages:
        raise Rejected(
            Code.FAILED_PRECONDITION,
            f"workflow task completion pagination is disabled for this namespace {step.state.namespace}",
        )
    try:
        if not page.is_last:
            return completion_pages.keep(step, page, request.commands)
        merged = completion_pages.together(step, page, request.commands)
    except Rejected as refusal:
        return refusal
    except BadCommand as error:
        step.make_normal(*_who(request))
        return _refuse(step, request, error, identity)
    return replace(request, commands=merged)


def _who(request: CompleteWorkflowTask) -> tuple[str, WorkerVersionStamp | None]:
    """Return the identity of the worker that completes the task, and its version if it says it."""
    attributes = request.event.workflow_task_completed_event_attributes
    says = attributes.HasField("worker_version")
    return attributes.identity, attributes.worker_version if says else None


def _leaves_no_trace(step: HistoryStep, request: CompleteWorkflowTask) -> bool:
    """Whether the task can be forgotten: it was only for updates, and the worker rejected them all."""
    if step.in_flight.speculative is None or request.commands or request.force_new_task:
        return False
    # After the last task came its completed event, and what its commands recorded.
    unseen = step.state.next_event_id - (step.state.previous_started_event_id + 2)
    if unseen > (step.environment.limits.max_seen_again_events if request.can_see_again else 0):
        return False
    return updates.only_rejects(request.messages)


def _discard(
    step: HistoryStep, request: CompleteWorkflowTask, identity: str
) -> TaskCompleted | Rejected:
    speculative, step.in_flight.speculative = step.in_flight.speculative, None
    checkpoint = step.checkpoint()
    inbox = Inbox(request.messages)
    try:
        inbox.take_rest(step)
    except BadCommand as error:
        step.roll_back(checkpoint)
        step.in_flight.speculative = speculative
        step.make_normal(*_who(request))
        return _refuse(step, request, error, identity)
    release(step)
    queries.answer(step, dict(request.query_results))
    updates.conclude(step, inbox.news, is_heartbeat=False)
    new_task = None
    if step.in_flight.updates:
        new_task = _next_task(step, request, 0)
    elif step.state.waits_for_first_task and step.state.execution_time_ns <= step.now_ns:
        ensure_scheduled(step, despite_delay=True)  # It became due meanwhile.
    else:
        queries.release_unanswered(step)
    return TaskCompleted(new_task, reset_to_event_id=step.state.previous_started_event_id)


def _check_sequence(step: HistoryStep, request: CompleteWorkflowTask) -> None:
    """Temporal: a wrong order is refused outright; the worker keeps the task."""
    commands = request.commands
    if not all(message.HasField("body") for message in request.messages):
        raise invalid_argument("nil message body")
    for index, command in enumerate(commands):
        kind = command.command_type
        is_known = kind in step.commands or kind in _NOT_YET
        if not is_known and kind != CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE:
            raise invalid_argument(f"unknown command type: {_camel(CommandType, kind)}")
        if kind in _CLOSING and index < len(commands) - 1:
            names = ", ".join(_camel(CommandType, each.command_type) for each in commands)
            raise invalid_argument(
                f"invalid command sequence: [{names}],"
                f" command {_camel(CommandType, kind)} must be the last command."
            )


def _check_binary(request: CompleteWorkflowTask) -> None:
    if request.is_bad_binary:
        checksum = request.event.workflow_task_completed_event_attributes.binary_checksum
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_BINARY,
            f"binary {checksum} is marked as bad deployment",
        )


def _carry_out(
    step: HistoryStep, request: CompleteWorkflowTask, inbox: Inbox
) -> list[ActivityTask]:
    event = HistoryEvent()
    event.CopyFrom(request.event)
    attributes = event.workflow_task_completed_event_attributes
    task, started_event_id = record_started(step, *_who(request))
    attributes.scheduled_event_id = task.scheduled_event_id
    attributes.started_event_id = started_event_id
    completed_event_id = step.record(event).event_id
    reported_problems.forget(step)
    state = step.state
    if (request.sticky_queue, request.sticky_schedule_to_start_ns) != (
        state.sticky_queue,
        state.sticky_schedule_to_start_ns if state.sticky_queue else 0,
    ):
        step.record_internal(StickySet(request.sticky_queue, request.sticky_schedule_to_start_ns))
    eager: list[int] = []
    for command in request.commands:
        if command.command_type == CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE:
            _take_message(step, command, inbox)
            continue
        handler = step.commands.get(command.command_type)
        if handler is None:
            raise BadCommand(
                WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FEATURE_DISABLED,
                f"{_NOT_YET[command.command_type]} are not implemented",
            )
        first_new_id = step.state.next_event_id
        handler(step, command, completed_event_id)
        _label(step, command, first_new_id)
        if activity_commands.is_eager(step, command.schedule_activity_task_command_attributes):
            eager.append(first_new_id)
    inbox.take_rest(step)
    return _eager_tasks(step, eager, request)


def _eager_tasks(
    step: HistoryStep, event_ids: list[int], request: CompleteWorkflowTask
) -> list[ActivityTask]:
    """Start activities for the worker that completed the workflow task, as far as its answer has room for them."""
    tasks: list[ActivityTask] = []
    size = 0
    for event_id in event_ids:
        activity = step.state.activities.get(event_id)
        if activity is None or step.state.is_paused:
            continue
        size += len(activity.attributes)
        if tasks and size > EAGER_BYTES_MAX:
            offer(step, activity)
            continue
        task = attempts.start(step, _eager_start(step, event_id, request))
        # Temporal: the worker is told of an eager activity's own priority only, not of its run's.
        tasks.append(replace(task, run_priority=None))
    return tasks


def _label(step: HistoryStep, command: Command, event_id: int) -> None:
    """Keep what the worker says about its command with the event that the command became, if there is one."""
    if not command.event_group_markers and not command.HasField("user_metadata"):
        return
    event = step.own_event(event_id)
    if event is None:
        return
    if command.HasField("user_metadata"):
        event.user_metadata.CopyFrom(command.user_metadata)
    event.event_group_markers.extend(command.event_group_markers)


def _take_message(step: HistoryStep, command: Command, inbox: Inbox) -> None:
    if not command.HasField("protocol_message_command_attributes"):
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE,
            "ProtocolMessageCommandAttributes is not set on ProtocolMessageCommand.",
        )
    inbox.take(step, command.protocol_message_command_attributes.message_id)


def _eager_start(step: HistoryStep, event_id: int, request: CompleteWorkflowTask) -> StartActivity:
    attributes = request.event.workflow_task_completed_event_attributes
    request_id = eager_request_id(request.completion_id or step.environment.fresh_id(), event_id)
    return StartActivity(event_id, 1, attributes.identity, request_id)


def _next_task(
    step: HistoryStep, request: CompleteWorkflowTask, original_scheduled_at_ns: int
) -> TaskStarted | None:
    only_updates = not request.force_new_task and not step.state.buffered
    dispatch = not request.return_new_task_nonce
    if only_updates and not dispatch:
        schedule_speculative(step, dispatch=False)
    else:
        schedule(step, original_scheduled_at_ns=original_scheduled_at_ns, dispatch=dispatch)
    if dispatch:
        return None
    task = step.run.pending_task
    assert task is not None
    identity, version = _who(request)
    return start_task(
        step,
        StartWorkflowTask(
            scheduled_event_id=task.scheduled_event_id,
            attempt=task.attempt,
            identity=identity,
            request_id="request-from-RespondWorkflowTaskCompleted",
            nonce=request.return_new_task_nonce,
            build_id=request.build_id,
            version_stamp=(
                None if version is None or version.use_versioning else version.SerializeToString()
            ),
        ),
        # Temporal: a heartbeat brings only what is new.
        has_updates=request.force_new_task,
    )


def _refuse(
    step: HistoryStep, request: CompleteWorkflowTask, error: BadCommand, identity: str
) -> Rejected:
    unhandled = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
    name = _camel(WorkflowTaskFailedCause, error.cause)
    message = name if error.cause == unhandled else f"{name}: {error.message}"
    refusal = invalid_argument(message)
    task = step.state.workflow_task
    assert task is not None
    updates.task_failed(step)
    if task.attempt > 1 and error.cause != unhandled:
        # Temporal: a task that keeps failing is left to time out, so that it is not tried in a tight loop.
        return refusal
    failure = Failure(message=message)
    failure.server_failure_info.SetInParent()
    attributes = request.event.workflow_task_completed_event_attributes
    record_failed(
        step,
        error.cause,
        failure,
        identity=attributes.identity,
        binary_checksum=attributes.binary_checksum,
    )
    if error.is_final:
        execution.record_terminated(step, message, None, HISTORY_SERVICE)
        return refusal
    if step.state.is_paused:
        step.flush()
        return refusal
    schedule(step)
    step.in_flight.close_attempted = error.cause == unhandled
    return refusal


def _give_up_heartbeats(step: HistoryStep) -> Rejected:
    record_timed_out(step, TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE)
    release(step)
    schedule(step)
    return Rejected(Code.NOT_FOUND, "workflow task heartbeat timeout")


def _camel(enum: object, value: int) -> str:
    """Temporal: error texts name an enum's value in camel case, without the enum's own name."""
    if enum is CommandType:
        if value not in CommandType.values():
            return str(value)
        name = CommandType.Name(CommandType.ValueType(value)).removeprefix("COMMAND_TYPE_")
    else:
        name = WorkflowTaskFailedCause.Name(WorkflowTaskFailedCause.ValueType(value)).removeprefix(
            "WORKFLOW_TASK_FAILED_CAUSE_"
        )
    return "".join(word.capitalize() for word in name.split("_"))


# How records change the state


def completed(state: RunState, event: HistoryEvent) -> None:
    attributes = event.workflow_task_completed_event_attributes
    is_first = not state.previous_started_event_id
    state.previous_started_event_id = attributes.started_event_id
    state.workflow_task = None
    state.workflow_task_attempt = 1
    state.failed_task_count = 0
    state.worker_deployment_name = attributes.worker_deployment_name
    _note_version(state, attributes, is_first=is_first)
    build_id, checksum = attributes.worker_version.build_id, attributes.binary_checksum
    if checksum and checksum not in state.binary_checksums:
        state.binary_checksums.append(checksum)
    known = {(point.build_id, point.binary_checksum) for point in state.reset_points}
    if (build_id, checksum) not in known:
        state.reset_points.append(
            ResetPoint(
                build_id=build_id,
                binary_checksum=checksum,
                run_id=state.run_id,
                first_workflow_task_completed_id=event.event_id,
                created_at_ns=timestamp_ns(event.event_time),
            )
        )
        del state.reset_points[:-_RESET_POINTS_MAX]


def _note_version(
    state: RunState, attributes: WorkflowTaskCompletedEventAttributes, *, is_first: bool
) -> None:
    says = attributes.HasField("worker_version")
    build_id = attributes.worker_version.build_id
    state.last_worker_version = attributes.worker_version.SerializeToString() if says else None
    if "" in state.build_ids:
        state.build_ids.remove("")
    # Temporal: a version without a build counts as a build until the second task is completed.
    if build_id not in state.build_ids and (build_id or (says and is_first)):
        state.build_ids.append(build_id)


# What must hold


def check(run: Run) -> None:
    assert run.state.previous_started_event_id < run.state.next_event_id


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "workflow task completion",
    check=check,
    requests={CompleteWorkflowTask: complete},
    appliers={EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: completed},
)

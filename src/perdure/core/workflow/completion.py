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
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.protocol.v1 import Message

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.workflow import (
    completion_pages,
    queries,
    update_messages,
)
from perdure.core.workflow.activities import commands as activity_commands
from perdure.core.workflow.activities.attempts import ActivityTask
from perdure.core.workflow.activities.eager import start_all
from perdure.core.workflow.command_order import NOT_YET, camel, check_order
from perdure.core.workflow.completion_pages import Page, PageKept
from perdure.core.workflow.events import HISTORY_SERVICE
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.lifecycle import close
from perdure.core.workflow.records import StickySet
from perdure.core.workflow.state import Run, RunState
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
from perdure.core.workflow.update_messages import Inbox
from perdure.core.workflow.worker_builds import note_reset_point, note_version

# What can be asked


@dataclass(frozen=True, slots=True)
class TaskCompleted:
    """Reply: the next workflow task and eager activities, for the worker that completed this one."""

    new_task: TaskStarted | None = None
    activity_tasks: list[ActivityTask] = field(default_factory=list)
    #: The task left no trace: the worker must forget all events after this one. Otherwise 0.
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
    #: The worker's messages about updates.
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
    check_order(step, request.commands, request.messages)
    if _leaves_no_trace(step, request):
        return _discard(step, request, started.identity)
    if step.in_flight.speculative is not None:
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
    update_messages.conclude(step, inbox.news, is_heartbeat=request.force_new_task)
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
    return update_messages.only_rejects(request.messages)


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
    update_messages.conclude(step, inbox.news, is_heartbeat=False)
    new_task = None
    if step.in_flight.updates:
        new_task = _next_task(step, request, 0)
    elif step.state.waits_for_first_task and step.state.execution_time_ns <= step.now_ns:
        ensure_scheduled(step, despite_delay=True)  # It became due meanwhile.
    else:
        queries.release_unanswered(step)
    return TaskCompleted(new_task, reset_to_event_id=step.state.previous_started_event_id)


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
            inbox.take(step, command)
            continue
        handler = step.commands.get(command.command_type)
        if handler is None:
            raise BadCommand(
                WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FEATURE_DISABLED,
                f"{NOT_YET[command.command_type]} are not implemented",
            )
        first_new_id = step.state.next_event_id
        handler(step, command, completed_event_id)
        _label(step, command, first_new_id)
        if activity_commands.is_eager(step, command.schedule_activity_task_command_attributes):
            eager.append(first_new_id)
    inbox.take_rest(step)
    return start_all(step, eager, attributes.identity, request.completion_id)


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
                None
                if version is None or version.use_versioning
                else version.SerializeToString(deterministic=True)
            ),
        ),
        # Temporal: a heartbeat brings only what is new.
        has_updates=request.force_new_task,
    )


def _refuse(
    step: HistoryStep, request: CompleteWorkflowTask, error: BadCommand, identity: str
) -> Rejected:
    unhandled = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
    name = camel(WorkflowTaskFailedCause, error.cause)
    message = name if error.cause == unhandled else f"{name}: {error.message}"
    refusal = invalid_argument(message)
    task = step.state.workflow_task
    assert task is not None
    update_messages.task_failed(step)
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
        close.record_terminated(step, message, None, HISTORY_SERVICE)
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


# How records change the state


def completed(state: RunState, event: HistoryEvent) -> None:
    attributes = event.workflow_task_completed_event_attributes
    is_first = not state.previous_started_event_id
    state.previous_started_event_id = attributes.started_event_id
    state.workflow_task = None
    state.workflow_task_attempt = 1
    state.failed_task_count = 0
    state.worker_deployment_name = attributes.worker_deployment_name
    note_version(state, attributes, is_first=is_first)
    note_reset_point(state, event)


# What must hold


def check(run: Run) -> None:
    assert run.state.previous_started_event_id < run.state.next_event_id


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "workflow task completion",
    check=check,
    requests={CompleteWorkflowTask: complete},
    appliers={EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: completed},
)

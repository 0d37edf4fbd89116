"""A worker is given the workflow task, with the history, queries and updates that go with it.

**Invariant:** this changes memory only. The started event is recorded with what ends the task; until then descriptions
and history show it from memory, and after a crash the task is started again: its token tells the two apart.
"""

from dataclasses import dataclass
from math import ceil

from temporalio.api.enums.v1 import EventType, SuggestContinueAsNewReason
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import Request as UpdateRequest

from perdure.core.errors import no_workflow_task
from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.times import set_timestamp
from perdure.core.workflow.events import new_event
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.started_task import StartedTask
from perdure.core.workflow.state import Run
from perdure.core.workflow.tasks.schedule import TaskRef, record_scheduled, transient_event
from perdure.core.workflow.tasks.timers import name_queue, timeout_timer

#: The most that updates bring to a task, besides a single larger one: the answer also holds history, and clients of
#: gRPC take 4 MiB by default.
MESSAGES_BYTES_MAX = 1024 * 1024

# What can be asked


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """Reply: all that the worker needs."""

    ref: TaskRef
    workflow_type: str
    task_queue: str
    #: The worker has everything up to `previous_started_event_id` in its cache (the task came from its own queue).
    is_sticky: bool
    previous_started_event_id: int
    started_event_id: int
    scheduled_at_ns: int
    started_at_ns: int
    #: History goes up to here, exclusive; then `events` follow.
    recorded_until: int
    #: Events that are not recorded yet: the started event, and the scheduled one of a transient task.
    events: tuple[HistoryEvent, ...]
    #: Query id → serialized `WorkflowQuery`.
    queries: dict[str, bytes]
    #: Updates for the workflow.
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class StartWorkflowTask(Request[TaskStarted]):
    """A poller is to get the task."""

    scheduled_event_id: int
    attempt: int
    identity: str
    #: Id of this poll; ends up in the started event.
    request_id: str
    nonce: int
    #: That was polled. A worker that polls its own sticky queue has the run in its cache.
    queue: str = ""
    build_id: str = ""
    #: The serialized `WorkerVersionStamp` for the started event.
    version_stamp: bytes | None = None


def start(step: HistoryStep, request: StartWorkflowTask) -> TaskStarted:
    task = step.run.pending_task
    if (
        task is None
        or step.in_flight.started is not None
        or step.state.is_paused
        or task.scheduled_event_id != request.scheduled_event_id
        or task.attempt != request.attempt
    ):
        raise no_workflow_task()
    for update in step.in_flight.updates.values():
        update.is_sent = (
            False  # To another worker, bit by bit: all of it may be too large for one task.
        )
    return start_task(step, request)


# What other concepts use


def start_task(
    step: HistoryStep, request: StartWorkflowTask, *, has_updates: bool = False
) -> TaskStarted:
    """Give the scheduled task to a worker. It `has_updates` if it still has those that were sent to it before.

    Changes memory only, unless events came since a transient task was scheduled.
    """
    step.flush()  # Only after a crash, when a worker held the task and its events were still buffered.
    state = step.state
    task = step.run.pending_task
    assert task is not None
    if not task.is_recorded and task.scheduled_event_id != state.next_event_id:
        # Temporal: new events turn a transient task into a normal one, which keeps the time that it was given.
        record_scheduled(step, task.start_to_close_ns, task.original_scheduled_at_ns)
        task = state.workflow_task
        assert task is not None
    events: list[HistoryEvent] = []
    leaves_sticky = bool(request.queue and state.sticky_queue not in ("", request.queue))
    if step.in_flight.speculative is not None:
        if leaves_sticky:
            # Temporal: the queue that it is taken from, although it was scheduled on the sticky one.
            name_queue(step.in_flight.speculative.event, state.task_queue)
        events.append(step.in_flight.speculative.event)
    elif not task.is_recorded:
        events.append(transient_event(state, task))
    started = new_event(EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED)
    started.event_id = state.next_event_id + len(events)
    if not events:
        started.task_id = state.last_task_id + 1  # As it is recorded next.
    set_timestamp(started.event_time, step.now_ns)
    attributes = started.workflow_task_started_event_attributes
    attributes.scheduled_event_id = task.scheduled_event_id
    attributes.identity = request.identity
    attributes.request_id = request.request_id
    attributes.history_size_bytes = state.history_size_bytes
    if request.version_stamp is not None and not events:  # See `record_started`.
        attributes.worker_version.MergeFromString(request.version_stamp)
    _suggest_continue_as_new(step, started)
    events.append(started)
    in_flight = step.in_flight
    in_flight.started = StartedTask(
        events=tuple(events),
        started_event_id=started.event_id,
        started_at_ns=step.now_ns,
        nonce=request.nonce,
        identity=request.identity,
        request_id=request.request_id,
        queries=frozenset(in_flight.queries),
        leaves_sticky=leaves_sticky,
    )
    step.set_timer(timeout_timer(task, step.now_ns))
    task_started = held_task(step.run, request.queue, has_updates=has_updates)
    assert task_started is not None
    return task_started


def _suggest_continue_as_new(step: HistoryStep, started: HistoryEvent) -> None:
    """Have the started event advise the workflow to go on as a new run, if this one has become large."""
    state, attributes = step.state, started.workflow_task_started_event_attributes
    limits = step.environment.limits
    if state.history_size_bytes >= limits.suggest_continue_as_new_size:
        attributes.suggest_continue_as_new = True
        attributes.suggest_continue_as_new_reasons.append(
            SuggestContinueAsNewReason.SUGGEST_CONTINUE_AS_NEW_REASON_HISTORY_SIZE_TOO_LARGE
        )
    if started.event_id >= limits.suggest_continue_as_new_count:
        attributes.suggest_continue_as_new = True
        attributes.suggest_continue_as_new_reasons.append(
            SuggestContinueAsNewReason.SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_HISTORY_EVENTS
        )
    update_count = len(step.in_flight.updates) + len(state.updates)
    enough_updates = ceil(limits.max_total_updates * limits.suggest_continue_as_new_updates)
    if 0 < enough_updates <= update_count:
        attributes.suggest_continue_as_new = True
        attributes.suggest_continue_as_new_reasons.append(
            SuggestContinueAsNewReason.SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_UPDATES
        )


def held_task(run: Run, queue: str = "", *, has_updates: bool = False) -> TaskStarted | None:
    """Return what the worker that holds the task was sent, or None if nobody holds one. `queue`: that it polled."""
    task, started, state = run.pending_task, run.in_flight.started, run.state
    if task is None or started is None:
        return None
    return TaskStarted(
        ref=TaskRef(task.scheduled_event_id, task.attempt, started.nonce),
        workflow_type=state.workflow_type,
        task_queue=state.task_queue,
        is_sticky=(
            bool(task.sticky_queue)
            and task.sticky_queue == queue
            and state.previous_started_event_id > 0
        ),
        previous_started_event_id=state.previous_started_event_id,
        started_event_id=started.started_event_id,
        scheduled_at_ns=task.scheduled_at_ns,
        started_at_ns=started.started_at_ns,
        recorded_until=started.events[0].event_id,
        events=started.events,
        queries={
            query_id: query
            for query_id, query in run.in_flight.queries.items()
            if query_id in started.queries
        },
        messages=_messages(run, started.started_event_id, only_new=has_updates),
    )


def message_id(update_id: str) -> str:
    """Temporal: the id of the message that brings an update to the worker."""
    return f"{update_id}/request"


def _messages(run: Run, started_event_id: int, *, only_new: bool) -> tuple[Message, ...]:
    """Return every update that the worker has not dealt with, also those of an earlier attempt unless `only_new`.

    Updates that would make the task too large for a client wait for the next one.
    """
    messages: list[Message] = []
    size = 0
    for update_id, update in run.in_flight.updates.items():
        if only_new and update.is_sent:
            continue
        size += len(update.request)
        if messages and size > MESSAGES_BYTES_MAX and not update.is_sent:
            break
        update.is_sent = True
        message = Message(
            id=message_id(update_id),
            protocol_instance_id=update_id,
            event_id=started_event_id - 1,
        )
        message.body.Pack(UpdateRequest.FromString(update.request))
        messages.append(message)
    return tuple(messages)


def unrecorded(run: Run) -> tuple[HistoryEvent, ...]:
    """Return the events of the pending task that history shows but that are not recorded (yet)."""
    task, started = run.state.workflow_task, run.in_flight.started
    if held_back := held_back_of(run):
        return held_back
    if started is not None:
        # Temporal: of a task that failed before, clients are not shown who has it now.
        shown = HistoryEvent()
        shown.CopyFrom(started.events[-1])
        shown.workflow_task_started_event_attributes.ClearField("identity")
        return (*started.events[:-1], shown)
    if run.in_flight.speculative is not None:
        return (run.in_flight.speculative.event,)
    if task is None or task.is_recorded or task.scheduled_event_id != run.state.next_event_id:
        return ()
    return (transient_event(run.state, task),)


def held_back_of(run: Run) -> tuple[HistoryEvent, ...]:
    """Return the started event that is recorded when its task ends, if the task itself is recorded."""
    started = run.in_flight.started
    return started.events if started is not None and len(started.events) == 1 else ()


# What must hold


def check(run: Run) -> None:
    started = run.in_flight.started
    if started is not None:
        assert run.pending_task is not None
        assert started.events[0].event_id == run.state.next_event_id


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "workflow task start",
    check=check,
    requests={StartWorkflowTask: start},
)

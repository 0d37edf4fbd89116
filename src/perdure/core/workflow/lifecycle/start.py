"""A run starts: it gets its ids, its options and its first workflow task."""

from collections.abc import Iterable

from temporalio.api.enums.v1 import (
    EventType,
    WorkflowExecutionStatus,
)
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.concept import Concept
from perdure.core.search_attributes import drop_nothing, with_types
from perdure.core.times import duration_ns, timestamp_ns
from perdure.core.workflow.callbacks import attached
from perdure.core.workflow.events import new_event
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.lifecycle.close import end_timers
from perdure.core.workflow.lifecycle.start_policy import Start
from perdure.core.workflow.records import Identified, RequestAttached
from perdure.core.workflow.signals import record_signal
from perdure.core.workflow.state import Parent, RequestIdInfo, ResetPoint, Run, RunState
from perdure.core.workflow.tasks.schedule import schedule
from perdure.core.workflow.tasks.start import StartWorkflowTask, start_task
from perdure.core.workflow.tasks.timers import first_task_timer
from perdure.core.workflow.validation import retry_policy

_RUN_BYTES = 300
_ENTRY_BYTES = 20

# What can be asked


def start(step: HistoryStep, request: Start) -> None:
    assert not step.state.exists
    step.begin_task_ids_after(request.after_task_id)
    step.record_internal(
        Identified(request.namespace_id, request.namespace, request.workflow_id, request.run_id)
    )
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED)
    event.workflow_execution_started_event_attributes.CopyFrom(request.attributes)
    if request.user_metadata is not None:
        event.user_metadata.CopyFrom(request.user_metadata)
    event.links.extend(request.links)
    drop_nothing(event.workflow_execution_started_event_attributes)
    with_types(
        event.workflow_execution_started_event_attributes.search_attributes.indexed_fields,
        step.environment.search_attribute_types(request.namespace_id),
    )
    step.record(event)
    if request.request_id:
        # Temporal: a start that comes with a signal goes by the signal's event.
        event_id = event.event_id if request.signal is None else event.event_id + 1
        info = RequestIdInfo(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, event_id)
        step.record_internal(RequestAttached(request.request_id, info))
    if request.signal is not None:
        record_signal(step, request.signal)
    state = step.state
    if state.execution_time_ns > state.start_time_ns:
        step.set_timer(first_task_timer(state))
    else:
        _schedule_first(step, request)
    for timer in end_timers(state):
        step.set_timer(timer)


def _schedule_first(step: HistoryStep, request: Start) -> None:
    if not request.attributes.eager_execution_accepted:
        schedule(step)
        return
    schedule(step, dispatch=False)
    task = step.run.pending_task
    assert task is not None
    start_task(
        step,
        StartWorkflowTask(
            scheduled_event_id=task.scheduled_event_id,
            attempt=task.attempt,
            identity=request.attributes.identity,
            request_id=request.request_id,
            nonce=request.eager_nonce,
        ),
    )


# What other concepts use


def ids_size(ids: Iterable[str]) -> int:
    return sum(_ENTRY_BYTES + len(each) for each in ids)


# How records change the state


def identified(state: RunState, record: Identified) -> None:
    state.namespace_id = record.namespace_id
    state.namespace = record.namespace
    state.workflow_id = record.workflow_id
    state.run_id = record.run_id


def started(state: RunState, event: HistoryEvent) -> None:
    attributes = event.workflow_execution_started_event_attributes
    state.status = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
    state.started_attributes = attributes.SerializeToString(deterministic=True)
    if event.HasField("user_metadata"):
        state.user_metadata = event.user_metadata.SerializeToString(deterministic=True)
    state.workflow_type = attributes.workflow_type.name
    state.task_queue = attributes.task_queue.name
    state.first_run_id = attributes.first_execution_run_id
    state.start_time_ns = timestamp_ns(event.event_time)
    state.execution_time_ns = state.start_time_ns + duration_ns(
        attributes.first_workflow_task_backoff
    )
    state.workflow_task_timeout_ns = duration_ns(attributes.workflow_task_timeout)
    state.execution_timeout_ns = duration_ns(attributes.workflow_execution_timeout)
    state.run_timeout_ns = duration_ns(attributes.workflow_run_timeout)
    state.execution_expiration_ns = timestamp_ns(attributes.workflow_execution_expiration_time)
    if state.run_timeout_ns:
        # Temporal: the run's time begins when its first task is due, and ends with the chain's at the latest.
        state.run_expiration_ns = state.execution_time_ns + state.run_timeout_ns
        if state.execution_expiration_ns:
            state.run_expiration_ns = min(state.run_expiration_ns, state.execution_expiration_ns)
    if attributes.HasField("parent_workflow_execution"):
        parent = attributes.parent_workflow_execution
        theirs = attributes.parent_workflow_namespace_id
        state.parent = Parent(
            parent.workflow_id,
            parent.run_id,
            attributes.parent_initiated_event_id,
            theirs if theirs != state.namespace_id else "",
        )
    root = attributes.root_workflow_execution
    state.root_workflow_id = root.workflow_id or state.workflow_id
    state.root_run_id = root.run_id or state.run_id
    state.attempt = attributes.attempt
    if attributes.HasField("retry_policy"):
        state.retry_policy = retry_policy(attributes.retry_policy)
    state.cron_schedule = attributes.cron_schedule
    state.has_priority = attributes.HasField("priority")
    state.priority = attributes.priority.SerializeToString(deterministic=True)
    if attributes.HasField("versioning_override"):
        state.versioning_override = attributes.versioning_override.SerializeToString(
            deterministic=True
        )
    if attributes.completion_callbacks:
        state.callbacks = attached(attributes.completion_callbacks, "", state.start_time_ns)
    state.start_links = [link.SerializeToString(deterministic=True) for link in event.links]
    for key, payload in attributes.memo.fields.items():
        state.memo[key] = payload.SerializeToString(deterministic=True)
    for key, payload in attributes.search_attributes.indexed_fields.items():
        state.search_attributes[key] = payload.SerializeToString(deterministic=True)
        state.search_attributes_set_at_ns[key] = state.start_time_ns
    for point in attributes.prev_auto_reset_points.points:
        state.reset_points.append(
            ResetPoint(
                build_id=point.build_id,
                binary_checksum=point.binary_checksum,
                run_id=point.run_id,
                first_workflow_task_completed_id=point.first_workflow_task_completed_id,
                created_at_ns=timestamp_ns(point.create_time),
                resettable=point.resettable,
                expires_at_ns=timestamp_ns(point.expire_time),
            )
        )


def request_attached(state: RunState, record: RequestAttached) -> None:
    state.request_ids[record.request_id] = record.info


# What must hold


def size(run: Run) -> int:
    """Also ids, times and numbers that each run has."""
    state = run.state
    return (
        _RUN_BYTES
        + len(state.workflow_id)
        + len(state.workflow_type)
        + 2 * len(state.task_queue)
        + len(state.user_metadata)
        + len(state.priority)
        + ids_size(state.request_ids)
    )


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "start",
    requests={Start: start},
    appliers={
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: started,
        Identified: identified,
        RequestAttached: request_attached,
    },
    size=size,
)

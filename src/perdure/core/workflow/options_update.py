"""The options of an open run change: an operator sets its priority or which workers it
goes to, or another start is attached to it."""

from dataclasses import dataclass

from temporalio.api.common.v1 import Callback, Link, Priority
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions

from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.times import timestamp_ns
from perdure.core.workflow.callbacks import attached, check_count
from perdure.core.workflow.events import new_event
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.state import RequestIdInfo, Run, RunState
from perdure.core.workflow.versioning import check_override, recorded

# What can be asked


@dataclass(frozen=True, slots=True)
class UpdateOptions(Request[WorkflowExecutionOptions]):
    """Reply: the `WorkflowExecutionOptions` as they are then. `fields`: paths of `options` in camel case."""

    options: WorkflowExecutionOptions
    fields: frozenset[str]
    identity: str


@dataclass(frozen=True, slots=True)
class AttachRequest(Request[None]):
    """A start request was answered with this run (conflict policy "use existing")."""

    #: Empty if it is not to be known again.
    request_id: str
    callbacks: tuple[Callback, ...] = ()
    links: tuple[Link, ...] = ()


def update(step: HistoryStep, request: UpdateOptions) -> WorkflowExecutionOptions:
    state, wanted = step.state, request.options.priority
    step.check_open()
    priority = Priority.FromString(state.priority) if state.has_priority else None
    if "priority" in request.fields:
        priority = wanted if request.options.HasField("priority") else None
    for path, name in _PARTS.items():
        if path in request.fields:
            merged = Priority()
            merged.CopyFrom(priority or Priority())
            setattr(merged, name, getattr(wanted, name))
            priority = merged
    before = Priority.FromString(state.priority) if state.has_priority else None
    override_before = _override(state)
    override = override_before
    is_set = request.options.HasField("versioning_override")
    if is_set:  # Temporal: this is looked at, also if it is not to be changed.
        check_override(request.options.versioning_override, state.task_queue)
    if "versioningOverride" in request.fields:
        override = request.options.versioning_override if is_set else None
    if priority != before or override != override_before:
        event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED)
        event.worker_may_ignore = True
        attributes = event.workflow_execution_options_updated_event_attributes
        attributes.identity = request.identity
        if override is not None:
            attributes.versioning_override.CopyFrom(recorded(override))
        else:
            # Temporal: what is not overridden is said to be no longer overridden.
            attributes.unset_versioning_override = True
        if priority is not None:
            attributes.priority.CopyFrom(priority)
        step.record_or_buffer(event)
    options = WorkflowExecutionOptions(versioning_override=override)
    if priority is not None:
        options.priority.CopyFrom(priority)
    return options


def _override(state: RunState) -> VersioningOverride | None:
    stored = state.versioning_override
    return VersioningOverride.FromString(stored) if stored else None


def attach_request(step: HistoryStep, request: AttachRequest) -> None:
    if request.request_id and request.request_id in step.state.request_ids:
        return
    check_count(step.state, len(request.callbacks), step.environment.limits)
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED)
    attributes = event.workflow_execution_options_updated_event_attributes
    # Temporal: there is an event even if nothing is attached.
    attributes.attached_request_id = request.request_id
    attributes.attached_completion_callbacks.extend(request.callbacks)
    event.worker_may_ignore = True
    event.links.extend(request.links)
    step.record_or_buffer(event)


#: Paths of a field mask → fields of `Priority`.
_PARTS = {
    "priority.priorityKey": "priority_key",
    "priority.fairnessKey": "fairness_key",
    "priority.fairnessWeight": "fairness_weight",
}

# How records change the state


def updated(state: RunState, event: HistoryEvent) -> None:
    attributes = event.workflow_execution_options_updated_event_attributes
    request_id = attributes.attached_request_id
    if request_id:
        state.request_ids[request_id] = RequestIdInfo(event.event_type, event.event_id)
    if attributes.attached_completion_callbacks:
        at_ns = timestamp_ns(event.event_time)
        state.callbacks += attached(attributes.attached_completion_callbacks, request_id, at_ns)
    for options in attributes.workflow_update_options:
        state.request_ids[options.attached_request_id] = RequestIdInfo(
            event.event_type, event.event_id
        )
        state.callbacks += attached(
            options.attached_completion_callbacks,
            options.attached_request_id,
            timestamp_ns(event.event_time),
            options.update_id,
        )
    if attributes.HasField("versioning_override"):
        state.versioning_override = attributes.versioning_override.SerializeToString(
            deterministic=True
        )
    elif attributes.unset_versioning_override and state.versioning_override is not None:
        state.versioning_override = b""
    if attributes.HasField("priority"):
        # Temporal: one that is taken away stays.
        state.has_priority = True
        state.priority = attributes.priority.SerializeToString(deterministic=True)


def numbered(state: RunState, event: HistoryEvent) -> None:
    """A buffered update has got its id."""
    attributes = event.workflow_execution_options_updated_event_attributes
    ids = [each.attached_request_id for each in attributes.workflow_update_options]
    for request_id in (attributes.attached_request_id, *ids):
        if request_id:
            state.request_ids[request_id] = RequestIdInfo(event.event_type, event.event_id)


# What must hold


def check(run: Run) -> None:
    assert run.state.has_priority or not run.state.priority


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "options update",
    check=check,
    requests={UpdateOptions: update, AttachRequest: attach_request},
    appliers={EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED: updated},
    numbered={EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED: numbered},
)

"""An operator changes how an open run is treated: its priority."""

from dataclasses import dataclass

from temporalio.api.common.v1 import Priority
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflow.v1 import WorkflowExecutionOptions

from perdure.core.errors import Code, Rejected
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Requests, Step, new_event

# What can be asked


@dataclass(frozen=True, slots=True)
class UpdateOptions:
    """Reply: the `WorkflowExecutionOptions` as they are then. `fields`: paths of `options` in camel case."""

    options: WorkflowExecutionOptions
    fields: frozenset[str]
    identity: str


def update(step: Step, request: UpdateOptions) -> WorkflowExecutionOptions:
    state, wanted = step.state, request.options.priority
    if not state.is_open:
        raise Rejected(Code.NOT_FOUND, "workflow execution already completed")
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
    if priority != before:
        event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED)
        event.worker_may_ignore = True
        attributes = event.workflow_execution_options_updated_event_attributes
        attributes.identity = request.identity
        # Temporal: what is not overridden is said to be no longer overridden.
        attributes.unset_versioning_override = True
        if priority is not None:
            attributes.priority.CopyFrom(priority)
        step.record_or_buffer(event)
    options = WorkflowExecutionOptions()
    if priority is not None:
        options.priority.CopyFrom(priority)
    return options


#: Paths of a field mask → fields of `Priority`.
_PARTS = {
    "priority.priorityKey": "priority_key",
    "priority.fairnessKey": "fairness_key",
    "priority.fairnessWeight": "fairness_weight",
}

# What must hold


def check(run: Run) -> None:
    assert run.state.has_priority or not run.state.priority


REQUESTS: Requests = {UpdateOptions: update}

"""The workflow says what lists and its description show of it: search attributes and memo."""

from collections.abc import Mapping

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import CommandType, EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.concept import Concept
from perdure.core.search_attributes import fault, is_nothing, with_types
from perdure.core.times import timestamp_ns
from perdure.core.workflow.activities.control import PAUSE_INFO
from perdure.core.workflow.events import new_event
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.validation import check_size

# What a worker can command


def upsert(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES
    name = "UpsertWorkflowSearchAttributesCommand"
    if not command.HasField("upsert_workflow_search_attributes_command_attributes"):
        raise BadCommand(cause, f"{name}Attributes is not set on {name}.")
    wanted = command.upsert_workflow_search_attributes_command_attributes
    if not wanted.HasField("search_attributes"):
        raise BadCommand(cause, f"SearchAttributes is not set on {name}.")
    if not wanted.search_attributes.indexed_fields:
        raise BadCommand(cause, f"IndexedFields is not set on {name}.")
    wrong = fault(
        wanted.search_attributes.indexed_fields,
        step.environment.search_attribute_types(step.state.namespace_id),
        step.state.namespace,
        step.environment.limits,
    )
    if wrong is not None:
        raise BadCommand(cause, wrong)
    event = new_event(EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES)
    attributes = event.upsert_workflow_search_attributes_event_attributes
    attributes.workflow_task_completed_event_id = completed_event_id
    attributes.search_attributes.CopyFrom(wanted.search_attributes)
    with_types(
        attributes.search_attributes.indexed_fields,
        step.environment.search_attribute_types(step.state.namespace_id),
    )
    step.record(event)


def modify_properties(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    cause = (
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES
    )
    name = "ModifyWorkflowPropertiesCommand"
    if not command.HasField("modify_workflow_properties_command_attributes"):
        raise BadCommand(cause, f"{name}Attributes is not set on {name}.")
    wanted = command.modify_workflow_properties_command_attributes
    if not wanted.HasField("upserted_memo"):
        raise BadCommand(cause, f"UpsertedMemo is not set on {name}.")
    if not wanted.upserted_memo.fields:
        raise BadCommand(cause, f"UpsertedMemo.Fields is not set on {name}.")
    check_size(
        step.environment.limits.memo_size,
        cause,
        wanted.upserted_memo,
        "ModifyWorkflowPropertiesCommandAttributes exceeds size limit.",
    )
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED)
    attributes = event.workflow_properties_modified_event_attributes
    attributes.workflow_task_completed_event_id = completed_event_id
    attributes.upserted_memo.CopyFrom(wanted.upserted_memo)
    step.record(event)


# How records change the state


def upserted(state: RunState, event: HistoryEvent) -> None:
    attributes = event.upsert_workflow_search_attributes_event_attributes
    fields = attributes.search_attributes.indexed_fields
    _merge(state.search_attributes, fields)
    set_at_ns = timestamp_ns(event.event_time)
    for name in fields:
        state.search_attributes_set_at_ns.pop(name, None)
        if name in state.search_attributes:
            state.search_attributes_set_at_ns[name] = set_at_ns


def properties_modified(state: RunState, event: HistoryEvent) -> None:
    _merge(state.memo, event.workflow_properties_modified_event_attributes.upserted_memo.fields)


def _merge(into: dict[str, bytes], fields: Mapping[str, Payload]) -> None:
    """Temporal: an empty payload, or one that encodes nothing, takes the key away."""
    for key, payload in fields.items():
        if is_nothing(payload):
            into.pop(key, None)
        else:
            into[key] = payload.SerializeToString(deterministic=True)


# What must hold


def check(run: Run) -> None:
    assert all(run.state.memo.values())
    assert all(run.state.search_attributes.values())


def size(run: Run) -> int:
    # The value that lists show of pauses follows from records that are smaller than it is.
    return sum(
        len(name) + len(value)
        for fields in (run.state.memo, run.state.search_attributes)
        for name, value in fields.items()
        if name != PAUSE_INFO
    )


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "search attributes",
    check=check,
    size=size,
    commands={
        CommandType.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: upsert,
        CommandType.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES: modify_properties,
    },
    appliers={
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: upserted,
        EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED: properties_modified,
    },
)

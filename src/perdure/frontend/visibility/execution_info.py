"""A row of visibility as the `WorkflowExecutionInfo` that lists show."""

from collections.abc import Mapping

from temporalio.api.common.v1 import SearchAttributes
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo

from perdure.core.times import set_duration, set_timestamp
from perdure.frontend.protobuf_wire import field
from perdure.store.port import VisibilityRow

_INFO_FIELDS = WorkflowExecutionInfo.DESCRIPTOR.fields_by_name
_MEMO_FIELD = _INFO_FIELDS["memo"].number
_ATTRIBUTES_FIELD = _INFO_FIELDS["search_attributes"].number


def execution_info(row: VisibilityRow, attribute_names: Mapping[str, str] | None = None) -> bytes:
    """Return a serialized `WorkflowExecutionInfo`. `attribute_names`: see `Namespace.stored_attribute_names`."""
    info = WorkflowExecutionInfo(
        status=WorkflowExecutionStatus.ValueType(row.status),
        task_queue=row.task_queue,
        history_length=row.history_length,
        history_size_bytes=row.history_size_bytes,
        state_transition_count=row.state_transition_count,
    )
    info.execution.workflow_id, info.execution.run_id = row.workflow_id, row.run_id
    info.type.name = row.workflow_type
    info.root_execution.workflow_id = row.root_workflow_id
    info.root_execution.run_id = row.root_run_id
    if row.parent_workflow_id:
        info.parent_execution.workflow_id = row.parent_workflow_id
        info.parent_execution.run_id = row.parent_run_id
    set_timestamp(info.start_time, row.start_time_ns)
    set_timestamp(info.execution_time, row.execution_time_ns)
    if row.close_time_ns:
        set_timestamp(info.close_time, row.close_time_ns)
        set_duration(info.execution_duration, max(0, row.close_time_ns - row.execution_time_ns))
    parts = info.SerializeToString(), field(_MEMO_FIELD, row.memo)
    attributes = _shown_attributes(row.search_attributes, attribute_names)
    return b"".join((*parts, field(_ATTRIBUTES_FIELD, attributes)))


def _shown_attributes(stored: bytes, names: Mapping[str, str] | None) -> bytes:
    if names is None:
        return stored
    found = SearchAttributes.FromString(stored).indexed_fields
    shown = {names[name]: payload for name, payload in found.items() if name in names}
    return SearchAttributes(indexed_fields=shown).SerializeToString()

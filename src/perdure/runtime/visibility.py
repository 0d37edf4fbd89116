"""What lists show of a run, made from its state."""

from perdure.core.workflow.listing import memo, search_attributes
from perdure.core.workflow.state import RunState
from perdure.store.port import VisibilityRow


def visibility_row(state: RunState) -> VisibilityRow:
    return VisibilityRow(
        namespace_id=state.namespace_id,
        run_id=state.run_id,
        workflow_id=state.workflow_id,
        workflow_type=state.workflow_type,
        task_queue=state.task_queue,
        status=state.status,
        start_time_ns=state.start_time_ns,
        execution_time_ns=state.execution_time_ns,
        close_time_ns=state.close_time_ns,
        history_length=state.next_event_id - 1 if state.close_time_ns else 0,
        history_size_bytes=state.history_size_bytes if state.close_time_ns else 0,
        state_transition_count=state.transition_count if state.close_time_ns else 0,
        memo=memo(state).SerializeToString(),
        search_attributes=search_attributes(state).SerializeToString(),
        parent_workflow_id=state.parent.workflow_id if state.parent else "",
        parent_run_id=state.parent.run_id if state.parent else "",
        root_workflow_id=state.root_workflow_id,
        root_run_id=state.root_run_id,
    )

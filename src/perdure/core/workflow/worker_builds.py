"""The builds of the workers that have completed a run's tasks, and the points to which a bad one can be reset."""

from temporalio.api.history.v1 import HistoryEvent, WorkflowTaskCompletedEventAttributes

from perdure.core.times import timestamp_ns
from perdure.core.workflow.state import ResetPoint, RunState

#: Temporal: the default of history.historyMaxAutoResetPoints. Records are applied without regard to settings.
_RESET_POINTS_MAX = 20


# How records change the state


def note_version(
    state: RunState, attributes: WorkflowTaskCompletedEventAttributes, *, is_first: bool
) -> None:
    says = attributes.HasField("worker_version")
    build_id = attributes.worker_version.build_id
    state.last_worker_version = (
        attributes.worker_version.SerializeToString(deterministic=True) if says else None
    )
    if "" in state.build_ids:
        state.build_ids.remove("")
    # Temporal: a version without a build counts as a build until the second task is completed.
    if build_id not in state.build_ids and (build_id or (says and is_first)):
        state.build_ids.append(build_id)


def note_reset_point(state: RunState, event: HistoryEvent) -> None:
    attributes = event.workflow_task_completed_event_attributes
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

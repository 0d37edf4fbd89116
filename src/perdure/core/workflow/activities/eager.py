"""Eager activities: the answer to a completed workflow task brings them to its worker, past the task queue."""

from dataclasses import replace

from perdure.core.workflow.activities import attempts
from perdure.core.workflow.activities.attempt_records import offer
from perdure.core.workflow.activities.attempts import ActivityTask, StartActivity, eager_request_id
from perdure.core.workflow.history_step import HistoryStep

#: The bytes of eager activities in the answer, besides a single larger one: clients of gRPC take 4 MiB by default.
EAGER_BYTES_MAX = 1024 * 1024


def start_all(
    step: HistoryStep, event_ids: list[int], identity: str, completion_id: str
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
        task = attempts.start(step, _start(step, event_id, identity, completion_id))
        # Temporal: the worker learns an eager activity's own priority only, not its run's.
        tasks.append(replace(task, run_priority=None))
    return tasks


def _start(step: HistoryStep, event_id: int, identity: str, completion_id: str) -> StartActivity:
    request_id = eager_request_id(completion_id or step.environment.fresh_id(), event_id)
    return StartActivity(event_id, 1, identity, request_id)

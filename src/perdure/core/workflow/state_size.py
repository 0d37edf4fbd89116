"""How large a run's state is: what the real server stores of a run besides its history, in about as many bytes.

What history holds (inputs, results, markers) does not count here, although a `RunState` has some of it at hand.
"""

from perdure.core.execution.outcome import Outcome
from perdure.core.workflow.activities.control import PAUSE_INFO
from perdure.core.workflow.state import PendingActivity, Run, RunState

#: Of ids, times and numbers that each has.
_RUN_BYTES = 300
_ACTIVITY_BYTES = 100
_CHILD_BYTES = 120
_EXTERNAL_BYTES = 70
_TIMER_BYTES = 40
_CALLBACK_BYTES = 50
_ENTRY_BYTES = 20
#: By so much may a transition make the state larger beyond twice what it records: for an id, say, that it repeats.
_SLACK_BYTES = 256


def approximate_size(state: RunState) -> int:
    size = (
        _RUN_BYTES + len(state.workflow_id) + len(state.workflow_type) + 2 * len(state.task_queue)
    )
    size += len(state.user_metadata) + len(state.priority)
    for fields in (state.memo, state.search_attributes):
        # What lists show of pauses follows from records that are smaller than it is.
        size += sum(len(name) + len(value) for name, value in fields.items() if name != PAUSE_INFO)
    size += sum(_activity_size(each) for each in state.activities.values())
    size += sum(
        _CHILD_BYTES + len(each.workflow_id) + len(each.workflow_type)
        for each in state.children.values()
    )
    size += _EXTERNAL_BYTES * len(state.externals)
    # Temporal: the id of a timer counts twice.
    size += sum(_TIMER_BYTES + 2 * len(each) for each in state.timers)
    size += sum(map(len, state.signals))
    for ids in (state.request_ids, state.updates, state.admitted_updates):
        size += sum(_ENTRY_BYTES + len(each) for each in ids)
    size += sum(
        _CALLBACK_BYTES + len(each.callback) + len(each.last_failure) + len(each.outcome)
        for each in state.callbacks
    )
    return size + sum(event.ByteSize() for event in state.buffered)


def _activity_size(activity: PendingActivity) -> int:
    return (
        _ACTIVITY_BYTES
        + len(activity.activity_id)
        + len(activity.activity_type)
        + len(activity.task_queue)
        + len(activity.heartbeat_details)
        + len(activity.last_failure)
    )


def may_exceed(run: Run, limit: int) -> bool:
    """Say whether the state may be larger than `limit`; it is measured only if it has grown enough since last time."""
    if run.state_size_max is None or run.state_size_max > limit:
        run.state_size_max = approximate_size(run.state)
    return run.state_size_max > limit


def note_growth(run: Run, outcome: Outcome) -> None:
    """Count what a transition recorded: nothing else makes the state larger."""
    if run.state_size_max is not None:
        run.state_size_max += 2 * (len(outcome.events) + len(outcome.internal)) + _SLACK_BYTES


def check(run: Run) -> None:
    assert run.state_size_max is None or approximate_size(run.state) <= run.state_size_max

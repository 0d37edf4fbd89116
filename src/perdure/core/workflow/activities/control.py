"""Operators take a hand in activities: pause them, let them go on, begin their attempts anew.

History shows nothing of it. `stamp` grows whenever what waits for a worker is not to be started any more as it is.
"""

import json
from dataclasses import dataclass

from temporalio.api.common.v1 import Payload

from perdure.core.errors import Code, Rejected
from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.workflow.activities.attempt_records import (
    begin_after_reset,
    forget_details,
    offer,
    rely_on_timeouts,
    retry_timer,
)
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.known_requests import is_known, remember
from perdure.core.workflow.pending import PendingActivity
from perdure.core.workflow.records import (
    ActivityChanged,
    ActivityPaused,
    ActivityRescheduled,
    ActivityReset,
    ActivityUnpaused,
)
from perdure.core.workflow.state import Run, RunState

PAUSE_INFO = "TemporalPauseInfo"
_NOT_FOUND = (
    "Can't find pending activity with such ID. Invalid activityID or activity already completed"
)
#: Multiples of this, modulo 1, lie evenly: activities that go on together do so at different times.
_GOLDEN_RATIO = 0.618033988749895

# What can be asked


@dataclass(frozen=True, slots=True)
class Selected:
    """Which activities: the one of an id, those of a type, or (both None) all. No activity has an empty id or type."""

    activity_id: str | None = None
    activity_type: str | None = None


@dataclass(frozen=True, slots=True)
class PauseActivities(Request[None]):
    which: Selected
    identity: str
    reason: str
    request_id: str


@dataclass(frozen=True, slots=True)
class UnpauseActivities(Request[None]):
    which: Selected
    reset_attempts: bool
    reset_heartbeat: bool
    jitter_ns: int
    #: Drawn at random, 0 <= chance < 1.
    chance: float
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class ResetActivities(Request[None]):
    which: Selected
    reset_heartbeat: bool
    keep_paused: bool
    restore_options: bool
    jitter_ns: int
    chance: float
    request_id: str = ""


def pause(step: HistoryStep, request: PauseActivities) -> None:
    going: list[PendingActivity] = []
    for activity in _selected(step, request.which):
        if is_known(activity.known_requests, "pause", request.request_id):
            continue
        if not activity.paused_at_ns:
            going.append(activity)
        elif activity.pause_request_id != request.request_id:  # Temporal: none is as good as any.
            raise Rejected(Code.FAILED_PRECONDITION, "activity is already paused")
    for activity in going:
        step.record_internal(
            ActivityPaused(
                activity.scheduled_event_id,
                step.now_ns,
                request.identity,
                request.reason,
                request.request_id,
            )
        )
    # Temporal: also if nothing changes.
    step.make_normal()


def unpause(step: HistoryStep, request: UnpauseActivities) -> None:
    for activity in _selected(step, request.which):
        if not activity.paused_at_ns:
            continue
        if is_known(activity.known_requests, "unpause", request.request_id):
            continue
        step.record_internal(ActivityUnpaused(activity.scheduled_event_id, request.request_id))
        at_ns = _soon(step, activity, request.jitter_ns, request.chance)
        attempt = 1 if request.reset_attempts else activity.attempt
        _reschedule(step, activity, attempt, at_ns, forget_details=request.reset_heartbeat)
        if activity.started_at_ns:
            # Only now: a timer is known by its attempt.
            rely_on_timeouts(step, activity)
    # Temporal: also if nothing changes.
    step.make_normal()


def reset(step: HistoryStep, request: ResetActivities) -> None:
    for activity in _selected(step, request.which):
        scheduled_event_id = activity.scheduled_event_id
        if is_known(activity.known_requests, "reset", request.request_id):
            continue
        if request.restore_options and activity.original_attributes:
            step.record_internal(ActivityChanged(scheduled_event_id, activity.original_attributes))
        if activity.paused_at_ns and not request.keep_paused:
            step.record_internal(ActivityUnpaused(scheduled_event_id))
        step.record_internal(
            ActivityReset(scheduled_event_id, request.reset_heartbeat, request.request_id)
        )
        if activity.started_at_ns:
            rely_on_timeouts(step, activity)
        elif not activity.paused_at_ns:
            at_ns = _soon(step, activity, request.jitter_ns, request.chance)
            _reschedule(step, activity, 1, at_ns, forget_details=request.reset_heartbeat)


def _selected(step: HistoryStep, which: Selected) -> list[PendingActivity]:
    step.check_open()
    return pending(step, which)


def pending(step: HistoryStep, which: Selected) -> list[PendingActivity]:
    """Return the activities that are meant: refuse if there are none."""
    state = step.state
    if which.activity_id is not None:
        scheduled_event_id = state.activity_ids.get(which.activity_id)
        found = [state.activities[scheduled_event_id]] if scheduled_event_id else []
    else:
        found = [
            activity
            for activity in state.activities.values()
            if which.activity_type in (None, activity.activity_type)
        ]
    if not found:
        raise Rejected(Code.NOT_FOUND, _NOT_FOUND)
    return found


def _soon(step: HistoryStep, activity: PendingActivity, jitter_ns: int, chance: float) -> int:
    part = (chance + activity.scheduled_event_id * _GOLDEN_RATIO) % 1
    return step.now_ns + int(jitter_ns * part)


def _reschedule(
    step: HistoryStep,
    activity: PendingActivity,
    attempt: int,
    at_ns: int,
    *,
    forget_details: bool = False,
) -> None:
    """Have the attempt, or the next one if a worker is at it, begin like this."""
    is_waiting = not activity.started_at_ns
    step.record_internal(
        ActivityRescheduled(
            activity.scheduled_event_id,
            attempt,
            at_ns if is_waiting else activity.scheduled_at_ns,
            forget_details,
        )
    )
    if not is_waiting or activity.paused_at_ns:
        return
    rely_on_timeouts(step, activity)
    if at_ns > step.now_ns:
        step.set_timer(retry_timer(activity))
    else:
        offer(step, activity)


# How records change the state


def paused(state: RunState, record: ActivityPaused) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.paused_at_ns = record.at_ns
    activity.pause_identity = record.identity
    activity.pause_reason = record.reason
    activity.pause_request_id = record.request_id
    remember(activity.known_requests, "pause", record.request_id)
    if not activity.started_at_ns:
        activity.stamp += 1
    show_paused(state)


def unpaused(state: RunState, record: ActivityUnpaused) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.paused_at_ns = 0
    activity.pause_identity = activity.pause_reason = activity.pause_request_id = ""
    remember(activity.known_requests, "unpause", record.request_id)
    activity.stamp += 1
    _exempt(state, activity)
    show_paused(state)


def _exempt(state: RunState, activity: PendingActivity) -> None:
    """Temporal: an activity that an operator has go on does so in a paused run, too."""
    activity.is_exempt_from_pause = state.is_paused and not activity.paused_at_ns


def show_paused(state: RunState) -> None:
    """Temporal: lists can be filtered by what is paused, and by the types of paused activities."""
    values = [f"Workflow:{state.workflow_id}"] if state.is_paused else []
    if state.is_paused and state.pause_reason:
        values.append(f"Reason:{state.pause_reason}")
    kinds = {each.activity_type for each in state.activities.values() if each.paused_at_ns}
    values += [f"property:activityType={kind}" for kind in sorted(kinds)]
    if not values:
        state.search_attributes.pop(PAUSE_INFO, None)
        return
    payload = Payload(
        metadata={"encoding": b"json/plain", "type": b"KeywordList"},
        data=json.dumps(values, separators=(",", ":")).encode(),
    )
    state.search_attributes[PAUSE_INFO] = payload.SerializeToString(deterministic=True)


def rescheduled(state: RunState, record: ActivityRescheduled) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.attempt = record.attempt
    activity.scheduled_at_ns = record.scheduled_at_ns
    activity.current_retry_interval_ns = max(
        0, record.scheduled_at_ns - activity.last_attempt_complete_at_ns
    )
    activity.stamp += 1
    if not activity.started_at_ns:
        activity.last_failure = b""
        begin_after_reset(activity)
    if record.forgets_details:
        forget_details(activity)


def was_reset(state: RunState, record: ActivityReset) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.attempt = 1
    activity.was_reset = True
    remember(activity.known_requests, "reset", record.request_id)
    activity.resets_heartbeat = activity.resets_heartbeat or record.resets_heartbeat
    activity.stamp += 1
    _exempt(state, activity)


# What must hold


def check(run: Run) -> None:
    for activity in run.state.activities.values():
        assert activity.paused_at_ns or not activity.pause_request_id


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "activity control",
    check=check,
    requests={
        PauseActivities: pause,
        UnpauseActivities: unpause,
        ResetActivities: reset,
    },
    appliers={
        ActivityPaused: paused,
        ActivityUnpaused: unpaused,
        ActivityRescheduled: rescheduled,
        ActivityReset: was_reset,
    },
)

"""A worker says that its activity goes on, with details for the next attempt, and learns what has come meanwhile."""

from dataclasses import dataclass

from temporalio.api.common.v1 import Payloads

from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.workflow.activities.attempt_records import (
    note_heartbeat,
)
from perdure.core.workflow.activities.attempts import ActivityRef, find
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.records import ActivityHeartbeat
from perdure.core.workflow.state import Run, RunState

# What can be asked


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    cancel_requested: bool
    is_paused: bool = False
    was_reset: bool = False


@dataclass(frozen=True, slots=True)
class HeartbeatActivity(Request[HeartbeatReply]):
    ref: ActivityRef
    details: Payloads | None
    identity: str


def heartbeat(step: HistoryStep, request: HeartbeatActivity) -> HeartbeatReply:
    activity = find(step, request.ref)
    note_heartbeat(step, activity, request.details, request.identity)
    return HeartbeatReply(
        cancel_requested=activity.cancel_requested_event_id > 0,
        is_paused=activity.paused_at_ns > 0,
        was_reset=activity.was_reset,
    )


# How records change the state


def beaten(state: RunState, record: ActivityHeartbeat) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.last_heartbeat_at_ns = record.at_ns
    activity.heartbeat_details = record.details
    activity.has_heartbeat_details = record.has_details
    activity.last_worker_identity = record.identity or activity.last_worker_identity


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "activity heartbeats",
    requests={HeartbeatActivity: heartbeat},
    appliers={ActivityHeartbeat: beaten},
)

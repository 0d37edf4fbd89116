"""Everything that may be pending in a run: its workflow task, timers, activities, children, external requests.

Times are nanoseconds since the epoch, durations nanoseconds; 0 means "none". Payloads stay serialized.
"""

from __future__ import annotations

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    initial_interval_ns: int = 0
    backoff_coefficient: float = 0.0
    maximum_interval_ns: int = 0
    #: 0: no limit.
    maximum_attempts: int = 0
    non_retryable_error_types: tuple[str, ...] = ()


class WorkflowTask(msgspec.Struct, omit_defaults=True):
    """The workflow task that is scheduled; a worker may hold it (`InFlight.started`)."""

    #: The event, or the event to come while `attempt` > 1 (a transient task has no events until it completes).
    scheduled_event_id: int
    attempt: int
    scheduled_at_ns: int
    #: Carried over by workflow-task heartbeats, to bound them.
    original_scheduled_at_ns: int
    start_to_close_ns: int
    #: Where it was scheduled, if that was a sticky queue.
    sticky_queue: str = ""
    #: The scheduled event is in history.
    is_recorded: bool = True
    #: It waits for a worker for as long only as a speculative one: it was one.
    was_speculative: bool = False


class PendingTimer(msgspec.Struct, omit_defaults=True):
    started_event_id: int
    fire_at_ns: int


class PendingActivity(msgspec.Struct, omit_defaults=True):
    scheduled_event_id: int
    activity_id: str
    activity_type: str
    task_queue: str
    #: Serialized `ActivityTaskScheduledEventAttributes`: input, header, priority, timeouts as they were asked for.
    attributes: bytes
    retry_policy: RetryPolicy
    first_scheduled_at_ns: int
    #: The time of this attempt: it is dispatched then. Later than now while a retry backs off.
    scheduled_at_ns: int
    schedule_to_close_ns: int
    schedule_to_start_ns: int
    start_to_close_ns: int
    heartbeat_timeout_ns: int
    attempt: int = 1
    #: 0 while no worker holds it.
    started_at_ns: int = 0
    #: The id of the poll that started it. Refuses a second start of the same attempt.
    request_id: str = ""
    #: The poll's identity; that of the last poll while none has it.
    started_identity: str = ""
    #: The identity of a heartbeat or an earlier attempt: shown if the poll had none.
    last_worker_identity: str = ""
    last_heartbeat_at_ns: int = 0
    #: Serialized `Payloads`; outlives the attempt.
    heartbeat_details: bytes = b""
    has_heartbeat_details: bool = False
    #: Id of the `ActivityTaskCancelRequested` event; 0 if it was not asked for.
    cancel_requested_event_id: int = 0
    #: Serialized `Failure` of the attempt before.
    last_failure: bytes = b""
    last_attempt_complete_at_ns: int = 0
    #: Between the end of an attempt and `scheduled_at_ns`.
    current_retry_interval_ns: int = 0
    #: A start is refused unless its task was offered with this one.
    stamp: int = 0
    #: 0 if it is not paused.
    paused_at_ns: int = 0
    pause_identity: str = ""
    pause_reason: str = ""
    pause_request_id: str = ""
    known_requests: list[str] = []
    #: An operator had it go on while its run was paused, and the run is paused still.
    is_exempt_from_pause: bool = False
    #: While an attempt runs that began before the reset. Its details are not passed on if `resets_heartbeat`.
    was_reset: bool = False
    resets_heartbeat: bool = False
    #: `attributes` as they were scheduled, if they have been changed since.
    original_attributes: bytes = b""
    #: Its own; 0 or empty if it has none.
    priority_key: int = 0
    fairness_key: str = ""
    fairness_weight: float = 0.0


class PendingChild(msgspec.Struct, omit_defaults=True):
    """A child that has not ended, or, when this run is closed, one that must still learn it."""

    initiated_event_id: int
    workflow_id: str
    workflow_type: str
    #: `ParentClosePolicy`.
    parent_close_policy: int
    #: Serialized `StartChildWorkflowExecutionInitiatedEventAttributes`; empty once it is started.
    attributes: bytes
    user_metadata: bytes = b""
    #: The id of the start: a second one changes nothing.
    request_id: str = ""
    #: The child's first run; empty until it is started.
    run_id: str = ""
    #: 0 while the event is buffered.
    started_event_id: int = 0
    #: It may have closed, and notified a run that this one is a reset of.
    to_be_asked: bool = False
    #: Where it is; both empty: in this run's own namespace.
    namespace: str = ""
    namespace_id: str = ""


class PendingExternal(msgspec.Struct, omit_defaults=True):
    """A signal, or a request to stop, that is on its way to another run."""

    initiated_event_id: int
    #: Serialized attributes of the initiated event.
    attributes: bytes
    is_signal: bool
    request_id: str = ""


class LeftPending(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that was pending when the run closed. Only descriptions show it: nothing comes of it any more."""

    workflow_task: WorkflowTask | None = None
    activities: tuple[PendingActivity, ...] = ()
    children: tuple[PendingChild, ...] = ()

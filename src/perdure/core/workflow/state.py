"""Everything that is known about one run. Only data: the rules are in the other modules.

`RunState` is durable: only functions listed in a module's `APPLIERS` table may write it, because only records
are stored, and what is written anywhere else is lost when the run is rebuilt. `InFlight` is what a crash may
lose: the workflow task that a worker holds, and queries that wait for one.

Times are nanoseconds since the epoch, durations nanoseconds; 0 means "none". Payloads stay serialized.
"""

from __future__ import annotations

import msgspec
from temporalio.api.common.v1 import Callback, Priority
from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.workflow.pending import (
    LeftPending,
    PendingActivity,
    PendingChild,
    PendingExternal,
    PendingTimer,
    RetryPolicy,
    WorkflowTask,
)
from perdure.core.workflow.started_task import StartedTask

_NO_PRIORITY = Priority()
_PAUSED = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED
_OPEN = (WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING, _PAUSED)


class Parent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The run that started this one as its child, and the event of it that asked for that."""

    workflow_id: str
    run_id: str
    initiated_event_id: int
    #: Empty: this run's own.
    namespace_id: str = ""


#: In place of an event's id that an earlier version did not keep.
EVENT_NOT_KNOWN = -1


class AcceptedUpdate(msgspec.Struct, frozen=True, omit_defaults=True):
    accepted_event_id: int
    #: 0 until the workflow has done what it accepted.
    completed_event_id: int = 0


class RequestIdInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    event_type: int
    #: 0 while the event is buffered.
    event_id: int


class CompletionCallback(msgspec.Struct, omit_defaults=True):
    """Somebody wants to know how the workflow ends."""

    #: Serialized `Callback`.
    callback: bytes
    registered_at_ns: int
    #: The id of the request that attached it to an open run; empty: it came with the start.
    request_id: str = ""
    #: How many attempts have ended.
    attempt: int = 0
    last_attempt_at_ns: int = 0
    #: Serialized `Failure` of the last attempt; empty if there is none.
    last_failure: bytes = b""
    #: 0 if it need not be waited for.
    next_attempt_at_ns: int = 0
    #: There are no more attempts: it succeeded, or failed for good.
    is_done: bool = False
    #: Somebody wants to know what comes of this update instead.
    update_id: str = ""
    #: Serialized `temporal.api.update.v1.Outcome` of the update; empty until it has come to an end.
    outcome: bytes = b""
    #: The time of the event with the outcome; 0 if there is none.
    outcome_at_ns: int = 0


class ResetPoint(msgspec.Struct, frozen=True, omit_defaults=True):
    build_id: str
    binary_checksum: str
    run_id: str
    first_workflow_task_completed_id: int
    created_at_ns: int
    resettable: bool = True
    #: 0 while its run is the current one.
    expires_at_ns: int = 0


#: Names of fields in stored bytes, where they are not those of today.
_STORED = {"parent_notified": "parent_told", "external_workflows": "externals"}


class RunState(msgspec.Struct, omit_defaults=True, rename=_STORED):
    """Enough to answer the next request without reading history."""

    namespace_id: str = ""
    namespace: str = ""
    workflow_id: str = ""
    run_id: str = ""
    first_run_id: str = ""
    workflow_type: str = ""
    task_queue: str = ""

    #: `WorkflowExecutionStatus`; 0 before the first event.
    status: int = 0
    next_event_id: int = 1
    #: The task id of the last event. 0: no event has one, as all are of a version that gave none.
    last_task_id: int = 0
    history_size_bytes: int = 0
    #: Payloads in its history that clients keep elsewhere.
    external_payload_count: int = 0
    external_payload_size_bytes: int = 0
    #: Transitions that recorded something.
    transition_count: int = 0
    start_time_ns: int = 0
    #: When the first workflow task is due: start time plus first backoff.
    execution_time_ns: int = 0
    #: 0 while open.
    close_time_ns: int = 0
    #: Serialized `WorkflowExecutionStartedEventAttributes`: what a new run of the same workflow starts from.
    started_attributes: bytes = b""
    #: Serialized `UserMetadata` of the start.
    user_metadata: bytes = b""
    workflow_task_timeout_ns: int = 0
    execution_timeout_ns: int = 0
    run_timeout_ns: int = 0
    run_expiration_ns: int = 0
    execution_expiration_ns: int = 0
    attempt: int = 1
    retry_policy: RetryPolicy | None = None
    cron_schedule: str = ""
    #: Serialized `Priority`.
    priority: bytes = b""
    has_priority: bool = False
    #: Serialized `VersioningOverride`; empty if it was taken away, None if there never was one.
    versioning_override: bytes | None = None
    #: The deployment that the worker named when it last completed a workflow task.
    worker_deployment_name: str = ""
    #: Serialized `Link`s of the start, which the runs that follow take over.
    start_links: list[bytes] = []
    #: The id that the start request came with, and ids of later requests that were attached to this run.
    request_ids: dict[str, RequestIdInfo] = {}
    #: In the order in which they were attached.
    callbacks: list[CompletionCallback] = []
    #: Key → serialized `Payload`.
    memo: dict[str, bytes] = {}
    search_attributes: dict[str, bytes] = {}
    #: Name → when its value was set; nothing for values from before that was kept.
    search_attributes_set_at_ns: dict[str, int] = {}

    #: At most one, scheduled or started.
    workflow_task: WorkflowTask | None = None
    #: The attempt of the next workflow task; grows with failures, 1 again after a success or new events.
    workflow_task_attempt: int = 1
    #: True once a workflow task has been scheduled. Until then the run waits for its start delay.
    has_had_workflow_task: bool = False
    #: Started event of the last completed workflow task: what a sticky worker has seen.
    previous_started_event_id: int = 0
    #: Workflow tasks that have failed or timed out since one was completed.
    failed_task_count: int = 0
    #: Lists will say this of it: about the last failure or time-out of a workflow task that has an event.
    last_problem: tuple[str, ...] = ()
    sticky_queue: str = ""
    sticky_schedule_to_start_ns: int = 0
    #: Build ids of the workers that completed tasks, oldest first.
    build_ids: list[str] = []
    binary_checksums: list[str] = []
    #: Serialized `WorkerVersionStamp` of the last completed workflow task.
    last_worker_version: bytes | None = None
    reset_points: list[ResetPoint] = []

    #: None if no workflow started this one.
    parent: Parent | None = None
    #: The parent knows that this run has closed.
    parent_notified: bool = False
    #: The serialized last event of a closed run, until the parent and all callbacks know it.
    close_event: bytes = b""
    #: The run at the top: of the parent's parent and so on; this one if it has no parent.
    root_workflow_id: str = ""
    root_run_id: str = ""
    #: By initiated event id.
    children: dict[int, PendingChild] = {}
    external_workflows: dict[int, PendingExternal] = {}

    #: By update id: all that were ever accepted.
    updates: dict[str, AcceptedUpdate] = {}

    #: By update id: those that an event has admitted and the worker has not accepted yet. Serialized `Request`s.
    admitted_updates: dict[str, bytes] = {}

    #: By scheduled event id.
    activities: dict[int, PendingActivity] = {}
    #: activity id → scheduled event id, for all in `activities`.
    activity_ids: dict[str, int] = {}
    #: All and only the timers that will still fire, by timer id. Empty once closed.
    timers: dict[str, PendingTimer] = {}
    #: So that a client's retry is not a second signal: request id → its event; 0 while that is buffered.
    signals: dict[str, int] = {}
    #: Empty: in a snapshot of an earlier version, the keys of `signals`.
    signal_request_ids: set[str] = set()
    signal_count: int = 0
    cancel_requested: bool = False
    #: Events that arrived while a worker held the workflow task. They get their ids when it ends.
    buffered: list[HistoryEvent] = []
    #: How many of the next events have been applied already (see `records.Flushed`). 0 between transitions.
    flushing: int = 0
    #: None while the run is open.
    left_pending: LeftPending | None = None
    #: The run that this one continued as; empty if it did not.
    new_run_id: str = ""
    #: The run that this one went on as when it was reset; empty if it was not.
    reset_run_id: str = ""
    #: Ids of requests that have reset it → the runs that these have made, oldest first.
    resets: dict[str, str] = {}
    #: The run that this one is a reset of, last; before it the run that that one was a reset of, and so on.
    base_run_ids: list[str] = []
    reset_at_ns: int = 0
    #: It was terminated because of a reset, of itself or of another run.
    made_way: bool = False
    #: It was another run that was reset: this one has come to its end.
    made_way_for_another: bool = False
    reset_request_id: str = ""
    #: 0 if it is `start_time_ns`.
    original_start_time_ns: int = 0
    #: It is closed, and is deleted when its parent and children know that.
    deletion_requested: bool = False
    #: 0 if it is not paused, nor was when it closed.
    paused_at_ns: int = 0
    pause_identity: str = ""
    pause_reason: str = ""
    pause_request_id: str = ""
    known_requests: list[str] = []

    def __post_init__(self) -> None:
        if self.signal_request_ids:
            self.signals |= dict.fromkeys(self.signal_request_ids, EVENT_NOT_KNOWN)
            self.signal_request_ids = set()

    @property
    def exists(self) -> bool:
        return self.next_event_id > 1

    @property
    def is_open(self) -> bool:
        return self.status in _OPEN

    @property
    def is_paused(self) -> bool:
        return self.status == _PAUSED

    @property
    def own_priority(self) -> Priority:
        return Priority.FromString(self.priority) if self.priority else _NO_PRIORITY

    @property
    def start_request_id(self) -> str:
        """The id of the request that started the run; empty if it is not known."""
        for request_id, info in self.request_ids.items():
            if info.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                return request_id
        return ""

    @property
    def waits_for_first_task(self) -> bool:
        return not self.has_had_workflow_task


class AdmittedUpdate:
    """An update that the worker has not accepted or rejected yet."""

    __slots__ = ("attached", "callback_count", "is_sent", "request", "request_id")

    def __init__(self, request: bytes, request_id: str = "", callback_count: int = 0) -> None:
        #: Serialized `temporal.api.update.v1.Request`.
        self.request = request
        self.request_id = request_id
        self.callback_count = callback_count
        #: By the id of a later request: the callbacks that came with it.
        self.attached: dict[str, tuple[Callback, ...]] = {}
        #: It went with the workflow task that a worker holds, or held.
        self.is_sent = False


class Speculative:
    """A workflow task that leaves no trace if all it brings is the rejection of updates."""

    __slots__ = ("event", "task")

    def __init__(self, task: WorkflowTask, event: HistoryEvent) -> None:
        self.task = task
        #: Its scheduled event, recorded as soon as anything else is.
        self.event = event


class InFlight:
    """The part of a run that is in memory only."""

    __slots__ = ("close_attempted", "queries", "speculative", "started", "updates")

    def __init__(self) -> None:
        self.started: StartedTask | None = None
        #: The worker wanted to close the run, but events had arrived: let it see them before more come.
        self.close_attempted = False
        #: Query id → serialized `WorkflowQuery`, waiting for a workflow task to carry them.
        self.queries: dict[str, bytes] = {}
        #: Only when there is no `RunState.workflow_task`.
        self.speculative: Speculative | None = None
        #: By update id, in the order of their arrival.
        self.updates: dict[str, AdmittedUpdate] = {}

    @property
    def is_idle(self) -> bool:
        """Nothing would be lost if this were forgotten."""
        return not (self.started or self.queries or self.speculative or self.updates)


class Run:
    """One run in memory."""

    __slots__ = ("in_flight", "state", "state_size_max")

    def __init__(self, state: RunState | None = None) -> None:
        self.state = state if state is not None else RunState()
        self.in_flight = InFlight()
        #: The state is not larger than this (see `state_size`); None: it was not measured yet.
        self.state_size_max: int | None = None if state is not None else 0

    @property
    def pending_task(self) -> WorkflowTask | None:
        """The workflow task that is scheduled, maybe started; also a speculative one."""
        speculative = self.in_flight.speculative
        return speculative.task if speculative is not None else self.state.workflow_task

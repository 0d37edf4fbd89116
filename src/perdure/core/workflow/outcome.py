"""What one transition decides. These types are the border between the core and the shell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, get_args

from temporalio.api.enums.v1 import IndexedValueType

from perdure.core.errors import Rejected


class TimerKind(IntEnum):
    """What a timer is for. Kept out of the journal: timers are computed from the state again after a restart."""

    FIRST_TASK = 1
    RUN_TIMEOUT = 2
    EXECUTION_TIMEOUT = 3
    WORKFLOW_TASK_TIMEOUT = 4
    STICKY_SCHEDULE_TO_START = 5
    USER_TIMER = 6
    ACTIVITY_RETRY = 7
    # Temporal: of timeouts that are due at one time, the first in this order wins.
    ACTIVITY_START_TO_CLOSE = 8
    ACTIVITY_SCHEDULE_TO_START = 9
    ACTIVITY_SCHEDULE_TO_CLOSE = 10
    ACTIVITY_HEARTBEAT = 11
    CALLBACK_RETRY = 12


class Timer(NamedTuple):
    """A request to be called back at `fire_at_ns`. It may be stale when it fires."""

    fire_at_ns: int
    kind: TimerKind
    #: The event (scheduled or started) that it belongs to; 0 for the run's own.
    event_id: int
    #: Attempt of the workflow task or activity; 0 where there are none.
    attempt: int


class Fairness(NamedTuple):
    """With whom a task shares the attention of workers, and how much of it they get. 0: as much as one."""

    key: str
    weight: float


def fairness_of(key: str, weight: float) -> Fairness | None:
    return Fairness(key, weight) if key or weight else None


class DispatchWorkflowTask(NamedTuple):
    """A worker may pick up the workflow task. Stale when the run has another, or it is started."""

    task_queue: str
    #: To be tried first; empty if there is none.
    sticky_queue: str
    scheduled_event_id: int
    attempt: int
    #: Key of the run's priority; 0 if it has none.
    priority_key: int = 0
    fairness: Fairness | None = None


class DispatchActivityTask(NamedTuple):
    """A worker may pick up this attempt of an activity. Stale when it is started or has ended."""

    task_queue: str
    scheduled_event_id: int
    attempt: int
    #: Grows when somebody has changed what is to be started.
    stamp: int = 0
    #: Key of the activity's own priority, or else of the run's; 0 if neither has one.
    priority_key: int = 0
    fairness: Fairness | None = None


class DispatchQuery(NamedTuple):
    """The query can be answered without a workflow task: any worker of the queue may take it."""

    query_id: str
    task_queue: str
    #: To be tried first; empty if there is none.
    sticky_queue: str
    #: Serialized `WorkflowQuery`.
    query: bytes
    #: How long the worker of the sticky queue has to take it.
    sticky_schedule_to_start_ns: int = 0


class AnswerQuery(NamedTuple):
    """The query's caller can be answered now: with `result` or, when that is None, with `refusal`."""

    query_id: str
    #: Serialized `WorkflowQueryResult`.
    result: bytes | None
    refusal: Rejected | None = None


class SettleUpdate(NamedTuple):
    """An update has come to `stage`: its callers can be answered, with `refusal` if there is one."""

    update_id: str
    #: `UpdateWorkflowExecutionLifecycleStage`.
    stage: int
    #: Serialized `Outcome`; empty before it is completed.
    outcome: bytes
    refusal: Rejected | None = None


class StartChild(NamedTuple):
    """Start a child. To be answered with `children.RecordChildStarted` or `RecordChildNotStarted`."""

    initiated_event_id: int
    workflow_id: str
    request_id: str
    #: Serialized `StartChildWorkflowExecutionInitiatedEventAttributes`.
    attributes: bytes
    #: Serialized `UserMetadata`.
    user_metadata: bytes
    root_workflow_id: str
    root_run_id: str
    #: Serialized `Priority` of the parent, which the child's own one overrides.
    priority: bytes
    #: Runs that the parent is a reset of: a child that one of them has started is this one's, too.
    base_run_ids: tuple[str, ...] = ()
    #: Name of the parent's namespace.
    parent_namespace: str = ""
    #: Where the child is to be, if that is another namespace than the parent's.
    namespace_id: str = ""


class TellParent(NamedTuple):
    """This run has closed. To be acknowledged with `children.AcknowledgeParentTold`."""

    #: In the parent.
    initiated_event_id: int
    workflow_id: str
    run_id: str
    first_run_id: str
    #: The serialized last event of this run.
    close_event: bytes
    #: Of the parent, if that is another one.
    namespace_id: str = ""


class AskChild(NamedTuple):
    """Has this child, which an earlier run of the parent's history has started, closed meanwhile?

    To be answered with `children.RecordChildClosed` or `children.AcknowledgeChildOpen`.
    """

    initiated_event_id: int
    workflow_id: str
    #: The child's first run.
    run_id: str
    #: Of the child, if that is another one.
    namespace_id: str = ""


class ReleaseChild(NamedTuple):
    """The parent has closed: do as its policy says. To be acknowledged with `children.AcknowledgeChildReleased`."""

    initiated_event_id: int
    workflow_id: str
    #: The child's first run.
    run_id: str
    #: `ParentClosePolicy`.
    policy: int
    #: Of the child, if that is another one.
    namespace_id: str = ""


class SignalExternal(NamedTuple):
    """Signal another run. To be answered with `externals.RecordExternalSignaled`."""

    initiated_event_id: int
    request_id: str
    #: Serialized `SignalExternalWorkflowExecutionInitiatedEventAttributes`.
    attributes: bytes


class CancelExternal(NamedTuple):
    """Ask another run to stop. To be answered with `externals.RecordExternalCancelRequested`."""

    initiated_event_id: int
    request_id: str
    #: Serialized `RequestCancelExternalWorkflowExecutionInitiatedEventAttributes`.
    attributes: bytes


class InvokeCallback(NamedTuple):
    """Tell somebody outside how the run has ended. To be answered with `callbacks.RecordAttempt`."""

    #: Place in `RunState.callbacks`.
    number: int
    #: How many attempts have ended before.
    attempt: int
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


#: What one run wants of another: delivered until the answer is recorded.
Errand = StartChild | AskChild | TellParent | ReleaseChild | SignalExternal | CancelExternal
ERRANDS = get_args(Errand)
Effect = (
    DispatchWorkflowTask
    | DispatchActivityTask
    | DispatchQuery
    | AnswerQuery
    | SettleUpdate
    | InvokeCallback
    | Errand
)


@dataclass(frozen=True, slots=True)
class NewRun:
    """The workflow goes on as a new run, created in the same commit. `start` is a `starting.Start`."""

    run_id: str
    start: object


@dataclass(slots=True)
class Outcome:
    """What the shell must do, in two steps that must not be swapped.

    First it writes the journal row (if there is one) and creates `new_run`, in one transaction. Only once that is
    durable may it act on `reply` and deliver the effects: nobody may learn of a state that a crash can still undo.
    `timers` may be set at once: a stale one does nothing.
    """

    #: Encoded as in `store.port.JournalRow`. Both empty: nothing was recorded.
    first_event_id: int
    event_count: int
    events: bytes
    internal: bytes
    timers: list[Timer]
    effects: list[Effect]
    reply: object
    new_run: NewRun | None
    #: Lists must show something new: search attributes or memo changed.
    shows: bool = False

    @property
    def is_recorded(self) -> bool:
        return bool(self.events or self.internal)


@dataclass(frozen=True, slots=True)
class RetryDefaults:
    """What a retry policy has where it says nothing."""

    initial_interval_ns: int = 10**9
    #: Of the maximum interval, as a multiple of the initial one.
    maximum_interval_coefficient: int = 100
    backoff_coefficient: float = 2.0
    #: 0: no limit.
    maximum_attempts: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What dynamic configuration says about a namespace and its runs; `runtime.limits` has the keys."""

    #: Whether the answer to a start, or to a completed workflow task, may bring the next task with it.
    enable_eager_workflow_start: bool = True
    enable_activity_eager_execution: bool = True
    #: A worker that says that it shuts down gets no more tasks, by none of its polls.
    ends_polls_at_shutdown: bool = False
    enable_pause: bool = False
    #: Whether clients are shown how many payloads they keep elsewhere.
    external_payloads_enabled: bool = True
    suggest_continue_as_new_count: int = 4096
    suggest_continue_as_new_size: int = 4 * 1024 * 1024
    #: As a part of `max_total_updates`.
    suggest_continue_as_new_updates: float = 0.9
    default_workflow_task_timeout_ns: int = 10 * 10**9
    #: Total time that a workflow task may be kept alive by heartbeats alone.
    workflow_task_heartbeat_timeout_ns: int = 30 * 60 * 10**9
    workflow_task_retry_max_interval_ns: int = 10 * 60 * 10**9
    #: Whether the interval below holds for starts, too; it always holds for a run that continues as new.
    checks_reuse_interval: bool = False
    #: 0: a workflow id may be used again at once.
    workflow_id_reuse_minimal_interval_ns: int = 10**9
    activity_retries: RetryDefaults = RetryDefaults()
    workflow_retries: RetryDefaults = RetryDefaults()
    max_workflow_task_timeout_ns: int = 120 * 10**9
    max_signals_per_execution: int = 10_000
    #: Whether the description of a run says which event each signal has become.
    shows_signals: bool = False
    max_buffered_queries: int = 1
    #: Events that wait until a worker has done with the workflow task, and their bytes.
    max_buffered_events: int = 100
    max_buffered_events_size: int = 2 * 1024 * 1024
    #: A speculative task that left no trace may have shown the worker so many events that it will be shown again.
    max_seen_again_events: int = 10
    #: 0: no limit, as for all of these.
    max_in_flight_updates: int = 10
    max_in_flight_update_payloads: int = 20 * 1024 * 1024
    max_total_updates: int = 2000
    blob_size: int = 2 * 1024 * 1024
    blob_size_warn: int = 512 * 1024
    #: What is remembered of the failure of an attempt of an activity, at most.
    activity_failure_size: int = 4 * 1024
    activity_failure_size_warn: int = 2 * 1024
    memo_size: int = 2 * 1024 * 1024
    memo_size_warn: int = 2 * 1024
    #: Events, and their bytes.
    history_count: int = 50 * 1024
    history_count_warn: int = 10 * 1024
    history_size: int = 50 * 1024 * 1024
    history_size_warn: int = 10 * 1024 * 1024
    #: What is kept of a run besides its history.
    state_size: int = 8 * 1024 * 1024
    state_size_warn: int = 1024 * 1024
    #: Workflow tasks in a row that must fail for lists to show it. 0: never.
    reported_task_failures: int = 5
    #: Of names and ids, in bytes.
    max_id_length: int = 1000
    search_attributes_count: int = 100
    search_attribute_value_size: int = 2 * 1024
    search_attributes_size: int = 40 * 1024
    max_links: int = 10
    max_link_size: int = 4000
    #: Callbacks of one run.
    max_callbacks: int = 2000
    #: Whether there may be callbacks of updates, and how many of one update.
    update_callbacks: bool = False
    max_update_callbacks: int = 32
    max_callback_url_length: int = 1000
    max_callback_header_size: int = 8 * 1024
    #: Where callbacks may lead: patterns of host and port, and whether plain HTTP will do.
    callback_addresses: tuple[tuple[str, bool], ...] = ()
    callback_timeout_ns: int = 10 * 10**9
    #: For how long a receiver is left alone that has failed too often in a row.
    callback_breaker_open_ns: int = 60 * 10**9
    callback_retry_initial_ns: int = 10**9
    callback_retry_max_ns: int = 3600 * 10**9
    max_pending_activities: int = 2000
    max_pending_children: int = 2000
    max_pending_signals: int = 2000
    max_pending_cancels: int = 2000
    #: Whether the commands of a workflow may reach executions in other namespaces.
    cross_namespace_commands: bool = False
    #: Events of a page where a client does not say how many it wants.
    history_page_size: int = 256
    #: Events that come along with a workflow task, or with one that is about a query.
    task_history_page_size: int = 1024
    query_history_page_size: int = 1024
    visibility_page_size: int = 1000
    #: What an operator can refuse to a whole namespace.
    refuses_queries: bool = False
    refuses_filtered_lists: bool = False
    allows_updates: bool = True
    #: Updates whose callers do not wait for their end.
    allows_async_updates: bool = True
    #: Whether queries go to the worker that has the run in its cache.
    sticky_queries: bool = True
    #: Else all children are left alone when their parent closes.
    heeds_parent_close_policy: bool = True
    resets_with_pending_children: bool = True
    #: Whether the end of a history shows workflow tasks that are in memory only.
    shows_transient_tasks: bool = True
    #: Told to workers: they are to scale their pollers by themselves.
    poller_autoscaling_auto_enroll: bool = False
    #: In bytes.
    max_build_id_length: int = 255
    #: Whether histories are sent as serialized events, for clients to decode.
    sends_raw_history: bool = False
    #: How long a client that waits for an event or an update is kept waiting.
    long_poll_ns: int = 20 * 10**9
    #: Whether a workflow task may be completed in pages, and how large they may be together.
    completion_pages: bool = False
    workflow_task_completion_size: int = 40 * 1024 * 1024
    #: Of all workflow tasks together, and which part of it a namespace may have.
    completion_pages_size: int = 1024 * 1024 * 1024
    completion_pages_share: float = 0.5
    namespace_min_retention_ns: int = 3600 * 10**9


@dataclass(frozen=True, slots=True)
class World:
    """What a transition may know besides the run: settings, and a source of fresh ids that is passed in."""

    limits: Limits
    fresh_id: Callable[[], str]
    #: Namespace id → its custom search attributes: name → type.
    search_attribute_types: Callable[[str], Mapping[str, IndexedValueType.ValueType]] = lambda _: {}
    #: Namespace id → for how long its closed runs are kept.
    retention_ns: Callable[[str], int] = lambda _: 0
    #: Name of a namespace → its id; empty if it is not there.
    namespace_id: Callable[[str], str] = lambda _: ""
    #: Namespace id, name of a search attribute, when its value was set → whether that is the attribute of that name.
    is_current_attribute: Callable[[str, str, int], bool] = lambda *_: True

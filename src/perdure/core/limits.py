"""Values that dynamic configuration gives for namespaces and their executions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryDefaults:
    """Defaults of a retry policy's fields."""

    initial_interval_ns: int = 10**9
    #: The maximum interval, as a multiple of the initial one.
    maximum_interval_coefficient: int = 100
    backoff_coefficient: float = 2.0
    #: 0: no limit.
    maximum_attempts: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Values that dynamic configuration gives for a namespace and its runs; `runtime.limits` has the keys."""

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
    #: At most so much is kept of the failure of an activity's attempt.
    activity_failure_size: int = 4 * 1024
    activity_failure_size_warn: int = 2 * 1024
    memo_size: int = 2 * 1024 * 1024
    memo_size_warn: int = 2 * 1024
    #: Events, and their bytes.
    history_count: int = 50 * 1024
    history_count_warn: int = 10 * 1024
    history_size: int = 50 * 1024 * 1024
    history_size_warn: int = 10 * 1024 * 1024
    #: At most so much is kept of a run besides its history.
    state_size: int = 8 * 1024 * 1024
    state_size_warn: int = 1024 * 1024
    #: Workflow tasks in a row that must fail for lists to show it. 0: never.
    reported_task_failures: int = 5
    #: The lengths of names and ids, in bytes.
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
    #: Calls that an operator can refuse to a whole namespace.
    refuses_queries: bool = False
    refuses_filtered_lists: bool = False
    allows_updates: bool = True
    #: Updates whose callers do not wait for their end.
    allows_async_updates: bool = True
    #: Whether queries go to the worker that has the run in its cache.
    sticky_queries: bool = True
    #: Otherwise all children are left alone when their parent closes.
    heeds_parent_close_policy: bool = True
    resets_with_pending_children: bool = True
    #: Whether the end of a history shows workflow tasks that are in memory only.
    shows_transient_tasks: bool = True
    #: Workers learn that they are to scale their pollers by themselves.
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
    #: The limit of all workflow tasks together, and which part of it a namespace may have.
    completion_pages_size: int = 1024 * 1024 * 1024
    completion_pages_share: float = 0.5
    namespace_min_retention_ns: int = 3600 * 10**9

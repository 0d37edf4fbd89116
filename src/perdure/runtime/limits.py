"""Reads the `Limits` of a namespace from dynamic configuration: which key sets which limit.

The keys and defaults are the real server's, and so is which of them may differ from namespace to namespace.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from perdure.core.limits import Limits, RetryDefaults
from perdure.dynamic_config import DynamicConfig

#: Field of `Limits` → key. A value may be bound to a namespace.
PER_NAMESPACE: Mapping[str, str] = {
    "enable_eager_workflow_start": "system.enableEagerWorkflowStart",
    "enable_activity_eager_execution": "system.enableActivityEagerExecution",
    "ends_polls_at_shutdown": "frontend.enableCancelWorkerPollsOnShutdown",
    "enable_pause": "frontend.WorkflowPauseEnabled",
    "external_payloads_enabled": "history.externalPayloadsEnabled",
    "suggest_continue_as_new_count": "limit.historyCount.suggestContinueAsNew",
    "suggest_continue_as_new_size": "limit.historySize.suggestContinueAsNew",
    "suggest_continue_as_new_updates": "history.maxTotalUpdates.suggestContinueAsNewThreshold",
    "default_workflow_task_timeout_ns": "history.defaultWorkflowTaskTimeout",
    "workflow_task_heartbeat_timeout_ns": "history.workflowTaskHeartbeatTimeout",
    "checks_reuse_interval": "history.enableWorkflowIdReuseStartTimeValidation",
    "workflow_id_reuse_minimal_interval_ns": "history.workflowIdReuseMinimalInterval",
    "max_signals_per_execution": "history.maximumSignalsPerExecution",
    "shows_signals": "history.enableCHASMSignalBacklinks",
    "max_in_flight_updates": "history.maxInFlightUpdates",
    "max_in_flight_update_payloads": "history.maxInFlightUpdatePayloads",
    "max_total_updates": "history.maxTotalUpdates",
    "blob_size": "limit.blobSize.error",
    "blob_size_warn": "limit.blobSize.warn",
    "activity_failure_size": "limit.mutableStateActivityFailureSize.error",
    "activity_failure_size_warn": "limit.mutableStateActivityFailureSize.warn",
    "memo_size": "limit.memoSize.error",
    "memo_size_warn": "limit.memoSize.warn",
    "history_count": "limit.historyCount.error",
    "history_count_warn": "limit.historyCount.warn",
    "history_size": "limit.historySize.error",
    "history_size_warn": "limit.historySize.warn",
    "reported_task_failures": ("system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute"),
    "search_attributes_count": "frontend.searchAttributesNumberOfKeysLimit",
    "search_attribute_value_size": "frontend.searchAttributesSizeOfValueLimit",
    "search_attributes_size": "frontend.searchAttributesTotalSizeLimit",
    "max_links": "frontend.maxlinksPerRequest",
    "max_link_size": "frontend.linkMaxSize",
    "refuses_queries": "system.disallowQuery",
    "refuses_filtered_lists": "frontend.disableListVisibilityByFilter",
    "allows_updates": "frontend.enableUpdateWorkflowExecution",
    "allows_async_updates": "frontend.enableUpdateWorkflowExecutionAsyncAccepted",
    "sticky_queries": "system.enableStickyQuery",
    "heeds_parent_close_policy": "history.enableParentClosePolicy",
    "resets_with_pending_children": "history.allowResetWithPendingChildren",
    "shows_transient_tasks": "history.sendTransientOrSpeculativeWorkflowTaskEvents",
    "poller_autoscaling_auto_enroll": "frontend.pollerAutoscalingAutoEnroll",
    "sends_raw_history": "frontend.sendRawWorkflowHistory",
    "max_callbacks": "callback.maxPerExecution",
    "max_update_callbacks": "system.maxCallbacksPerUpdateID",
    "update_callbacks": "history.enableUpdateCallbacks",
    "max_callback_url_length": "frontend.callbackURLMaxLength",
    "max_callback_header_size": "frontend.callbackHeaderMaxLength",
    "callback_timeout_ns": "callback.request.timeout",
    "max_pending_activities": "limit.numPendingActivities.error",
    "max_pending_children": "limit.numPendingChildExecutions.error",
    "max_pending_signals": "limit.numPendingSignals.error",
    "max_pending_cancels": "limit.numPendingCancelRequests.error",
    "history_page_size": "frontend.historyMaxPageSize",
    "task_history_page_size": "limit.historyMaxPageSize",
    "query_history_page_size": "matching.historyMaxPageSize",
    "visibility_page_size": "frontend.visibilityMaxPageSize",
    "long_poll_ns": "history.longPollExpirationInterval",
    "completion_pages": "history.enableWorkflowTaskCompletionPagination",
    "completion_pages_share": "history.workflowTaskCompletionBufferNamespaceRatio",
    "workflow_task_completion_size": "history.workflowTaskCompletionBufferSizeLimit",
}
#: Likewise; the same for all.
GLOBAL: Mapping[str, str] = {
    "workflow_task_retry_max_interval_ns": "history.workflowTaskRetryMaxInterval",
    "max_buffered_queries": "history.MaxBufferedQueryCount",
    "max_buffered_events": "history.maximumBufferedEventsBatch",
    "max_buffered_events_size": "history.maximumBufferedEventsSizeInBytes",
    "max_seen_again_events": "history.discardSpeculativeWorkflowTaskMaximumEventsCount",
    "max_build_id_length": "limit.workerBuildIdSize",
    "max_id_length": "limit.maxIDLength",
    "state_size": "limit.mutableStateSize.error",
    "state_size_warn": "limit.mutableStateSize.warn",
    "callback_retry_initial_ns": "callback.retryPolicy.initialInterval",
    "callback_retry_max_ns": "callback.retryPolicy.maxInterval",
    "completion_pages_size": "history.workflowTaskCompletionBufferTotalSizeLimit",
    "cross_namespace_commands": "system.enableCrossNamespaceCommands",
    "namespace_min_retention_ns": "system.namespaceMinRetentionLocal",
}
#: The defaults of retry policies; tables. They may differ from namespace to namespace.
RETRIES: Mapping[str, str] = {
    "activity_retries": "history.defaultActivityRetryPolicy",
    "workflow_retries": "history.defaultWorkflowRetryPolicy",
}
_RETRY_PARTS = {
    "initialintervalinseconds": "seconds",
    "maximumintervalcoefficient": "number",
    "backoffcoefficient": "number",
    "maximumattempts": "integer",
}
#: Where callbacks may lead; a list of tables. May differ from namespace to namespace.
CALLBACK_ADDRESSES = "callback.allowedAddresses"
#: A receiver that fails gets no callbacks for its `Timeout`; a table. It may differ from namespace to namespace.
CIRCUIT_BREAKER = "history.outboundQueue.circuitBreakerSettings"
#: How long the poll of a worker lasts at most; may differ from task queue to task queue.
TASK_POLL = "matching.longPollExpirationInterval"
TASK_POLL_S = 60.0
#: A query that no worker takes is refused early if no worker has polled for so long.
QUERY_WINDOW = "matching.queryPollerUnavailableWindow"
QUERY_WINDOW_S = 20.0
#: The computed limits are forgotten beyond this number: clients may name namespaces that do not exist.
KNOWN_MAX = 4096
#: Whether tasks that wait go by fairness keys; may differ likewise.
FAIRNESS = "matching.enableFairness"
#: How many fairness keys of a task queue an operator may give weights; may differ likewise.
FAIRNESS_WEIGHTS = "matching.maxFairnessKeyWeightOverrides"
FAIRNESS_WEIGHTS_MAX = 1000


_WARNED = ("blob_size", "memo_size", "activity_failure_size")


def limits_of(config: DynamicConfig, namespace: str) -> Limits:
    """Return the limits of the namespace with this name; empty: the limits outside namespaces."""
    defaults = Limits()
    found: dict[str, Any] = {}
    for field in fields(Limits):
        default = getattr(defaults, field.name)
        if field.name in PER_NAMESPACE:
            found[field.name] = _read(
                config, PER_NAMESPACE[field.name], field.name, default, namespace
            )
        elif field.name in GLOBAL:
            found[field.name] = _read(config, GLOBAL[field.name], field.name, default, "")
    for name in _WARNED:
        # Temporal: only a size above the warning limit is compared with the other limit.
        found[name] = max(found[name], found[f"{name}_warn"])
    found["callback_addresses"] = tuple(
        (pattern, each.get("allowinsecure") is True)
        for each in config.tables(CALLBACK_ADDRESSES, namespace)
        # Temporal: an entry without a pattern is passed over.
        if isinstance(pattern := each.get("pattern"), str) and pattern
    )
    for name, key in RETRIES.items():
        found[name] = _retry_defaults(config, key, namespace)
    found["callback_breaker_open_ns"] = _breaker_open_ns(config, namespace)
    return Limits(**found)


def _retry_defaults(config: DynamicConfig, key: str, namespace: str) -> RetryDefaults:
    configured = config.parts(key, _RETRY_PARTS, namespace)
    standard = RetryDefaults()
    return RetryDefaults(
        int(configured.get("initialintervalinseconds", standard.initial_interval_ns / 1e9) * 1e9),
        int(configured.get("maximumintervalcoefficient", standard.maximum_interval_coefficient)),
        configured.get("backoffcoefficient", standard.backoff_coefficient),
        configured.get("maximumattempts", standard.maximum_attempts),
    )


def _breaker_open_ns(config: DynamicConfig, namespace: str) -> int:
    seconds = config.parts(CIRCUIT_BREAKER, {"timeout": "seconds"}, namespace).get("timeout", 0)
    # Temporal: 0 means the default.
    return int(seconds * 1e9) or Limits().callback_breaker_open_ns


def _read(config: DynamicConfig, key: str, name: str, default: Any, namespace: str) -> Any:
    if name.endswith("_ns"):
        return int(config.seconds(key, default / 1e9, namespace) * 1e9)
    read: Callable[[str, Any, str], Any] = config.integer
    if isinstance(default, bool):
        read = config.boolean
    elif isinstance(default, float):
        read = config.number
    return read(key, default, namespace)


class ConfiguredLimits:
    """The limits of each namespace, worked out once after each change of the configuration."""

    def __init__(self, config: DynamicConfig | None = None) -> None:
        self.config = config or DynamicConfig({})
        self._known: dict[str, Limits] = {}

    def change(self, config: DynamicConfig) -> None:
        self.config = config
        self._known = {}

    def of(self, namespace: str) -> Limits:
        limits = self._known.get(namespace)
        if limits is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            limits = self._known[namespace] = limits_of(self.config, namespace)
        return limits

    def is_fair(self, namespace: str, task_queue: str, task_type: int) -> bool:
        if not self.config.is_set(FAIRNESS):
            return False
        return self.config.queue_boolean(FAIRNESS, False, namespace, task_queue, task_type)

    def fairness_weights_max(self, namespace: str, task_queue: str, task_type: int) -> int:
        return self.config.queue_integer(
            FAIRNESS_WEIGHTS, FAIRNESS_WEIGHTS_MAX, namespace, task_queue, task_type
        )

    @property
    def query_window_s(self) -> float:
        return self.config.seconds(QUERY_WINDOW, QUERY_WINDOW_S)

    def task_poll_s(self, namespace: str, task_queue: str, task_type: int) -> float:
        if not self.config.is_set(TASK_POLL):
            return TASK_POLL_S
        return self.config.queue_seconds(TASK_POLL, TASK_POLL_S, namespace, task_queue, task_type)

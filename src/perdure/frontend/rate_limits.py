"""Limits of calls per second and of long polls at once, where an operator sets them.

The keys, the classes of calls and the texts of the refusals are the real server's. Its defaults are not: by default
there is no limit.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, NamedTuple

from temporalio.api.enums.v1 import ResourceExhaustedCause, ResourceExhaustedScope
from temporalio.api.errordetails.v1 import ResourceExhaustedFailure

from perdure.core.errors import Code, Rejected
from perdure.dynamic_config import DynamicConfig
from perdure.frontend.call import Call

_EXECUTION, _VISIBILITY, _REPLICATION = "execution", "visibility", "replication"
_NAMESPACE_SCOPE = ResourceExhaustedScope.RESOURCE_EXHAUSTED_SCOPE_NAMESPACE
_SYSTEM_SCOPE = ResourceExhaustedScope.RESOURCE_EXHAUSTED_SCOPE_SYSTEM
_RPS = ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT
_CONCURRENT = ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT


class _Keys(NamedTuple):
    """The keys of one class of calls. The rate of the whole cluster, if set, replaces the rate of one server."""

    host: tuple[str, ...]
    namespace: tuple[str, ...]
    burst_ratio: str
    default_ratio: float


KEYS = {
    _EXECUTION: _Keys(
        ("frontend.globalRPS", "frontend.rps"),
        ("frontend.globalNamespaceRPS", "frontend.namespaceRPS"),
        "frontend.namespaceBurstRatio",
        2,
    ),
    _VISIBILITY: _Keys(
        ("frontend.globalRPS", "frontend.rps"),
        ("frontend.globalNamespaceRPS.visibility", "frontend.namespaceRPS.visibility"),
        "frontend.namespaceBurstRatio.visibility",
        1,
    ),
    _REPLICATION: _Keys(
        ("frontend.rps.namespaceReplicationInducingAPIs",),
        (
            "frontend.globalNamespaceRPS.namespaceReplicationInducingAPIs",
            "frontend.namespaceRPS.namespaceReplicationInducingAPIs",
        ),
        "frontend.namespaceBurstRatio.namespaceReplicationInducingAPIs",
        10,
    ),
}
COUNT_KEYS = ("frontend.globalNamespaceCount", "frontend.namespaceCount")
OPERATOR_RATIO = "system.operatorRPSRatio"
OPERATOR_RATIO_DEFAULT = 0.2
_HOST_BURST_RATIO = 2.0

#: RPCs by class and priority. Priority 0 is for operators and comes first. A call takes a token from its own bucket
#: and from those of all later priorities.
_CALLS = {
    _EXECUTION: (
        "GetClusterInfo GetSystemInfo GetSearchAttributes DescribeNamespace ListNamespaces DeprecateNamespace",
        "SignalWorkflowExecution SignalWithStartWorkflowExecution StartWorkflowExecution UpdateWorkflowExecution"
        " ExecuteMultiOperation CreateSchedule StartBatchOperation StartActivityExecution RecordActivityTaskHeartbeat"
        " RecordActivityTaskHeartbeatById RespondActivityTaskCompleted RespondActivityTaskCompletedById"
        " RespondWorkflowTaskCompleted RespondQueryTaskCompleted RespondNexusTaskCompleted",
        "RequestCancelWorkflowExecution TerminateWorkflowExecution ResetWorkflowExecution DeleteWorkflowExecution"
        " GetWorkflowExecutionHistory UpdateSchedule PatchSchedule DeleteSchedule StopBatchOperation"
        " UpdateActivityOptions PauseActivity UnpauseActivity ResetActivity UpdateActivityExecutionOptions"
        " PauseActivityExecution UnpauseActivityExecution ResetActivityExecution UpdateWorkflowExecutionOptions"
        " RequestCancelActivityExecution TerminateActivityExecution DeleteActivityExecution"
        " PauseWorkflowExecution UnpauseWorkflowExecution",
        "DescribeWorkflowExecution DescribeActivityExecution DescribeTaskQueue GetWorkerBuildIdCompatibility"
        " GetWorkerVersioningRules ListTaskQueuePartitions QueryWorkflow DescribeSchedule ListScheduleMatchingTimes"
        " DescribeBatchOperation RespondActivityTaskCanceled RespondActivityTaskCanceledById"
        " RespondActivityTaskFailed RespondActivityTaskFailedById RespondWorkflowTaskFailed RespondNexusTaskFailed",
        "PollActivityExecution PollWorkflowTaskQueue PollActivityTaskQueue PollWorkflowExecutionUpdate"
        " PollNexusTaskQueue ResetStickyTaskQueue ShutdownWorker GetWorkflowExecutionHistoryReverse"
        " RecordWorkerHeartbeat FetchWorkerConfig UpdateWorkerConfig",
        "",
    ),
    _VISIBILITY: (
        "",
        "CountWorkflowExecutions ScanWorkflowExecutions ListOpenWorkflowExecutions ListClosedWorkflowExecutions"
        " ListWorkflowExecutions ListArchivedWorkflowExecutions CountActivityExecutions ListActivityExecutions"
        " GetWorkerTaskReachability ListSchedules CountSchedules ListBatchOperations",
    ),
    _REPLICATION: (
        "",
        "RegisterNamespace UpdateNamespace",
        "UpdateWorkerBuildIdCompatibility UpdateWorkerVersioningRules UpdateTaskQueueConfig",
    ),
}
_PLACES = {
    name: (kind, priority)
    for kind, levels in _CALLS.items()
    for priority, names in enumerate(levels)
    for name in names.split()
}
#: The class and priority of calls that follow a history: all other calls come first.
_FOLLOWS = (_EXECUTION, 5)
#: RPCs that may wait for long. `COUNT_KEYS` limit how many wait at once.
_LONG = (
    "PollActivityTaskQueue",
    "PollWorkflowTaskQueue",
    "PollWorkflowExecutionUpdate",
    "PollNexusTaskQueue",
    "PollActivityExecution",
    "QueryWorkflow",
    "UpdateWorkflowExecution",
    "GetWorkflowExecutionHistory",
    "DescribeActivityExecution",
    "ExecuteMultiOperation",
)


class Bucket:
    """A token bucket: it fills at a rate up to a size, and begins full."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens = float(burst)
        self._at = now

    def has_token(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return self._tokens >= 1

    def take(self) -> None:
        """Take a token. The count may become negative."""
        self._tokens -= 1


class Limiter:
    """One bucket for each priority: calls of a later priority are refused before those of an earlier one."""

    def __init__(self, buckets: list[Bucket]) -> None:
        self._buckets = buckets

    def allows(self, priority: int, now: float) -> bool:
        if not self._buckets[priority].has_token(now):
            return False
        for bucket in self._buckets[priority:]:
            bucket.has_token(now)
            bucket.take()
        return True


class RateLimits:
    """The limits of one server. The dispatcher asks about every call if `is_on`."""

    def __init__(
        self, check_namespace: Callable[[str], object], now: Callable[[], float] = monotonic
    ) -> None:
        """`check_namespace` raises `Rejected` for the name of a namespace that does not exist."""
        self._check_namespace = check_namespace
        self._now = now
        #: Calls under way, by namespace and RPC.
        self._under_way: dict[tuple[str, str], int] = {}
        self.configure(DynamicConfig({}))

    def configure(self, config: DynamicConfig) -> None:
        self._config = config
        named = {*COUNT_KEYS}
        for keys in KEYS.values():
            named.update((*keys.host, *keys.namespace))
        self.is_on = any(config.is_set(key) for key in named)
        self._host = {kind: self._host_limiter(kind) for kind in KEYS}
        self._namespaces: dict[tuple[str, str], Limiter | None] = {}

    @contextmanager
    def admitted(self, name: str, namespace: str, request: Any, call: Call) -> Iterator[None]:
        """Count a long poll for as long as it lasts. Raises `Rejected` if there are too many calls."""
        counted = self._count(name, namespace, request)
        try:
            self._check_rates(name, namespace, request, call)
            yield
        finally:
            if counted is not None:
                self._leave(counted)

    def _count(self, name: str, namespace: str, request: Any) -> tuple[str, str] | None:
        if name not in _LONG or (
            name == "GetWorkflowExecutionHistory" and not request.wait_new_event
        ):
            return None
        most = self._rate(COUNT_KEYS, namespace)
        if most is None:
            return None
        place = (namespace, name)
        under_way = self._under_way.get(place, 0)
        if under_way >= most:
            self._check_namespace(namespace)
            raise exhausted(
                "namespace concurrent poller limit exceeded", _CONCURRENT, _NAMESPACE_SCOPE
            )
        self._under_way[place] = under_way + 1
        return place

    def _leave(self, place: tuple[str, str]) -> None:
        self._under_way[place] -= 1
        if not self._under_way[place]:
            del self._under_way[place]

    def _check_rates(self, name: str, namespace: str, request: Any, call: Call) -> None:
        kind, priority = _place(name, request)
        if not kind:
            return
        if call.metadata.get("caller-type") == "operator":
            priority = 0
        now = self._now()
        # A namespace that is to be registered has no limits yet.
        if namespace and name != "RegisterNamespace":
            limiter = self._of_namespace(kind, namespace)
            if limiter is not None and not limiter.allows(priority, now):
                raise exhausted("namespace rate limit exceeded", _RPS, _NAMESPACE_SCOPE)
        host = self._host[kind]
        if host is not None and not host.allows(priority, now):
            raise exhausted("service rate limit exceeded", _RPS, _SYSTEM_SCOPE)

    def _of_namespace(self, kind: str, namespace: str) -> Limiter | None:
        if (kind, namespace) not in self._namespaces:
            self._check_namespace(namespace)
            self._namespaces[kind, namespace] = self._namespace_limiter(kind, namespace)
        return self._namespaces[kind, namespace]

    def _host_limiter(self, kind: str) -> Limiter | None:
        rate = self._rate(KEYS[kind].host, "")
        if rate is None:
            return None
        burst = int(rate * _HOST_BURST_RATIO)
        return self._limiter(kind, rate, burst)

    def _namespace_limiter(self, kind: str, namespace: str) -> Limiter | None:
        keys = KEYS[kind]
        rate = self._rate(keys.namespace, namespace)
        if rate is None:
            return None
        ratio = self._config.number(keys.burst_ratio, keys.default_ratio, namespace)
        return self._limiter(kind, rate, max(1, math.ceil(rate * ratio)))

    def _limiter(self, kind: str, rate: float, burst: int) -> Limiter:
        now = self._now()
        buckets = [Bucket(rate, burst, now) for _ in _CALLS[kind]]
        ratio = self._config.number(OPERATOR_RATIO, OPERATOR_RATIO_DEFAULT)
        buckets[0] = Bucket(rate * ratio, burst, now)
        return Limiter(buckets)

    def _rate(self, keys: tuple[str, ...], namespace: str) -> float | None:
        """Return the first positive value, or 0 if the last key says so; None for no limit."""
        for key in keys:
            value = self._config.integer(key, -1, namespace)
            if value > 0 or (value == 0 and key == keys[-1]):
                return value
        return None


def _place(name: str, request: Any) -> tuple[str, int]:
    if name == "GetWorkflowExecutionHistory" and request.wait_new_event:
        return _FOLLOWS
    if name == "DescribeActivityExecution" and request.long_poll_token:
        return _FOLLOWS
    if name == "DescribeTaskQueue" and request.report_task_reachability:
        return _VISIBILITY, 1
    return _PLACES.get(name, ("", 0))


def exhausted(
    message: str,
    cause: ResourceExhaustedCause.ValueType,
    scope: ResourceExhaustedScope.ValueType,
) -> Rejected:
    """Return the refusal of a call that is one too many."""
    return Rejected(
        Code.RESOURCE_EXHAUSTED, message, ResourceExhaustedFailure(cause=cause, scope=scope)
    )

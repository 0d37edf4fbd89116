"""Clients describe task queues and reset sticky ones. A worker that shuts down leaves its queues."""

from collections.abc import Iterable, Iterator

from temporalio.api.common.v1 import WorkerVersionCapabilities
from temporalio.api.enums.v1 import (
    BuildIdTaskReachability,
    DescribeTaskQueueMode,
    RateLimitSource,
    TaskQueueKind,
    TaskQueueType,
)
from temporalio.api.taskqueue.v1 import (
    PollerInfo,
    TaskQueueStats,
    TaskQueueTypeInfo,
)
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeTaskQueueResponse,
    ListTaskQueuePartitionsRequest,
    ListTaskQueuePartitionsResponse,
    ResetStickyTaskQueueRequest,
    ResetStickyTaskQueueResponse,
    ShutdownWorkerRequest,
    ShutdownWorkerResponse,
)

from perdure.core.errors import invalid_argument
from perdure.core.matching.task_queue import DEFAULT_PRIORITY
from perdure.core.times import set_duration, set_timestamp
from perdure.core.workflow.tasks.schedule import ResetSticky
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.validation.fields import check_execution
from perdure.frontend.validation.task_queues import PART_PREFIX, check_queue_part, check_task_queue
from perdure.runtime.matching.task_queues import (
    ACTIVITY_QUEUE,
    WORKFLOW_QUEUE,
    Queue,
    QueueName,
)

#: Temporal: descriptions show this rate for a worker that sets no limit.
UNLIMITED_PER_SECOND = 100_000.0
#: Temporal: one request may ask for the reachability of this many versions.
_REACHABILITY_VERSIONS_MAX = 5
_UNVERSIONED = ""
_NO_TIME_S = -62_135_596_800
_ENHANCED = DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED
_STICKY = TaskQueueKind.TASK_QUEUE_KIND_STICKY
_WORKER_COMMANDS = TaskQueueKind.TASK_QUEUE_KIND_WORKER_COMMANDS


class TaskQueueDescriptions:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def DescribeTaskQueue(
        self, request: DescribeTaskQueueRequest, call: Call
    ) -> DescribeTaskQueueResponse:
        namespace = self._context.namespace(request.namespace)
        limits = self._context.limits(request.namespace)
        check_task_queue(request, limits, is_part=request.api_mode != _ENHANCED)
        versions_count = len(request.versions.build_ids)
        if request.report_task_reachability and versions_count > _REACHABILITY_VERSIONS_MAX:
            raise invalid_argument(
                "Too many build ids queried at once with ReportTaskReachability==true,"
                f" limit: {_REACHABILITY_VERSIONS_MAX}"
            )
        if request.api_mode == _ENHANCED:
            return self._enhanced(namespace.id, request)
        kind = request.task_queue_type or TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
        part = check_queue_part(request.task_queue, kind)
        queue_kind = request.task_queue.kind
        if request.report_stats and (part or queue_kind in (_STICKY, _WORKER_COMMANDS)):
            raise invalid_argument(
                "DescribeTaskQueue stats are only supported for the root partition"
            )
        queue = self._node.task_queues.describe(
            QueueName(namespace.id, request.task_queue.name, kind)
        )
        response = DescribeTaskQueueResponse(pollers=_pollers(queue))
        if queue_kind != _WORKER_COMMANDS:
            response.versioning_info.current_version = "__unversioned__"
            response.versioning_info.update_time.seconds = _NO_TIME_S
        if request.report_config:
            config = self._context.namespaces.task_queue_config(
                namespace.id, request.task_queue_type, request.task_queue.name
            )
            if config is not None:
                response.config.CopyFrom(config)
        _show_limit(response.effective_rate_limit, queue)
        if request.include_task_queue_status:
            response.task_queue_status.backlog_count_hint = queue.backlog_count
        if request.report_stats:
            stats = self._stats([queue])
            response.stats.CopyFrom(stats)
            self._show_priorities(response, queue, stats)
        return response

    def _enhanced(
        self, namespace_id: str, request: DescribeTaskQueueRequest
    ) -> DescribeTaskQueueResponse:
        """Describe a queue by the versions of its workers. Without versioning, all workers are unversioned."""
        if request.task_queue.kind == _STICKY:
            raise invalid_argument(
                "Enhanced DescribeTaskQueue is not valid for a sticky queue,"
                " use api_mode=UNSPECIFIED or a normal queue."
            )
        versions = {_UNVERSIONED}
        if request.HasField("versions"):
            versions = set(request.versions.build_ids)
            if request.versions.unversioned:
                versions.add(_UNVERSIONED)
        kinds = set(request.task_queue_types) or {
            TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        }
        response = DescribeTaskQueueResponse()
        for version in versions:
            info = response.versions_info[version]
            if request.report_task_reachability:
                info.task_reachability = (
                    BuildIdTaskReachability.BUILD_ID_TASK_REACHABILITY_UNREACHABLE
                    if version
                    else BuildIdTaskReachability.BUILD_ID_TASK_REACHABILITY_REACHABLE
                )
            for kind in kinds:
                name = QueueName(namespace_id, request.task_queue.name, kind)
                self._describe_type(info.types_info[kind], name, version, request)
        return response

    def _describe_type(
        self,
        info: TaskQueueTypeInfo,
        name: QueueName,
        version: str,
        request: DescribeTaskQueueRequest,
    ) -> None:
        queues = [self._node.task_queues.describe(name)] if version == _UNVERSIONED else []
        if request.report_pollers:
            for queue in queues:
                info.pollers.extend(_pollers(queue))
        if request.report_stats:
            info.stats.CopyFrom(self._stats(queues))

    def _stats(self, queues: Iterable[Queue]) -> TaskQueueStats:
        now_ns = self._node.clock.now_ns()
        stats = TaskQueueStats()
        set_duration(stats.approximate_backlog_age, 0)
        for queue in queues:
            stats.approximate_backlog_count = queue.backlog_count
            stats.tasks_add_rate = queue.added.per_second(now_ns)
            stats.tasks_dispatch_rate = queue.dispatched.per_second(now_ns)
            stats.rate_limiting_active = queue.is_held_up(now_ns)
            set_duration(stats.approximate_backlog_age, queue.backlog_age_ns(now_ns))
        return stats

    def _show_priorities(
        self, response: DescribeTaskQueueResponse, queue: Queue, total: TaskQueueStats
    ) -> None:
        """Show the statistics of each priority. Rates are not measured by priority: the default one shows them."""
        now_ns = self._node.clock.now_ns()
        counts = queue.backlog_counts()
        for priority in {DEFAULT_PRIORITY, *counts}:
            stats = response.stats_by_priority_key[priority]
            stats.approximate_backlog_count = counts.get(priority, 0)
            age_ns = queue.backlog_age_ns(now_ns, priority)
            set_duration(stats.approximate_backlog_age, age_ns)
            stats.rate_limiting_active = total.rate_limiting_active
        middle = response.stats_by_priority_key[DEFAULT_PRIORITY]
        middle.tasks_add_rate = total.tasks_add_rate
        middle.tasks_dispatch_rate = total.tasks_dispatch_rate

    async def ListTaskQueuePartitions(
        self, request: ListTaskQueuePartitionsRequest, call: Call
    ) -> ListTaskQueuePartitionsResponse:
        self._context.namespace(request.namespace)
        check_task_queue(request, self._context.limits(request.namespace), is_part=False)
        check_queue_part(request.task_queue, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW)
        response = ListTaskQueuePartitionsResponse()
        for partitions in (
            response.activity_task_queue_partitions,
            response.workflow_task_queue_partitions,
        ):
            partitions.add(
                key=request.task_queue.name, owner_host_name=self._context.addresses().grpc
            )
        return response

    async def ResetStickyTaskQueue(
        self, request: ResetStickyTaskQueueRequest, call: Call
    ) -> ResetStickyTaskQueueResponse:
        namespace = self._context.namespace(request.namespace)
        execution = check_execution(request)
        await self._node.executions.ask(
            self._node.executions.key(namespace.id, execution.workflow_id, execution.run_id),
            ResetSticky(),
        )
        return ResetStickyTaskQueueResponse()

    async def ShutdownWorker(
        self, request: ShutdownWorkerRequest, call: Call
    ) -> ShutdownWorkerResponse:
        namespace = self._context.namespace(request.namespace)
        queues, task_queue = self._node.task_queues, request.task_queue
        ends_polls = self._context.limits(request.namespace).ends_polls_at_shutdown
        is_valid = task_queue and not task_queue.startswith(PART_PREFIX)
        if ends_polls and request.worker_instance_key and is_valid:
            queues.end_polls(request.worker_instance_key)
            for kind in request.task_queue_types or (WORKFLOW_QUEUE, ACTIVITY_QUEUE):
                queues.forget_poller(QueueName(namespace.id, task_queue, kind), request.identity)
        if request.sticky_task_queue:
            queues.forget_worker(namespace.id, request.sticky_task_queue)
        return ShutdownWorkerResponse()


def _show_limit(shown: DescribeTaskQueueResponse.EffectiveRateLimit, queue: Queue) -> None:
    if queue.limit is None:
        shown.requests_per_second = UNLIMITED_PER_SECOND
        shown.rate_limit_source = RateLimitSource.RATE_LIMIT_SOURCE_SYSTEM
        return
    shown.requests_per_second = queue.limit.per_second
    shown.rate_limit_source = (
        RateLimitSource.RATE_LIMIT_SOURCE_API
        if queue.configured_per_second is not None
        else RateLimitSource.RATE_LIMIT_SOURCE_WORKER
    )


def _pollers(queue: Queue) -> Iterator[PollerInfo]:
    # Temporal: the latest poller comes first.
    for info in sorted(queue.pollers.values(), key=lambda info: -info.last_poll_at_ns):
        asked = info.max_per_second
        poller = PollerInfo(
            identity=info.identity,
            rate_per_second=asked if asked is not None else UNLIMITED_PER_SECOND,
        )
        set_timestamp(poller.last_access_time, info.last_poll_at_ns)
        if info.version_capabilities is not None:
            poller.worker_version_capabilities.CopyFrom(
                WorkerVersionCapabilities.FromString(info.version_capabilities)
            )
        yield poller

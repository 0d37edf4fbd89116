"""What clients can learn of a task queue, and how a worker says that it leaves one."""

from temporalio.api.enums.v1 import (
    DescribeTaskQueueMode,
    RateLimitSource,
    TaskQueueType,
)
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueueStats
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeTaskQueueResponse,
    ResetStickyTaskQueueRequest,
    ResetStickyTaskQueueResponse,
    ShutdownWorkerRequest,
    ShutdownWorkerResponse,
)

from perdure.core.errors import Code, Rejected
from perdure.core.workflow.times import set_duration, set_timestamp
from perdure.core.workflow.workflow_task import ResetSticky
from perdure.frontend.call import Call
from perdure.frontend.services import Services
from perdure.frontend.validation import check_execution, check_task_queue
from perdure.runtime.task_queues import ACTIVITY_QUEUE, WORKFLOW_QUEUE, QueueName

#: Temporal: what a worker that sets no limit of its own is shown with.
UNLIMITED_PER_SECOND = 100_000.0
_DEFAULT_PRIORITY = 3
_NO_TIME_S = -62_135_596_800


class TaskQueueDescriptions:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._node = services.node

    async def DescribeTaskQueue(
        self, request: DescribeTaskQueueRequest, call: Call
    ) -> DescribeTaskQueueResponse:
        namespace = self._services.namespace(request.namespace)
        if not request.task_queue.name.startswith(
            "/_sys/"
        ):  # A part of a queue: it has no tasks here.
            check_task_queue(request, self._services.limits)
        if request.api_mode == DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED:
            raise Rejected(
                Code.UNIMPLEMENTED, "DescribeTaskQueue's enhanced mode is not implemented"
            )
        kind = (
            ACTIVITY_QUEUE
            if request.task_queue_type == TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
            else WORKFLOW_QUEUE
        )
        now_ns = self._node.clock.now_ns()
        queue = self._node.task_queues.describe(
            QueueName(namespace.id, request.task_queue.name, kind)
        )
        response = DescribeTaskQueueResponse()
        for info in queue.pollers.values():
            poller = PollerInfo(
                identity=info.identity,
                rate_per_second=info.rate_per_second or UNLIMITED_PER_SECOND,
            )
            set_timestamp(poller.last_access_time, info.last_poll_at_ns)
            response.pollers.append(poller)
        response.versioning_info.current_version = "__unversioned__"
        response.versioning_info.update_time.seconds = _NO_TIME_S
        response.effective_rate_limit.requests_per_second = 0.0
        response.effective_rate_limit.rate_limit_source = RateLimitSource.RATE_LIMIT_SOURCE_SYSTEM
        if request.include_task_queue_status:
            response.task_queue_status.backlog_count_hint = queue.backlog_count
        if request.report_stats:
            stats = TaskQueueStats(
                approximate_backlog_count=queue.backlog_count,
                tasks_add_rate=queue.added.per_second(now_ns),
                tasks_dispatch_rate=queue.dispatched.per_second(now_ns),
            )
            set_duration(stats.approximate_backlog_age, queue.backlog_age_ns(now_ns))
            response.stats.CopyFrom(stats)
            response.stats_by_priority_key[_DEFAULT_PRIORITY].CopyFrom(stats)
        return response

    async def ResetStickyTaskQueue(
        self, request: ResetStickyTaskQueueRequest, call: Call
    ) -> ResetStickyTaskQueueResponse:
        namespace = self._services.namespace(request.namespace)
        execution = check_execution(request)
        await self._node.engine.ask(
            self._node.engine.key(namespace.id, execution.workflow_id, execution.run_id),
            ResetSticky(),
        )
        return ResetStickyTaskQueueResponse()

    async def ShutdownWorker(
        self, request: ShutdownWorkerRequest, call: Call
    ) -> ShutdownWorkerResponse:
        namespace = self._services.namespace(request.namespace)
        if request.sticky_task_queue:
            self._node.task_queues.forget_worker(namespace.id, request.sticky_task_queue)
        return ShutdownWorkerResponse()

"""Operators set the rate limits and fairness weights of a task queue. Its namespace keeps them."""

from typing import Any

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import RateLimitConfig, TaskQueueConfig
from temporalio.api.workflowservice.v1 import (
    UpdateTaskQueueConfigRequest,
    UpdateTaskQueueConfigResponse,
)

from perdure.core.errors import invalid_argument
from perdure.core.times import set_timestamp
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.validation.fields import FAIRNESS_KEY_BYTES_MAX
from perdure.frontend.validation.task_queues import check_family_name
from perdure.runtime.matching.task_queues import QueueName
from perdure.runtime.namespaces import Namespace, with_task_queue_config

REASON_BYTES_MAX = 1000


class TaskQueueConfigs:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def UpdateTaskQueueConfig(
        self, request: UpdateTaskQueueConfigRequest, call: Call
    ) -> UpdateTaskQueueConfigResponse:
        namespace = self._context.namespace(request.namespace)
        weights_max = self._node.limits.fairness_weights_max(
            request.namespace, request.task_queue, request.task_queue_type
        )
        self._check(request, weights_max)
        name = QueueName(namespace.id, request.task_queue, request.task_queue_type)
        now_ns = self._node.clock.now_ns()
        config = TaskQueueConfig()

        def change(old: Namespace) -> Namespace:
            encoded = old.task_queue_configs.get(f"{name.kind}:{name.name}", b"")
            config.CopyFrom(TaskQueueConfig.FromString(encoded))
            _apply(config, request, now_ns, weights_max)
            return with_task_queue_config(old, name.kind, name.name, config)

        await self._context.namespaces.update(namespace.name, change)
        self._node.task_queues.configure(name)
        return UpdateTaskQueueConfigResponse(config=config)

    def _check(self, request: UpdateTaskQueueConfigRequest, weights_max: int) -> None:
        is_workflow = request.task_queue_type == TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
        for update, what, label in (
            (request.update_queue_rate_limit, "rate limit", "UpdateQueueRateLimit"),
            (
                request.update_fairness_key_rate_limit_default,
                "fairness key rate limit",
                "UpdateFairnessKeyRateLimitDefault",
            ),
        ):
            if not update.HasField("rate_limit"):
                continue
            if is_workflow:
                raise invalid_argument(f"Setting {what} on workflow task queues is not allowed.")
            if update.rate_limit.requests_per_second < 0:
                raise invalid_argument(
                    f"RequestsPerSecond for {label} rate limit must be non-negative."
                )
            _check_length(f"{label}.Reason", update.reason, REASON_BYTES_MAX)
        _check_length(
            "Identity", request.identity, self._context.limits(request.namespace).max_id_length
        )
        _check_weights(request, weights_max)
        check_family_name(request.task_queue)


def _check_length(name: str, text: str, limit: int) -> None:
    if len(text.encode()) > limit:
        raise invalid_argument(f"{name} field too long (max {limit} characters).")


def _check_weights(request: UpdateTaskQueueConfigRequest, weights_max: int) -> None:
    wanted, unwanted = (
        request.set_fairness_weight_overrides,
        request.unset_fairness_weight_overrides,
    )
    total = len(wanted) + len(unwanted)
    if total > weights_max:
        raise invalid_argument(
            f"too many fairness weight overrides in request: got {total}, maximum {weights_max}"
        )
    for key in (*wanted, *unwanted):
        if not key:
            raise invalid_argument("fairness weight override key must not be empty")
        if len(key.encode()) > FAIRNESS_KEY_BYTES_MAX:
            raise invalid_argument("fairness key length exceeds limit")
        if key in wanted and wanted[key] <= 0:
            raise invalid_argument(
                f'invalid fairness weight weight for key "{key}": must be greater than zero'
            )
    for key in unwanted:
        if key in wanted:
            raise invalid_argument(
                f'fairness weight override key "{key}" present in both set and unset lists'
            )


def _apply(
    config: TaskQueueConfig,
    request: UpdateTaskQueueConfigRequest,
    now_ns: int,
    weights_max: int,
) -> None:
    """Change `config` as the request says. Raises `Rejected`."""
    if request.HasField("update_queue_rate_limit"):
        _set_limit(config.queue_rate_limit, request.update_queue_rate_limit, request, now_ns)
    if request.HasField("update_fairness_key_rate_limit_default"):
        _set_limit(
            config.fairness_keys_rate_limit_default,
            request.update_fairness_key_rate_limit_default,
            request,
            now_ns,
        )
    for key in request.unset_fairness_weight_overrides:
        config.fairness_weight_overrides.pop(key, None)
    for key, weight in request.set_fairness_weight_overrides.items():
        config.fairness_weight_overrides[key] = weight
    changes = request.set_fairness_weight_overrides or request.unset_fairness_weight_overrides
    # An operator may have lowered the maximum since: a request without weights succeeds all the same.
    if changes and len(config.fairness_weight_overrides) > weights_max:
        raise invalid_argument(
            "fairness weight overrides update rejected: exceeding maximum key size"
        )


def _set_limit(
    limit: RateLimitConfig, update: Any, request: UpdateTaskQueueConfigRequest, now_ns: int
) -> None:
    limit.Clear()
    if update.HasField("rate_limit"):
        limit.rate_limit.CopyFrom(update.rate_limit)
    limit.metadata.reason = update.reason
    limit.metadata.update_identity = request.identity
    set_timestamp(limit.metadata.update_time, now_ns)

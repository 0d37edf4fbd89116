"""Looks up the settings of a task queue: rate limits and fairness weights, from operators and dynamic configuration."""

from perdure.core.matching.backlog import Weights
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.matching.task_queues import QueueName
from perdure.runtime.namespaces import Namespaces


class QueueSettings:
    """Each method fits the parameter of `TaskQueues` of the same name."""

    def __init__(self, namespaces: Namespaces, limits: ConfiguredLimits) -> None:
        self._namespaces = namespaces
        self._limits = limits

    def configured(self, name: QueueName) -> float | None:
        config = self._namespaces.task_queue_config(name.namespace_id, name.kind, name.name)
        if config is None or not config.queue_rate_limit.HasField("rate_limit"):
            return None
        return config.queue_rate_limit.rate_limit.requests_per_second

    def key_rates(self, name: QueueName) -> tuple[float | None, Weights]:
        config = self._namespaces.task_queue_config(name.namespace_id, name.kind, name.name)
        if config is None or not config.fairness_keys_rate_limit_default.HasField("rate_limit"):
            return None, {}
        limit = config.fairness_keys_rate_limit_default.rate_limit
        return limit.requests_per_second, config.fairness_weight_overrides

    def weights(self, name: QueueName) -> Weights | None:
        namespace = self._namespaces.name_of(name.namespace_id)
        if not self._limits.is_fair(namespace, name.name, name.kind):
            return None
        config = self._namespaces.task_queue_config(name.namespace_id, name.kind, name.name)
        return config.fairness_weight_overrides if config is not None else {}

"""Measures calls: the metrics that Temporal has of its frontend."""

from collections.abc import Callable

from perdure.core.errors import Code, Rejected
from perdure.metrics.registry import Registry


class CallMetrics:
    def __init__(self, metrics: Registry, check_namespace: Callable[[str], object]) -> None:
        """`check_namespace` raises `Rejected` for the name of a namespace that does not exist."""
        self._check_namespace = check_namespace
        labels = ("namespace", "operation", "service_name")
        self._requests = metrics.counter("service_requests", *labels)
        self._latency = metrics.histogram("service_latency", *labels)
        self._errors = metrics.counter("service_error_with_type", "error_type", *labels)

    def answered(self, operation: str, namespace: str, seconds: float) -> None:
        self._count((_label(namespace), operation, "frontend"), seconds)

    def refused(self, operation: str, namespace: str, code: Code, seconds: float) -> None:
        labels = (self.namespace_label(namespace), operation, "frontend")
        self._count(labels, seconds)
        error_type = f"serviceerror_{code.name.title().replace('_', '')}"
        self._errors.add((error_type, *labels))

    def namespace_label(self, namespace: str) -> str:
        """Return the label of a namespace. One label stands for all names that do not exist: clients send any text."""
        try:
            self._check_namespace(namespace)
        except Rejected:
            return _label("")
        return _label(namespace)

    def _count(self, labels: tuple[str, str, str], seconds: float) -> None:
        self._requests.add(labels)
        self._latency.observe(seconds, labels)


def _label(namespace: str) -> str:
    """Temporal: a character that Prometheus does not allow in names becomes an underscore in values too."""
    return namespace.replace("-", "_") if namespace else "_unknown_"

"""Rules for namespaces: how long they keep runs, in which cluster they are, which are never deleted."""

from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from perdure.core.errors import invalid_argument
from perdure.core.limits import Limits
from perdure.core.times import duration_ns
from perdure.dynamic_config import DynamicConfig
from perdure.runtime.namespaces import DAY_NS

#: Temporal: a longer retention becomes a hundred years.
RETENTION_MAX_NS = 100 * 365 * DAY_NS


@dataclass(frozen=True, slots=True)
class NamespaceRules:
    """The rules for namespaces that dynamic configuration sets."""

    max_bad_binaries: int = 10
    #: How long the row of a deleted namespace stays after its last run is gone.
    delete_delay_ns: int = 0
    #: Names that are never deleted.
    protected: tuple[str, ...] = ()


#: The keys of dynamic configuration that set the rules, and their defaults.
KEYS = {
    "frontend.maxBadBinaries": "10",
    "frontend.deleteNamespaceNamespaceDeleteDelay": "0s",
    "worker.protectedNamespaces": "[]",
}


def namespace_rules(config: DynamicConfig) -> NamespaceRules:
    max_bad_binaries, delete_delay, protected = KEYS
    defaults = NamespaceRules()
    return NamespaceRules(
        max_bad_binaries=config.integer(max_bad_binaries, defaults.max_bad_binaries),
        delete_delay_ns=int(config.seconds(delete_delay, 0) * 1e9),
        protected=config.strings(protected, defaults.protected),
    )


def retention_ns(duration: Duration, limits: Limits) -> int:
    """Return the retention. Raises `Rejected` if it is shorter than the minimum, by default an hour."""
    wanted_ns = duration_ns(duration)
    if wanted_ns < limits.namespace_min_retention_ns:
        raise invalid_argument("A valid retention period is not set on request.")
    return min(wanted_ns, RETENTION_MAX_NS)


def check_cluster(name: str, cluster_name: str) -> None:
    """Raise `Rejected` for the name of any other cluster: namespaces are not replicated."""
    if name != cluster_name:
        raise invalid_argument(f"Invalid cluster name: {name}")

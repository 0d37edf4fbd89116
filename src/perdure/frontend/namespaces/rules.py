"""Which namespaces clients may make, change and delete."""

from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from perdure.core.errors import invalid_argument
from perdure.core.limits import Limits
from perdure.core.times import duration_ns
from perdure.dynamic_config import DynamicConfig
from perdure.runtime.namespaces import DAY_NS

#: Temporal: whoever asks for more gets a hundred years.
RETENTION_MAX_NS = 100 * 365 * DAY_NS


@dataclass(frozen=True, slots=True)
class NamespaceRules:
    """What dynamic configuration says about namespaces."""

    max_bad_binaries: int = 10
    #: How long the row of a deleted namespace stays when nothing is left in it.
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
    """Return for how long closed runs are kept. Raises `Rejected` for less than an hour, as a rule: 0 is, too."""
    wanted_ns = duration_ns(duration)
    if wanted_ns < limits.namespace_min_retention_ns:
        raise invalid_argument("A valid retention period is not set on request.")
    return min(wanted_ns, RETENTION_MAX_NS)


def check_cluster(name: str, cluster_name: str) -> None:
    """This cluster is alone: there is nothing that a namespace could be replicated to."""
    if name != cluster_name:
        raise invalid_argument(f"Invalid cluster name: {name}")

"""UpdateNamespace computes the changed namespace, with the checks in the real server's order. Pure."""

from collections.abc import Collection, Mapping

import msgspec
from temporalio.api.enums.v1 import NamespaceState, ReplicationState
from temporalio.api.namespace.v1 import NamespaceConfig, UpdateNamespaceInfo
from temporalio.api.replication.v1 import NamespaceReplicationConfig
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest

from perdure.core.errors import invalid_argument
from perdure.core.limits import Limits
from perdure.core.search_attributes import TYPES_BY_NAME
from perdure.frontend.namespaces.rules import NamespaceRules, check_cluster, retention_ns
from perdure.runtime.attribute_periods import attached, detached
from perdure.runtime.namespaces import BadBinary, Namespace, with_attributes

#: Temporal: a namespace goes through these states in order, and never back.
_LIFE = (
    NamespaceState.NAMESPACE_STATE_REGISTERED,
    NamespaceState.NAMESPACE_STATE_DEPRECATED,
    NamespaceState.NAMESPACE_STATE_DELETED,
)


def changed(
    old: Namespace,
    request: UpdateNamespaceRequest,
    rules: NamespaceRules,
    limits: Limits,
    *,
    cluster_name: str,
    now_ns: int,
    clean: Collection[str] = (),
) -> tuple[Namespace, Namespace]:
    """Return the namespace to store, and the one that the answer shows. Raises `Rejected`.

    `clean`: columns of removed search attributes in which no row has a value any more.
    """
    new = _with_info(old, request.update_info)
    new = _with_config(new, request.config, rules, limits, now_ns=now_ns, clean=clean)
    if request.delete_bad_binary:
        if request.delete_bad_binary not in new.bad_binaries:
            raise invalid_argument(
                f"Bad binary checksum {request.delete_bad_binary} doesn't exists."
            )
        kept = {
            checksum: binary
            for checksum, binary in new.bad_binaries.items()
            if checksum != request.delete_bad_binary
        }
        new = msgspec.structs.replace(new, bad_binaries=kept)
    _check_replication(new, request, cluster_name)
    # Temporal: a request that has bad binaries only is answered with them, and they are not stored.
    return (new if _is_stored(request) else old), new


def _is_stored(request: UpdateNamespaceRequest) -> bool:
    info, config, replication = request.update_info, request.config, request.replication_config
    return bool(
        info.description
        or info.owner_email
        or info.data
        or info.state
        or config.HasField("workflow_execution_retention_ttl")
        or config.custom_search_attribute_aliases
        or request.delete_bad_binary
        or replication.clusters
        or replication.active_cluster_name
    )


def _check_replication(old: Namespace, request: UpdateNamespaceRequest, cluster_name: str) -> None:
    wanted: NamespaceReplicationConfig = request.replication_config
    normal = ReplicationState.REPLICATION_STATE_NORMAL
    was = ReplicationState.REPLICATION_STATE_UNSPECIFIED if old.is_built_in else normal
    if wanted.state not in (ReplicationState.REPLICATION_STATE_UNSPECIFIED, was):
        if old.state != NamespaceState.NAMESPACE_STATE_REGISTERED:
            state = NamespaceState.Name(NamespaceState.ValueType(old.state))
            shown = state.removeprefix("NAMESPACE_STATE_").capitalize()
            raise invalid_argument(
                "update ReplicationState is only supported when namespace is in Registered state,"
                f" current state: {shown}"
            )
        if wanted.state == ReplicationState.REPLICATION_STATE_HANDOVER:
            raise invalid_argument("Handover can only be set for global namespace")
    clusters = [cluster.cluster_name for cluster in wanted.clusters]
    for cluster in [*filter(None, [wanted.active_cluster_name]), *clusters]:
        check_cluster(cluster, cluster_name)
    if request.promote_namespace:
        raise invalid_argument(
            "global namespace is not enabled on this cluster, cannot update global namespace"
            f" or promote local namespace: {request.namespace}"
        )
    if len(clusters) > 1:
        raise invalid_argument("Invalid local namespace clusters")


def _with_info(old: Namespace, info: UpdateNamespaceInfo) -> Namespace:
    state = info.state or old.state
    if state != old.state and (
        state not in _LIFE
        or _LIFE.index(NamespaceState.ValueType(state))
        < _LIFE.index(NamespaceState.ValueType(old.state))
    ):
        raise invalid_argument("Invalid namespace state update.")
    return msgspec.structs.replace(
        old,
        description=info.description or old.description,
        owner_email=info.owner_email or old.owner_email,
        data=old.data | dict(info.data),
        state=int(state),
    )


def _with_config(
    old: Namespace,
    config: NamespaceConfig,
    rules: NamespaceRules,
    limits: Limits,
    *,
    now_ns: int,
    clean: Collection[str],
) -> Namespace:
    new = old
    if config.HasField("workflow_execution_retention_ttl"):
        kept_ns = retention_ns(config.workflow_execution_retention_ttl, limits)
        new = msgspec.structs.replace(new, retention_ns=kept_ns)
    if config.HasField("bad_binaries"):
        # Temporal: their time is now, whatever the request says.
        binaries = new.bad_binaries | {
            checksum: BadBinary(info.reason, info.operator, now_ns)
            for checksum, info in config.bad_binaries.binaries.items()
        }
        if len(binaries) > rules.max_bad_binaries:
            raise invalid_argument(
                f"Total resetBinaries cannot exceed the max limit: {rules.max_bad_binaries}"
            )
        new = msgspec.structs.replace(new, bad_binaries=binaries)
    return _with_aliases(new, config.custom_search_attribute_aliases, now_ns, clean)


def _with_aliases(
    namespace: Namespace, wanted: Mapping[str, str], now_ns: int, clean: Collection[str]
) -> Namespace:
    old = namespace.search_attribute_aliases
    periods, aliases = namespace.periods, old
    for field, alias in wanted.items():
        # The real server takes any field name, and nobody can use the attribute: the field's name gives its type.
        if field.rstrip("0123456789") not in TYPES_BY_NAME:
            raise invalid_argument(f"Invalid search attribute field name: {field}")
        if not alias:
            if field in aliases:
                periods, aliases = detached(periods, aliases, field, now_ns=now_ns)
        elif alias in old.values():
            continue  # Temporal: a name that is taken stays where it is, and the request succeeds.
        elif field in old:
            raise invalid_argument("Custom search attribute field name already allocated.")
        else:
            periods, aliases = attached(periods, aliases, field, alias, now_ns=now_ns, clean=clean)
    return with_attributes(namespace, periods, aliases)

"""Operators register, describe, list and change namespaces."""

from collections.abc import Mapping

import msgspec
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import ArchivalState, NamespaceState, ReplicationState
from temporalio.api.namespace.v1 import (
    BadBinaryInfo,
    NamespaceConfig,
    NamespaceInfo,
    UpdateNamespaceInfo,
)
from temporalio.api.replication.v1 import ClusterReplicationConfig, NamespaceReplicationConfig
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeNamespaceResponse,
    ListNamespacesRequest,
    ListNamespacesResponse,
    RegisterNamespaceRequest,
    RegisterNamespaceResponse,
    UpdateNamespaceRequest,
    UpdateNamespaceResponse,
)

from perdure.core.errors import invalid_argument
from perdure.core.workflow.outcome import Limits
from perdure.core.workflow.times import duration_ns, set_duration, set_timestamp, timestamp_ns
from perdure.frontend.call import Call
from perdure.frontend.services import Services
from perdure.frontend.validation import check_no_nul, is_too_long
from perdure.runtime.namespaces import HOUR_NS, BadBinary, Namespace

LIST_PAGE_SIZE = 100
_BAD_RETENTION = "A valid retention period is not set on request."
_NOT_SET = "Namespace not set on request."
#: Temporal: a namespace goes through these in order, and never back.
_LIFE = (
    NamespaceState.NAMESPACE_STATE_REGISTERED,
    NamespaceState.NAMESPACE_STATE_DEPRECATED,
    NamespaceState.NAMESPACE_STATE_DELETED,
)


class NamespaceService:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._namespaces = services.namespaces

    async def RegisterNamespace(
        self, request: RegisterNamespaceRequest, call: Call
    ) -> RegisterNamespaceResponse:
        name = request.namespace
        if not name:
            raise invalid_argument(_NOT_SET)
        _check_length(name, self._services.limits)
        check_no_nul(name, "Namespace")
        if request.is_global_namespace:
            raise invalid_argument("Cannot register global namespace when not enabled")
        retention_ns = _retention_ns(request.workflow_execution_retention_period)
        clusters = [cluster.cluster_name for cluster in request.clusters]
        for cluster in [request.active_cluster_name, *clusters]:
            if cluster and cluster != self._services.cluster_name:
                raise invalid_argument(f"Invalid cluster name: {cluster}")
        await self._namespaces.register(
            Namespace(
                id="",
                name=name,
                description=request.description,
                owner_email=request.owner_email,
                data=dict(request.data),
                retention_ns=retention_ns,
            )
        )
        return RegisterNamespaceResponse()

    async def DescribeNamespace(
        self, request: DescribeNamespaceRequest, call: Call
    ) -> DescribeNamespaceResponse:
        if request.id and request.namespace:
            # Temporal: with two spaces.
            raise invalid_argument(
                "GetNamespace operation failed.  Both ID and Name specified in request."
            )
        if request.id:
            namespace = self._namespaces.get_by_id(request.id)
        elif request.namespace:
            _check_length(request.namespace, self._services.limits)
            namespace = self._namespaces.get(request.namespace)
        else:
            raise invalid_argument(_NOT_SET)
        return self._described(namespace)

    async def ListNamespaces(
        self, request: ListNamespacesRequest, call: Call
    ) -> ListNamespacesResponse:
        if request.page_size < 0:
            raise invalid_argument("PageSize cannot be negative.")
        size = request.page_size or LIST_PAGE_SIZE
        after = request.next_page_token.decode(errors="replace")
        shows_deleted = request.namespace_filter.include_deleted
        found = [
            namespace
            for namespace in self._namespaces.listed()
            if namespace.id > after
            and (shows_deleted or namespace.state != NamespaceState.NAMESPACE_STATE_DELETED)
        ]
        response = ListNamespacesResponse(
            namespaces=[self._described(namespace) for namespace in found[:size]]
        )
        if len(found) > size:
            response.next_page_token = found[size - 1].id.encode()
        return response

    async def UpdateNamespace(
        self, request: UpdateNamespaceRequest, call: Call
    ) -> UpdateNamespaceResponse:
        if not request.namespace:
            raise invalid_argument(_NOT_SET)
        _check_length(request.namespace, self._services.limits)
        self._namespaces.get(request.namespace)
        self._refuse_replication(request)
        now_ns = self._services.node.clock.now_ns()
        namespace = await self._namespaces.update(
            request.namespace, lambda old: _changed(old, request, now_ns)
        )
        described = self._described(namespace)
        return UpdateNamespaceResponse(
            namespace_info=described.namespace_info,
            config=described.config,
            replication_config=described.replication_config,
        )

    def _refuse_replication(self, request: UpdateNamespaceRequest) -> None:
        """This cluster is alone: there is nothing that a namespace could be replicated to."""
        config = request.replication_config
        if request.promote_namespace:
            raise invalid_argument(
                "global namespace is not enabled on this cluster, cannot update global namespace"
                f" or promote local namespace: {request.namespace}"
            )
        clusters = [cluster.cluster_name for cluster in config.clusters]
        for cluster in [config.active_cluster_name, *clusters]:
            if cluster and cluster != self._services.cluster_name:
                raise invalid_argument(f"Invalid cluster name: {cluster}")
        if config.state == ReplicationState.REPLICATION_STATE_HANDOVER:
            raise invalid_argument("Handover can only be set for global namespace")

    def _described(self, namespace: Namespace) -> DescribeNamespaceResponse:
        cluster = self._services.cluster_name
        return DescribeNamespaceResponse(
            namespace_info=_info(namespace, self._services.limits),
            config=_config(namespace),
            replication_config=NamespaceReplicationConfig(
                active_cluster_name=cluster,
                clusters=[ClusterReplicationConfig(cluster_name=cluster)],
                # Temporal: those that the server made for itself have none.
                state=(
                    ReplicationState.REPLICATION_STATE_UNSPECIFIED
                    if namespace.is_built_in
                    else ReplicationState.REPLICATION_STATE_NORMAL
                ),
            ),
        )


def _check_length(name: str, limits: Limits) -> None:
    if is_too_long(name, limits):
        raise invalid_argument("Namespace length exceeds limit.")


def _info(namespace: Namespace, limits: Limits) -> NamespaceInfo:
    info = NamespaceInfo(
        name=namespace.name,
        state=NamespaceState.ValueType(namespace.state),
        description=namespace.description,
        owner_email=namespace.owner_email,
        data=namespace.data,
        id=namespace.id,
    )
    # Only what is true: clients switch features on by these.
    info.capabilities.sync_update = True
    info.capabilities.async_update = True
    info.limits.blob_size_limit_error = limits.blob_size
    info.limits.memo_size_limit_error = limits.memo_size
    info.limits.workflow_task_completion_size_limit_error = 40 * 1024 * 1024
    return info


def _config(namespace: Namespace) -> NamespaceConfig:
    config = NamespaceConfig(
        history_archival_state=ArchivalState.ARCHIVAL_STATE_DISABLED,
        visibility_archival_state=ArchivalState.ARCHIVAL_STATE_DISABLED,
        custom_search_attribute_aliases=namespace.search_attribute_aliases,
    )
    set_duration(config.workflow_execution_retention_ttl, namespace.retention_ns)
    config.bad_binaries.SetInParent()
    for checksum, binary in namespace.bad_binaries.items():
        shown = config.bad_binaries.binaries[checksum]
        shown.reason, shown.operator = binary.reason, binary.operator
        set_timestamp(shown.create_time, binary.created_at_ns)
    return config


def _retention_ns(duration: Duration) -> int:
    retention_ns = duration_ns(duration)
    if retention_ns < HOUR_NS:
        raise invalid_argument(_BAD_RETENTION)
    return retention_ns


def _changed(old: Namespace, request: UpdateNamespaceRequest, now_ns: int) -> Namespace:
    """Return the namespace as the request wants it. Raises `Rejected`."""
    new = _with_info(old, request.update_info)
    config = request.config
    if config.HasField("workflow_execution_retention_ttl"):
        retention_ns = _retention_ns(config.workflow_execution_retention_ttl)
        new = msgspec.structs.replace(new, retention_ns=retention_ns)
    if config.custom_search_attribute_aliases:
        aliases = _with_aliases(
            new.search_attribute_aliases, config.custom_search_attribute_aliases
        )
        new = msgspec.structs.replace(new, search_attribute_aliases=aliases)
    binaries = new.bad_binaries | {
        checksum: _bad_binary(info, now_ns)
        for checksum, info in config.bad_binaries.binaries.items()
    }
    if request.delete_bad_binary:
        if request.delete_bad_binary not in binaries:
            raise invalid_argument(
                f"Bad binary checksum {request.delete_bad_binary} doesn't exists."
            )
        del binaries[request.delete_bad_binary]
    return msgspec.structs.replace(new, bad_binaries=binaries)


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


def _with_aliases(old: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    aliases = dict(old)
    for field, alias in wanted.items():
        if field.rstrip("0123456789") not in _FIELD_KINDS:
            raise invalid_argument(f"Invalid search attribute field name: {field}")
        if not alias:
            aliases.pop(field, None)
        elif field in aliases and aliases[field] != alias:
            raise invalid_argument("Custom search attribute field name already allocated.")
        else:
            aliases[field] = alias
    return aliases


def _bad_binary(info: BadBinaryInfo, now_ns: int) -> BadBinary:
    return BadBinary(info.reason, info.operator, timestamp_ns(info.create_time) or now_ns)


_FIELD_KINDS = ("Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList")

"""Clients describe and list namespaces."""

from temporalio.api.enums.v1 import ArchivalState, NamespaceState, ReplicationState
from temporalio.api.namespace.v1 import NamespaceConfig, NamespaceInfo
from temporalio.api.replication.v1 import ClusterReplicationConfig, NamespaceReplicationConfig
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeNamespaceResponse,
    ListNamespacesRequest,
    ListNamespacesResponse,
)

from perdure.core.errors import invalid_argument
from perdure.core.limits import Limits
from perdure.core.times import set_duration, set_timestamp
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.protobuf_wire import field, fitting
from perdure.frontend.tokens import NamespacesToken, encode, page_token
from perdure.runtime.namespaces import Namespace

LIST_PAGE_SIZE = 100
NOT_SET = "Namespace not set on request."
_FIELDS = ListNamespacesResponse.DESCRIPTOR.fields_by_name
_NAMESPACES_FIELD = _FIELDS["namespaces"].number
_TOKEN_FIELD = _FIELDS["next_page_token"].number


class NamespaceDescriptions:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._namespaces = context.namespaces

    async def DescribeNamespace(
        self, request: DescribeNamespaceRequest, call: Call
    ) -> DescribeNamespaceResponse:
        if request.id and request.namespace:
            # Temporal: with two spaces.
            raise invalid_argument(
                "GetNamespace operation failed.  Both ID and Name specified in request."
            )
        if request.id:
            namespace = self._namespaces.get_by_id(request.id.lower())
        elif request.namespace:
            self._context.check_length(request.namespace)
            namespace = self._namespaces.get(request.namespace)
        else:
            raise invalid_argument(NOT_SET)
        return described(self._context, namespace)

    async def ListNamespaces(self, request: ListNamespacesRequest, call: Call) -> bytes:
        if request.page_size < 0:
            raise invalid_argument("PageSize cannot be negative.")
        size = request.page_size or LIST_PAGE_SIZE
        encoded = request.next_page_token
        after = page_token(encoded, NamespacesToken).namespace_id if encoded else ""
        shows_deleted = request.namespace_filter.include_deleted
        found = [
            namespace
            for namespace in self._namespaces.listed()
            if namespace.id > after
            and (shows_deleted or namespace.state != NamespaceState.NAMESPACE_STATE_DELETED)
        ]
        shown = fitting(described(self._context, each).SerializeToString() for each in found[:size])
        parts = [field(_NAMESPACES_FIELD, each) for each in shown]
        if len(found) > len(parts):
            token = NamespacesToken(found[len(parts) - 1].id)
            parts.append(field(_TOKEN_FIELD, encode(token)))
        return b"".join(parts)


def described(context: Context, namespace: Namespace) -> DescribeNamespaceResponse:
    cluster = context.cluster_name
    return DescribeNamespaceResponse(
        namespace_info=_info(namespace, context.limits(namespace.name)),
        config=_config(namespace),
        replication_config=NamespaceReplicationConfig(
            active_cluster_name=cluster,
            clusters=[ClusterReplicationConfig(cluster_name=cluster)],
            # Temporal: the namespaces that the server itself has made have no state.
            state=(
                ReplicationState.REPLICATION_STATE_UNSPECIFIED
                if namespace.is_built_in
                else ReplicationState.REPLICATION_STATE_NORMAL
            ),
        ),
    )


def _info(namespace: Namespace, limits: Limits) -> NamespaceInfo:
    info = NamespaceInfo(
        name=namespace.name,
        state=NamespaceState.ValueType(namespace.state),
        description=namespace.description,
        owner_email=namespace.owner_email,
        data=namespace.data,
        id=namespace.id,
    )
    # Clients switch features on by these: each must be true.
    info.capabilities.eager_workflow_start = limits.enable_eager_workflow_start
    info.capabilities.reported_problems_search_attribute = True
    info.capabilities.workflow_pause = limits.enable_pause
    info.capabilities.sync_update = limits.allows_updates
    info.capabilities.async_update = limits.allows_async_updates
    info.capabilities.poller_autoscaling = True
    info.capabilities.poller_autoscaling_auto_enroll = limits.poller_autoscaling_auto_enroll
    info.capabilities.workflow_update_callbacks = limits.update_callbacks
    info.capabilities.worker_poll_complete_on_shutdown = limits.ends_polls_at_shutdown
    info.capabilities.workflow_task_completion_pagination = limits.completion_pages
    info.limits.blob_size_limit_error = limits.blob_size
    info.limits.memo_size_limit_error = limits.memo_size
    info.limits.workflow_task_completion_size_limit_error = limits.workflow_task_completion_size
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

"""Operators register, describe, list and change namespaces."""

from collections.abc import Collection

import msgspec
from temporalio.api.enums.v1 import ArchivalState, NamespaceState, ReplicationState
from temporalio.api.namespace.v1 import NamespaceConfig, NamespaceInfo
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest, DeleteNamespaceResponse
from temporalio.api.replication.v1 import ClusterReplicationConfig, NamespaceReplicationConfig
from temporalio.api.workflowservice.v1 import (
    DeprecateNamespaceRequest,
    DeprecateNamespaceResponse,
    DescribeNamespaceRequest,
    DescribeNamespaceResponse,
    ListNamespacesRequest,
    ListNamespacesResponse,
    RegisterNamespaceRequest,
    RegisterNamespaceResponse,
    UpdateNamespaceRequest,
    UpdateNamespaceResponse,
)

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.limits import Limits
from perdure.core.search_attributes import TYPE_NAMES
from perdure.core.times import duration_ns, set_duration, set_timestamp
from perdure.frontend.call import Call
from perdure.frontend.context import Services
from perdure.frontend.namespaces.changes import changed, check_cluster, retention_ns
from perdure.frontend.protobuf_wire import field, fitting
from perdure.frontend.tokens import NamespacesToken, encode, page_token
from perdure.frontend.validation import check_no_nul
from perdure.runtime.namespaces import SYSTEM_ID, Namespace

LIST_PAGE_SIZE = 100
_FIELDS = ListNamespacesResponse.DESCRIPTOR.fields_by_name
_NAMESPACES_FIELD = _FIELDS["namespaces"].number
_TOKEN_FIELD = _FIELDS["next_page_token"].number
_NOT_SET = "Namespace not set on request."


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
        self._services.check_length(name)
        check_no_nul(name, "Namespace")
        if request.is_global_namespace:
            raise invalid_argument("Cannot register global namespace when not enabled")
        kept_ns = retention_ns(
            request.workflow_execution_retention_period, self._services.limits(name)
        )
        clusters = [cluster.cluster_name for cluster in request.clusters]
        for cluster in [*filter(None, [request.active_cluster_name]), *clusters]:
            check_cluster(cluster, self._services.cluster_name)
        await self._namespaces.register(
            Namespace(
                id="",
                name=name,
                description=request.description,
                owner_email=request.owner_email,
                data=dict(request.data),
                retention_ns=kept_ns,
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
            namespace = self._namespaces.get_by_id(request.id.lower())
        elif request.namespace:
            self._services.check_length(request.namespace)
            namespace = self._namespaces.get(request.namespace)
        else:
            raise invalid_argument(_NOT_SET)
        return self._described(namespace)

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
        shown = fitting(self._described(each).SerializeToString() for each in found[:size])
        parts = [field(_NAMESPACES_FIELD, each) for each in shown]
        if len(found) > len(parts):
            token = NamespacesToken(found[len(parts) - 1].id)
            parts.append(field(_TOKEN_FIELD, encode(token)))
        return b"".join(parts)

    async def UpdateNamespace(
        self, request: UpdateNamespaceRequest, call: Call
    ) -> UpdateNamespaceResponse:
        name = self._name(request.namespace)
        now_ns, cluster_name = self._services.node.clock.now_ns(), self._services.cluster_name
        described: list[Namespace] = []
        clean: Collection[str] = ()
        if request.config.custom_search_attribute_aliases:
            clean = await self._namespaces.clean_columns(name, TYPE_NAMES)

        def change(old: Namespace) -> Namespace:
            stored, shown = changed(
                old,
                request,
                self._services.rules,
                self._services.limits(name),
                cluster_name=cluster_name,
                now_ns=now_ns,
                clean=clean,
            )
            described[:] = [shown]
            return stored

        await self._namespaces.update(name, change)
        answer = self._described(described[0])
        return UpdateNamespaceResponse(
            namespace_info=answer.namespace_info,
            config=answer.config,
            replication_config=answer.replication_config,
        )

    async def DeprecateNamespace(
        self, request: DeprecateNamespaceRequest, call: Call
    ) -> DeprecateNamespaceResponse:
        deprecated = int(NamespaceState.NAMESPACE_STATE_DEPRECATED)
        await self._namespaces.update(
            self._name(request.namespace),
            lambda old: msgspec.structs.replace(old, state=deprecated),
        )
        return DeprecateNamespaceResponse()

    async def DeleteNamespace(
        self, request: DeleteNamespaceRequest, call: Call
    ) -> DeleteNamespaceResponse:
        if not request.namespace and not request.namespace_id:
            raise invalid_argument(_NOT_SET)
        self._services.check_length(request.namespace)
        if request.namespace and request.namespace_id:
            raise invalid_argument("Only one of namespace name or Id should be set on request.")
        if request.namespace_id:
            namespace = self._namespaces.get_by_id(request.namespace_id)
        else:
            namespace = self._namespaces.get(request.namespace)
        if namespace.id == SYSTEM_ID:
            raise Rejected(Code.FAILED_PRECONDITION, "unable to delete system namespace")
        rules = self._services.rules
        if namespace.name in rules.protected:
            raise Rejected(
                Code.FAILED_PRECONDITION,
                f"namespace {namespace.name} is protected from deletion",
            )
        delay_ns = rules.delete_delay_ns
        if request.HasField("namespace_delete_delay"):
            delay_ns = max(duration_ns(request.namespace_delete_delay), 0)
        deletion = self._services.node.namespace_deletion
        return DeleteNamespaceResponse(deleted_namespace=await deletion.delete(namespace, delay_ns))

    def _name(self, named: str) -> str:
        """Return the name of a namespace that is to be changed. Raises `Rejected` if it cannot be."""
        if not named:
            raise invalid_argument(_NOT_SET)
        return self._services.namespace(named).name

    def _described(self, namespace: Namespace) -> DescribeNamespaceResponse:
        cluster = self._services.cluster_name
        return DescribeNamespaceResponse(
            namespace_info=_info(namespace, self._services.limits(namespace.name)),
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

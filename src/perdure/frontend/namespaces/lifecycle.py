"""Operators register, change, deprecate and delete namespaces."""

from collections.abc import Collection

import msgspec
from temporalio.api.enums.v1 import NamespaceState
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest, DeleteNamespaceResponse
from temporalio.api.workflowservice.v1 import (
    DeprecateNamespaceRequest,
    DeprecateNamespaceResponse,
    RegisterNamespaceRequest,
    RegisterNamespaceResponse,
    UpdateNamespaceRequest,
    UpdateNamespaceResponse,
)

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.search_attributes import TYPE_NAMES
from perdure.core.times import duration_ns
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.namespaces.description import NOT_SET, described
from perdure.frontend.namespaces.rules import check_cluster, namespace_rules, retention_ns
from perdure.frontend.namespaces.update import changed
from perdure.frontend.validation.fields import check_no_nul
from perdure.runtime.namespaces import SYSTEM_ID, Namespace


class NamespaceLifecycle:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._namespaces = context.namespaces

    async def RegisterNamespace(
        self, request: RegisterNamespaceRequest, call: Call
    ) -> RegisterNamespaceResponse:
        name = request.namespace
        if not name:
            raise invalid_argument(NOT_SET)
        self._context.check_length(name)
        check_no_nul(name, "Namespace")
        if request.is_global_namespace:
            raise invalid_argument("Cannot register global namespace when not enabled")
        kept_ns = retention_ns(
            request.workflow_execution_retention_period, self._context.limits(name)
        )
        clusters = [cluster.cluster_name for cluster in request.clusters]
        for cluster in [*filter(None, [request.active_cluster_name]), *clusters]:
            check_cluster(cluster, self._context.cluster_name)
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

    async def UpdateNamespace(
        self, request: UpdateNamespaceRequest, call: Call
    ) -> UpdateNamespaceResponse:
        name = self._name(request.namespace)
        now_ns, cluster_name = self._context.node.clock.now_ns(), self._context.cluster_name
        changed_to: list[Namespace] = []
        clean: Collection[str] = ()
        if request.config.custom_search_attribute_aliases:
            clean = await self._namespaces.clean_columns(name, TYPE_NAMES)

        def change(old: Namespace) -> Namespace:
            stored, shown = changed(
                old,
                request,
                namespace_rules(self._context.node.limits.config),
                self._context.limits(name),
                cluster_name=cluster_name,
                now_ns=now_ns,
                clean=clean,
            )
            changed_to[:] = [shown]
            return stored

        await self._namespaces.update(name, change)
        answer = described(self._context, changed_to[0])
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
            raise invalid_argument(NOT_SET)
        self._context.check_length(request.namespace)
        if request.namespace and request.namespace_id:
            raise invalid_argument("Only one of namespace name or Id should be set on request.")
        if request.namespace_id:
            namespace = self._namespaces.get_by_id(request.namespace_id)
        else:
            namespace = self._namespaces.get(request.namespace)
        if namespace.id == SYSTEM_ID:
            raise Rejected(Code.FAILED_PRECONDITION, "unable to delete system namespace")
        rules = namespace_rules(self._context.node.limits.config)
        if namespace.name in rules.protected:
            raise Rejected(
                Code.FAILED_PRECONDITION,
                f"namespace {namespace.name} is protected from deletion",
            )
        delay_ns = rules.delete_delay_ns
        if request.HasField("namespace_delete_delay"):
            delay_ns = max(duration_ns(request.namespace_delete_delay), 0)
        deletion = self._context.node.namespace_deletion
        return DeleteNamespaceResponse(deleted_namespace=await deletion.delete(namespace, delay_ns))

    def _name(self, named: str) -> str:
        """Return the name of the namespace to change. Raises `Rejected` if it cannot be changed."""
        if not named:
            raise invalid_argument(NOT_SET)
        return self._context.namespace(named).name

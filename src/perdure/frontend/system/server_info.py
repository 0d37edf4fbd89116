"""Clients ask which version the server has, and what it can do."""

from temporalio.api.workflowservice.v1 import (
    GetClusterInfoRequest,
    GetClusterInfoResponse,
    GetSystemInfoRequest,
    GetSystemInfoResponse,
)

from perdure.frontend.call import Call
from perdure.frontend.client_versions import SERVER_VERSION, SUPPORTED_CLIENTS
from perdure.frontend.context import Context
from perdure.frontend.system.clusters import (
    FAILOVER_VERSION_INCREMENT,
    HISTORY_SHARD_COUNT,
    INITIAL_FAILOVER_VERSION,
)


class ServerInfo:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def GetSystemInfo(
        self, request: GetSystemInfoRequest, call: Call
    ) -> GetSystemInfoResponse:
        return GetSystemInfoResponse(
            server_version=SERVER_VERSION,
            capabilities=GetSystemInfoResponse.Capabilities(
                signal_and_query_header=True,
                internal_error_differentiation=True,
                activity_failure_include_heartbeat=True,
                encoded_failure_attributes=True,
                upsert_memo=True,
                sdk_metadata=True,
                # Workers send their build id only if this is true.
                build_id_based_versioning=True,
                count_group_by_execution_status=True,
                eager_workflow_start=self._context.limits("").enable_eager_workflow_start,
            ),
        )

    async def GetClusterInfo(
        self, request: GetClusterInfoRequest, call: Call
    ) -> GetClusterInfoResponse:
        return GetClusterInfoResponse(
            supported_clients=SUPPORTED_CLIENTS,
            server_version=SERVER_VERSION,
            cluster_id=self._context.cluster_id,
            cluster_name=self._context.cluster_name,
            history_shard_count=HISTORY_SHARD_COUNT,
            persistence_store=self._context.store_name,
            visibility_store=self._context.visibility_store_name,
            initial_failover_version=INITIAL_FAILOVER_VERSION,
            failover_version_increment=FAILOVER_VERSION_INCREMENT,
        )

"""Operators list clusters and connect others. There is no replication: this cluster knows itself alone."""

from temporalio.api.operatorservice.v1 import (
    AddOrUpdateRemoteClusterRequest,
    AddOrUpdateRemoteClusterResponse,
    ClusterMetadata,
    ListClustersRequest,
    ListClustersResponse,
    RemoveRemoteClusterRequest,
    RemoveRemoteClusterResponse,
)

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.frontend.call import Call
from perdure.frontend.context import Context

#: Temporal: a cluster has one shard or more. Here the key space is one range.
HISTORY_SHARD_COUNT = 1
INITIAL_FAILOVER_VERSION = 1
FAILOVER_VERSION_INCREMENT = 10


class Clusters:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def ListClusters(self, request: ListClustersRequest, call: Call) -> ListClustersResponse:
        if request.next_page_token:
            raise invalid_argument("Invalid NextPageToken: there is one page, and it has no token.")
        addresses = self._context.addresses()
        return ListClustersResponse(
            clusters=[
                ClusterMetadata(
                    cluster_name=self._context.cluster_name,
                    cluster_id=self._context.cluster_id,
                    address=addresses.grpc,
                    http_address=addresses.http,
                    initial_failover_version=INITIAL_FAILOVER_VERSION,
                    history_shard_count=HISTORY_SHARD_COUNT,
                    is_connection_enabled=True,
                )
            ]
        )

    async def AddOrUpdateRemoteCluster(
        self, request: AddOrUpdateRemoteClusterRequest, call: Call
    ) -> AddOrUpdateRemoteClusterResponse:
        address = request.frontend_address
        if not address:
            raise Rejected(
                Code.UNAVAILABLE,
                "Unable connect to remote cluster  with error: dns resolver: missing address.",
            )
        if address == self._context.addresses().grpc:
            raise invalid_argument(
                "Unable connect to remote cluster with invalid config:"
                " Cannot update current cluster metadata from rpc calls."
            )
        raise Rejected(
            Code.UNIMPLEMENTED,
            f"AddOrUpdateRemoteCluster of {address}: replication is not implemented",
        )

    async def RemoveRemoteCluster(
        self, request: RemoveRemoteClusterRequest, call: Call
    ) -> RemoveRemoteClusterResponse:
        if request.cluster_name == self._context.cluster_name:
            raise Rejected(
                Code.INTERNAL,
                "Unable to delete cluster info with error: Cannot delete current cluster metadata.",
            )
        raise Rejected(
            Code.NOT_FOUND, "The cluster to be deleted cannot be found in clusters cache."
        )

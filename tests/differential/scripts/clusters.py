"""The cluster itself, and others that are not there."""

from temporalio.api.operatorservice.v1 import request_response_pb2 as operator
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.transcript import plain
from tests.differential.world import World


@script(
    intended=[
        Intended(
            f"*GetSystemInfo.capabilities.{name}",
            "what perdure does not have yet it does not promise",
            sometimes=True,
        )
        for name in (
            "build_id_based_versioning",
            "count_group_by_execution_status",
            "nexus",
            "server_scaled_deployments",
        )
    ]
)
async def system_described(world: World) -> None:
    await world.attempt(api.GetSystemInfoRequest())
    await world.attempt(api.GetClusterInfoRequest())


@script(
    intended=[
        Intended("*.http_address", "perdure opens no HTTP port yet", sometimes=True),
        Intended("*bad token.*", "a bad token is the caller's fault, and there INTERNAL"),
    ]
)
async def clusters_listed(world: World) -> None:
    listed = await world.do(operator.ListClustersRequest(), quiet=True)
    for cluster in listed.clusters:
        assert cluster.address == world.wire.address
        cluster.address = "<address>"
        cluster.http_address = "<address>" if cluster.http_address else ""
        world.note("cluster", plain(cluster))
    await world.attempt(operator.ListClustersRequest(), "bad token", next_page_token="YWJj")


@script(
    intended=[
        Intended("* elsewhere.*", "perdure has no replication and connects to no cluster"),
    ]
)
async def remote_clusters(world: World) -> None:
    add = operator.AddOrUpdateRemoteClusterRequest
    await world.attempt(add(), "no address")
    await world.attempt(add(), "itself", frontend_address=world.wire.address)
    await world.attempt(add(), "elsewhere", frontend_address="127.0.0.1:1")
    for name in ("", "active", "other"):
        await world.attempt(operator.RemoveRemoteClusterRequest(), name, cluster_name=name)

"""The whole server listens before it serves, and serves before all that is due is in memory."""

import asyncio
from collections.abc import Iterable

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub

from perdure.runtime.shard.leases import Leases
from perdure.runtime.shard.loading import Loading
from perdure.server import Server
from perdure.store.port import Lease
from tests.runtime.nodes import until
from tests.served import channel_to, server_of

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(channel: grpc.aio.Channel) -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    return (await stub.Check(health_pb2.HealthCheckRequest())).status


async def described(channel: grpc.aio.Channel) -> str:
    request = DescribeNamespaceRequest(namespace="default")
    reply = await WorkflowServiceStub(channel).DescribeNamespace(request)
    return reply.namespace_info.name


async def listening(server: Server) -> None:
    async def is_listening() -> bool:
        return bool(server.address[1])

    await until(is_listening)


async def test_it_answers_while_it_loads_and_is_healthy_when_it_has_loaded(monkeypatch):
    may_load, original = asyncio.Event(), Loading.take_over

    async def later(self: Loading, leases: Iterable[Lease]) -> int:
        await may_load.wait()
        return await original(self, leases)

    monkeypatch.setattr(Loading, "take_over", later)
    server = server_of(namespaces=["default"])
    await server.start()
    async with channel_to(server) as channel:
        assert await health(channel) == NOT_SERVING
        assert await described(channel) == "default"
        may_load.set()
        while await health(channel) != SERVING:
            continue
    await server.stop(0)


async def test_it_can_stop_while_it_loads(monkeypatch):
    async def never(self: Loading, leases: Iterable[Lease]) -> int:
        await asyncio.Event().wait()
        return 0

    monkeypatch.setattr(Loading, "take_over", never)
    server = server_of()
    await server.start()
    async with asyncio.timeout(20):
        await server.stop(0)


async def test_it_listens_while_it_waits_for_the_lease_and_refuses_calls(monkeypatch):
    is_free, original = asyncio.Event(), Leases.claim

    async def later(self: Leases) -> bool:
        await is_free.wait()
        return await original(self)

    monkeypatch.setattr(Leases, "claim", later)
    server = server_of(namespaces=["default"])
    starting = asyncio.create_task(server.start())
    await listening(server)
    async with channel_to(server) as channel:
        assert await health(channel) == NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await described(channel)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        is_free.set()
        await starting
        assert await described(channel) == "default"
    await server.stop(0)


async def test_it_can_stop_while_it_waits_for_the_lease(monkeypatch):
    async def never(self: Leases) -> bool:
        await asyncio.Event().wait()
        return False

    monkeypatch.setattr(Leases, "claim", never)
    server = server_of()
    starting = asyncio.create_task(server.start())
    await listening(server)
    starting.cancel()
    await asyncio.wait([starting])
    async with asyncio.timeout(20):
        await server.stop(0)

"""A whole server in the process of the tests, on free ports, with its data in memory; and clients of it over gRPC.

For tests that look into the server while it answers. `perdure_server` starts one as a process of its own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub

from perdure.server import Server
from perdure.settings import ServerSettings, Settings, StoreSettings

IN_MEMORY = StoreSettings(url="sqlite::memory:")


def server_of(store: StoreSettings = IN_MEMORY, **settings: Any) -> Server:
    """Return a server that is not started yet."""
    ports = ServerSettings(port=0, http_port=0, metrics_port=0)
    return Server(Settings(server=ports, store=store, **settings))


@asynccontextmanager
async def serving(
    store: StoreSettings = IN_MEMORY, *, grace_s: float = 0, **settings: Any
) -> AsyncIterator[Server]:
    server = server_of(store, **settings)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(grace_s)


@asynccontextmanager
async def channel_to(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel("{}:{}".format(*server.address)) as channel:
        yield channel


@asynccontextmanager
async def client_of(server: Server, namespace: str = "ns") -> AsyncIterator[WorkflowServiceStub]:
    """Yield a client of a server on which this namespace is registered."""
    async with channel_to(server) as channel:
        stub = WorkflowServiceStub(channel)
        await register(stub, namespace)
        yield stub


async def register(stub: WorkflowServiceStub, namespace: str) -> None:
    request = RegisterNamespaceRequest(namespace=namespace)
    request.workflow_execution_retention_period.FromSeconds(86400)
    await stub.RegisterNamespace(request)

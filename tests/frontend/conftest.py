"""Each test of the frontend has a server of its own, and a client of it in the namespace "ns"."""

from collections.abc import AsyncIterator

import pytest
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub

from perdure.server import Server
from tests.served import client_of, serving


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
async def stub(server: Server) -> AsyncIterator[WorkflowServiceStub]:
    async with client_of(server) as stub:
        yield stub

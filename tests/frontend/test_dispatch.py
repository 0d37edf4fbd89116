"""Calls are measured by what the server knows, not by names that clients make up."""

import uuid

import grpc
import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from perdure.metrics import exposition


async def test_names_of_namespaces_that_nobody_has_are_not_measured(server, stub):
    async def ask() -> int:
        request = DescribeNamespaceRequest(namespace=str(uuid.uuid4()))
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.DescribeNamespace(request)
        return len(exposition.text(server.metrics).splitlines())

    assert await ask() == await ask()

"""Load balancers ask for the health of the server, once or for as long as they like."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.served import channel_to

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
WORKFLOW = "temporal.api.workflowservice.v1.WorkflowService"


@pytest.fixture
async def health(server):
    async with channel_to(server) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def asked(service=""):
    return health_pb2.HealthCheckRequest(service=service)


@pytest.mark.parametrize("service", ["", WORKFLOW, "temporal.api.adminservice.v1.AdminService"])
async def test_check(health, service):
    assert (await health.Check(asked(service))).status == SERVING


async def test_check_of_an_unknown_service(health):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await health.Check(asked("nobody"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_watch_tells_each_change(server, health):
    is_ready = True
    server._grpc._methods.health._is_serving = lambda: is_ready
    call = health.Watch(asked(WORKFLOW))
    assert (await call.read()).status == SERVING
    is_ready = False
    assert (await call.read()).status == NOT_SERVING
    is_ready = True
    assert (await call.read()).status == SERVING
    server._grpc._methods.health.drain()
    assert (await call.read()).status == NOT_SERVING
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_watch_of_an_unknown_service_goes_on(health):
    call = health.Watch(asked("nobody"))
    assert (await call.read()).status == UNKNOWN
    call.cancel()


async def test_what_is_not_a_request_is_refused(server):
    async with channel_to(server) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/grpc.health.v1.Health/Check")(b"\xff\xff")
    assert refused.value.code() is grpc.StatusCode.INTERNAL

"""The server as a process: it stops in good order, comes back with everything, and can be watched."""

import asyncio
import urllib.request
from datetime import timedelta

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from tests.e2e.workflows import ACTIVITIES, WORKFLOWS, Collecting, Greeting
from tests.perdure_server import PATIENCE_S, PERDURE, PerdureServer

pytestmark = pytest.mark.slow


@pytest.fixture
def file_server(tmp_path):
    server = PerdureServer(tmp_path, f"sqlite:///{tmp_path / 'perdure.db'}")
    server.start()
    yield server
    server.kill()


async def test_a_restart_loses_nothing(file_server):
    client = await Client.connect(file_server.address)
    async with Worker(client, task_queue="q", workflows=WORKFLOWS, activities=ACTIVITIES):
        sleeping = await client.start_workflow(Collecting.run, 1500, id="sleeping", task_queue="q")
        waiting = await client.start_workflow(Collecting.run, id="waiting", task_queue="q")
        await waiting.signal(Collecting.add, "before")
        assert await waiting.query(Collecting.words) == ["before"]
        # The worker's polls are open meanwhile: they end, and the server with them.
        assert await asyncio.to_thread(file_server.stop) == 0
        assert file_server.log() == ""
        await asyncio.to_thread(file_server.start)
        assert await sleeping.result() == ["slept"]
        await waiting.signal(Collecting.add, "after")
        await waiting.signal(Collecting.stop)
        assert await waiting.result() == ["before", "after"]


async def test_work_under_way_is_finished_before_it_stops(file_server):
    client = await Client.connect(file_server.address)

    async def start(n):
        await client.start_workflow(Greeting.run, "x", id=f"w{n}", task_queue="q")
        return f"w{n}"

    starts = [asyncio.create_task(start(n)) for n in range(100)]
    await starts[0]
    stopping = asyncio.create_task(asyncio.to_thread(file_server.stop))
    assert await stopping == 0
    await asyncio.to_thread(file_server.start)
    # The SDK asks again where it was refused, for ten seconds.
    answers = await asyncio.gather(*starts, return_exceptions=True)
    acknowledged = {each for each in answers if isinstance(each, str)}
    assert all(isinstance(each, str | RPCError) for each in answers)
    assert acknowledged
    listed = {each.id async for each in client.list_workflows()}
    assert acknowledged <= listed


async def test_health_and_reflection(file_server):
    async with grpc.aio.insecure_channel(file_server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "temporal.api.workflowservice.v1.WorkflowService"):
            reply = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await health.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        async for reply in call:
            services = {each.name for each in reply.list_services_response.service}
            assert "temporal.api.workflowservice.v1.WorkflowService" in services
            break


async def test_metrics_have_the_names_that_dashboards_know(file_server):
    client = await Client.connect(file_server.address)
    await client.start_workflow(Greeting.run, "x", id="w", task_queue="q")

    def scrape():
        url = f"http://127.0.0.1:{file_server.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as page:
            return page.read().decode()

    text = await asyncio.to_thread(scrape)
    for line in (
        'service_requests{namespace="default",operation="StartWorkflowExecution",service_name="frontend"} 1',
        'service_latency_count{namespace="default",operation="StartWorkflowExecution",service_name="frontend"} 1',
        'approximate_backlog_count{namespace="default",taskqueue="q",task_type="Workflow"} 1',
        "# TYPE persistence_latency histogram",
    ):
        assert line in text


async def test_an_sdk_starts_its_dev_server():
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(PERDURE),
        namespace="mine",
        dev_server_startup_timeout=timedelta(seconds=PATIENCE_S),
    ) as environment:
        client = environment.client
        async with Worker(client, task_queue="q", workflows=WORKFLOWS, activities=ACTIVITIES):
            result = await client.execute_workflow(
                Greeting.run,
                "test",
                id="w",
                task_queue="q",
                execution_timeout=timedelta(seconds=30),
            )
    assert result == "Hello test!"

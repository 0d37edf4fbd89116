"""`perdure server …` as a process: what it prints, what it refuses, and how it stops."""

import asyncio
import signal
import socket
import tomllib
from contextlib import closing

import pytest
from temporalio.api.enums.v1 import HistoryEventFilterType, TaskQueueType
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    GetSystemInfoRequest,
    GetWorkflowExecutionHistoryRequest,
    ListNamespacesRequest,
    PollWorkflowTaskQueueRequest,
    QueryWorkflowRequest,
    UpdateWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from perdure.cli import serving
from perdure.server import Server
from perdure.settings import Settings, StoreSettings
from tests.cli.perdure_process import PATIENCE_S, run, running
from tests.ports import free_port

pytestmark = pytest.mark.slow
DEV = ("server", "start-dev", "--headless")


async def client_of(server, namespace="default"):
    return await Client.connect(server.address, namespace=namespace)


async def test_it_says_where_it_listens_and_answers_there():
    port = free_port()
    async with running(*DEV, "--port", str(port)) as server:
        assert server.banner["Server"] == f"localhost:{port}"
        assert server.banner["Persistence"] == "in-memory"
        assert server.banner["Metrics"].startswith("http://localhost:")
        assert "HTTP" not in server.banner
        client = await client_of(server)
        assert (
            await client.workflow_service.get_system_info(GetSystemInfoRequest())
        ).server_version


async def test_port_0_is_a_free_one_and_the_file_is_named(tmp_path):
    file = tmp_path / "perdure.db"
    async with running(*DEV, "--port", "0", "-f", str(file)) as server:
        assert server.banner["Persistence"] == str(file)
        assert not server.address.endswith(":0")
        await client_of(server)
    assert file.exists()


async def test_namespaces_are_there_when_it_is_ready():
    async with running(*DEV, "--port", "0", "-n", "orders", "--namespace", "default") as server:
        client = await client_of(server)
        listed = await client.workflow_service.list_namespaces(ListNamespacesRequest())
        names = {namespace.namespace_info.name for namespace in listed.namespaces}
        assert {"default", "orders"} <= names


@pytest.mark.parametrize(
    ("flag", "what"),
    [
        ("--port", "frontend port"),
        ("--http-port", "frontend HTTP port"),
        ("--metrics-port", "metrics port"),
    ],
)
async def test_a_port_in_use_is_one_line(flag, what):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"--port": str(free_port()), flag: str(port)}
        code, out, err = await run(*DEV, *(word for pair in ports.items() for word in pair))
    assert (code, out) == (1, "")
    assert err == f"Error: can't set {what} {port}: 127.0.0.1: Address already in use\n"


async def test_a_port_in_use_is_one_line_for_start_too(tmp_path):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, out, err = await run(
            *("server", "start"), PERDURE_SERVER_PORT=port, PERDURE_STORE_URL="sqlite::memory:"
        )
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert port in err


async def test_an_address_that_is_not_ours_is_one_line():
    code, _, err = await run(*DEV, "--ip", "192.0.2.1", "--port", "0")
    assert code == 1
    assert err == "Error: can't set frontend port 0: 192.0.2.1: Cannot assign requested address\n"


async def test_a_file_in_use_is_one_line(tmp_path):
    file = str(tmp_path / "perdure.db")
    async with running(*DEV, "--port", "0", "-f", file):
        code, out, err = await run(*DEV, "--port", "0", "-f", file)
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert file in err


async def test_a_file_that_cannot_be_made_is_one_line():
    code, out, err = await run(*DEV, "--port", "0", "-f", "/nonexistent/perdure.db")
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert "/nonexistent" in err


async def test_a_file_that_is_no_database_is_one_line(tmp_path):
    file = tmp_path / "perdure.db"
    file.write_text("Dear diary,\n" * 1000)
    code, out, err = await run(*DEV, "--port", "0", "-f", str(file))
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_it(number):
    """A worker's poll ends with an answer, not with a broken connection, and the exit is a clean one."""
    async with running(*DEV, "--port", "0") as server:
        client = await client_of(server)
        request = PollWorkflowTaskQueueRequest(namespace="default")
        request.task_queue.name = "drained"
        poll = asyncio.create_task(client.workflow_service.poll_workflow_task_queue(request))
        async with asyncio.timeout(PATIENCE_S):
            while not await pollers_of(client, "drained"):
                continue
        code, err = await server.stop(number)
        assert not (await poll).task_token
        assert code == 0
        assert err == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_a_server_that_waits_for_another_one(number, monkeypatch):
    """It may wait for the lease for ever."""

    class Waiting(Server):
        async def start(self) -> None:
            signal.raise_signal(number)
            await asyncio.Event().wait()

    monkeypatch.setattr(serving, "Server", Waiting)
    settings = Settings(store=StoreSettings(url="sqlite::memory:"))
    handlers = {each: signal.getsignal(each) for each in serving.STOP_SIGNALS}
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await serving._serve(settings, shows_http=False) == 0
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)


async def test_a_signal_sends_away_who_waits_for_others():
    """Long polls are told to ask again, not kept until the time for draining is over."""
    async with running(*DEV, "--port", "0") as server:
        client = await client_of(server)
        handle = await client.start_workflow("Workflow", id="waits", task_queue="nobody")
        service = client.workflow_service
        execution = {"workflow_id": "waits"}
        calls = [
            service.get_workflow_execution_history(
                GetWorkflowExecutionHistoryRequest(
                    namespace="default",
                    execution=execution,
                    wait_new_event=True,
                    history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
                )
            ),
            service.query_workflow(
                QueryWorkflowRequest(
                    namespace="default", execution=execution, query={"query_type": "query"}
                )
            ),
            service.update_workflow_execution(
                UpdateWorkflowExecutionRequest(
                    namespace="default",
                    workflow_execution=execution,
                    request={"meta": {"update_id": "update"}, "input": {"name": "update"}},
                )
            ),
        ]
        waiting = [asyncio.create_task(call) for call in calls]
        # Calls of one connection are taken in the order in which they were made.
        await handle.describe()
        code, err = await server.stop()
        for refusal in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(refusal, RPCError)
            assert refusal.status is RPCStatusCode.UNAVAILABLE
            assert refusal.message == "the server is shutting down"
        assert (code, err) == (0, "")


async def pollers_of(client, task_queue):
    request = DescribeTaskQueueRequest(namespace="default")
    request.task_queue.name = task_queue
    request.task_queue_type = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
    return (await client.workflow_service.describe_task_queue(request)).pollers


async def test_settings_are_printed_as_a_file_that_start_takes(tmp_path):
    async with running(*DEV, "--port", "0", "--log-config", "-n", "orders") as server:
        _, err = await server.stop()
    printed = tomllib.loads(err)
    assert printed["namespaces"] == ["default", "orders"]
    config = tmp_path / "perdure.toml"
    config.write_text(err)
    async with running("server", "start", "--config", str(config)) as server:
        assert server.banner["Persistence"] == "in-memory"
        await client_of(server, "orders")


async def test_start_takes_everything_from_the_environment(tmp_path):
    file = tmp_path / "perdure.db"
    settings = {
        "PERDURE_STORE_URL": f"sqlite:///{file}",
        "PERDURE_SERVER_PORT": "0",
        "PERDURE_SERVER_HTTP_PORT": "0",
        "PERDURE_SERVER_METRICS_PORT": "0",
        "PERDURE_LOG_FORMAT": "json",
    }
    async with running("server", "start", **settings) as server:
        assert server.banner["Persistence"] == str(file)
        await client_of(server)
        code, _ = await server.stop()
        assert code == 0


async def test_start_without_a_store_is_one_line():
    code, _, err = await run("server", "start")
    assert code == 1
    assert err.startswith("Error: store.url: expected ")
    assert err.count("\n") == 1

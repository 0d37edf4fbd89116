"""A whole server whose lists are in a database of their own: they follow, also after a crash, and where it was not."""

import asyncio
import json
import sys
import urllib.request
from pathlib import Path

import pytest
from temporalio.api.workflowservice.v1 import GetClusterInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from tests.perdure_server import PerdureServer
from tests.postgres import running_postgres

pytestmark = pytest.mark.slow
TEMPORAL = Path(sys.executable).parent / "temporal"
PATIENCE_S = 60


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request, tmp_path):
    if request.param == "sqlite":
        yield [f"sqlite:///{tmp_path / name}.db" for name in ("main", "lists")], None
        return
    with running_postgres() as postgres:
        yield [postgres.new_database(), postgres.new_database()], postgres


@pytest.fixture
def server(urls, tmp_path):
    (main, second), _ = urls
    server = PerdureServer(tmp_path, main)
    server.use_lists(second)
    server.set_up()
    yield server
    server.kill()


def metric(server, name):
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as page:
        [line] = [line for line in page.read().decode().splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


async def cli(server, tmp_path, *arguments):
    process = await asyncio.create_subprocess_exec(
        TEMPORAL, *arguments, "--address", server.address, "-o", "json",
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, (out + err).decode()
    return json.loads(out) if out.strip() else None


async def counted(client, query, expected):
    """Return when lists count so many."""
    found = -1
    async with asyncio.timeout(PATIENCE_S):
        while found != expected:
            try:
                found = (await client.count_workflows(query)).count
            except RPCError as error:
                if error.status is not RPCStatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(0.05)


async def start(client, ids):
    return [await client.start_workflow("T", id=each, task_queue="q") for each in ids]


async def test_lists_follow_through_a_crash(server, tmp_path):
    server.start()
    client = await Client.connect(server.address)
    handles = await start(client, [f"w{number}" for number in range(20)])
    await handles[0].terminate()
    server.kill()
    server.start()
    client = await Client.connect(server.address)
    await counted(client, "ExecutionStatus = 'Running'", 19)
    await counted(client, "", 20)
    listed = await cli(server, tmp_path, "workflow", "list", "--query", "WorkflowId = 'w0'")
    assert [each["status"] for each in listed] == ["WORKFLOW_EXECUTION_STATUS_TERMINATED"]
    await cli(server, tmp_path, "workflow", "delete", "--workflow-id", "w1", "--yes")
    await counted(client, "", 19)
    assert metric(server, "perdure_visibility_lag_seconds") == 0
    assert metric(server, "perdure_visibility_rows_waiting") == 0


async def test_a_database_that_has_lists_can_be_given_a_second_one(server, urls):
    (_, second), _ = urls
    server.use_lists("")
    server.start()
    client = await Client.connect(server.address)
    await start(client, [f"w{number}" for number in range(7)])
    assert (await client.count_workflows("")).count == 7
    assert server.stop() == 0
    server.use_lists(second)
    server.start()
    client = await Client.connect(server.address)
    await start(client, ["new"])
    await counted(client, "", 8)
    await counted(client, "WorkflowType = 'T'", 8)


async def test_without_its_second_database_a_server_starts_and_works(server, urls):
    _, postgres = urls
    if postgres is None:
        pytest.skip("a file is always there")
    postgres.sql("ALTER DATABASE test_2 ALLOW_CONNECTIONS false")
    server.start()
    client = await Client.connect(server.address)
    handles = await start(client, ["w0", "w1"])
    await handles[0].terminate()
    with pytest.raises(RPCError) as refused:
        await client.count_workflows("")
    assert refused.value.status is RPCStatusCode.UNAVAILABLE
    async with asyncio.timeout(PATIENCE_S):
        while metric(server, "perdure_visibility_rows_waiting") != 3:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert metric(server, "perdure_visibility_lag_seconds") > 0
    postgres.sql("ALTER DATABASE test_2 ALLOW_CONNECTIONS true")
    await counted(client, "", 2)
    await counted(client, "ExecutionStatus = 'Terminated'", 1)


async def test_the_cluster_says_which_kind_keeps_the_lists(tmp_path):
    with running_postgres() as postgres:
        server = PerdureServer(tmp_path, postgres.new_database())
        server.use_lists(f"sqlite:///{tmp_path / 'lists.db'}")
        server.set_up()
        server.start()
        try:
            client = await Client.connect(server.address)
            info = await client.workflow_service.get_cluster_info(GetClusterInfoRequest())
            assert (info.persistence_store, info.visibility_store) == ("postgresql", "sqlite")
        finally:
            server.kill()

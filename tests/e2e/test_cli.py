"""The official command line against perdure: what it does, and how it exits."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from temporalio.worker import Worker

from tests.e2e.workflows import ACTIVITIES, WORKFLOWS

pytestmark = pytest.mark.slow
TEMPORAL = Path(sys.executable).parent / "temporal"
PATIENCE_S = 60


@pytest.fixture
def cli(server, tmp_path):
    async def run(*arguments, code=0):
        process = await asyncio.create_subprocess_exec(
            TEMPORAL,
            *arguments,
            "--address",
            server.address,
            "-o",
            "json",
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        assert process.returncode == code, (out + err).decode()
        return json.loads(out) if out.strip() else err.decode()

    return run


@pytest.fixture
async def worker(client, queue):
    async with Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES):
        yield


def of(workflow_id):
    return "--workflow-id", workflow_id


async def test_start_and_execute(cli, worker, queue, name):
    start = "--task-queue", queue, "--type", "Greeting", "--input", '"CLI"'
    started = await cli("workflow", "start", *start, *of(name("s")))
    assert started["workflowId"] == name("s")
    executed = await cli("workflow", "execute", *start, *of(name("e")))
    assert executed["result"] == "Hello CLI!"
    shown = await cli("workflow", "show", *of(name("e")))
    assert shown["events"][-1]["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED"
    result = await cli("workflow", "result", *of(name("s")))
    assert result["result"] == "Hello CLI!"


async def test_signal_query_describe_and_update(cli, worker, queue, name):
    start = "--task-queue", queue, "--type", "Collecting"
    await cli("workflow", "start", *start, *of(name("c")))
    await cli("workflow", "signal", *of(name("c")), "--name", "add", "--input", '"a"')
    asked = await cli("workflow", "query", *of(name("c")), "--type", "words")
    assert asked["queryResult"] == [["a"]] or asked["queryResult"] == ["a"]
    updated = await cli(
        "workflow", "update", "execute", *of(name("c")), "--name", "append", "--input", '"b"'
    )
    assert updated["result"] == 2
    described = await cli("workflow", "describe", *of(name("c")))
    assert described["workflowExecutionInfo"]["status"] == "WORKFLOW_EXECUTION_STATUS_RUNNING"
    await cli("workflow", "signal", *of(name("c")), "--name", "stop")
    assert (await cli("workflow", "result", *of(name("c"))))["result"] == ["a", "b"]


async def test_cancel_and_terminate(cli, worker, queue, name):
    start = "--task-queue", queue, "--type", "Collecting"
    await cli("workflow", "start", *start, *of(name("c")))
    await cli("workflow", "cancel", *of(name("c")))
    ended = await cli("workflow", "result", *of(name("c")), code=1)
    assert ended["status"] == "CANCELED"
    await cli("workflow", "start", *start, *of(name("t")))
    await cli("workflow", "terminate", *of(name("t")), "--reason", "enough")
    described = await cli("workflow", "describe", *of(name("t")))
    assert described["workflowExecutionInfo"]["status"] == "WORKFLOW_EXECUTION_STATUS_TERMINATED"
    said = await cli("workflow", "terminate", *of(name("t")), code=1)
    assert "workflow execution already completed" in said
    assert "not found" in await cli("workflow", "describe", *of(name("nobody")), code=1)


async def test_reset(cli, worker, queue, name):
    start = "--task-queue", queue, "--type", "Greeting", "--input", '"Temporal"'
    await cli("workflow", "execute", *start, *of(name("r")))
    reset = await cli(
        "workflow", "reset", *of(name("r")), "--type", "FirstWorkflowTask", "--reason", "once more"
    )
    result = await cli("workflow", "result", *of(name("r")))
    assert result["result"] == "Hello Temporal!"
    described = await cli("workflow", "describe", *of(name("r")))
    assert described["workflowExecutionInfo"]["execution"]["runId"] == reset["runId"]
    assert described["workflowExtendedInfo"]["lastResetTime"]


async def test_list_and_count(cli, queue, name):
    start = "--task-queue", queue, "--type", "Collecting"
    before = int((await cli("workflow", "count"))["count"])
    for n in range(3):
        await cli("workflow", "start", *start, *of(name(n)))
    assert int((await cli("workflow", "count"))["count"]) == before + 3
    listed = await cli("workflow", "list", "--limit", "3")
    assert {each["execution"]["workflowId"] for each in listed} == {name(n) for n in range(3)}


async def test_task_queue(cli, worker, queue):
    described = await cli("task-queue", "describe", "--task-queue", queue, "--legacy-mode")
    assert described["pollers"]


async def test_operator(cli, name):
    await cli("operator", "namespace", "create", "--namespace", name("ns"), "--retention", "2d")
    described = await cli("operator", "namespace", "describe", "--namespace", name("ns"))
    info = described[0] if isinstance(described, list) else described
    assert info["namespaceInfo"]["name"] == name("ns")
    assert info["config"]["workflowExecutionRetentionTtl"] == "172800s"
    again = await cli(
        "operator", "namespace", "create", "--namespace", name("ns"), "--retention", "2d", code=1
    )
    assert "already exists" in again
    assert (await cli("operator", "cluster", "health"))["status"] == "SERVING"


async def test_namespace_is_changed_and_deleted(cli, name):
    namespace = "--namespace", name("ns")
    await cli("operator", "namespace", "create", *namespace, "--retention", "2d")
    update = "operator", "namespace", "update"
    await cli(*update, *namespace, "--retention", "3d", "--data", "k=v", "--description", "new")
    described = await cli("operator", "namespace", "describe", *namespace)
    info = described[0] if isinstance(described, list) else described
    assert info["config"]["workflowExecutionRetentionTtl"] == "259200s"
    assert info["namespaceInfo"]["data"] == {"k": "v"}
    assert info["namespaceInfo"]["description"] == "new"
    await cli("operator", "namespace", "delete", *namespace, "--yes")
    assert "not found" in await cli("operator", "namespace", "describe", *namespace, code=1)
    listed = await cli("operator", "namespace", "list")
    assert name("ns") not in {each["namespaceInfo"]["name"] for each in listed}
    await cli("operator", "namespace", "create", *namespace, "--retention", "2d")

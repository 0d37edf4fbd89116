"""Each file opens, and all that was under way in it ends as if nothing had happened."""

import asyncio
import gzip
from pathlib import Path

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import UnpauseActivityRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import Worker

from tests.older.story import LATER, NAMESPACE, QUEUE, WORKFLOWS, Waiting, add_one
from tests.perdure_server import PATIENCE_S, PerdureServer

FILES = sorted(Path(__file__).parent.glob("*.db.gz"))


@pytest.fixture(params=FILES, ids=lambda path: path.name.partition(".")[0])
def server(request, tmp_path):
    path = tmp_path / "older.db"
    path.write_bytes(gzip.decompress(request.param.read_bytes()))
    server = PerdureServer(tmp_path, f"sqlite:///{path}")
    server.start()
    yield server
    server.kill()


@pytest.mark.slow
async def test_what_was_under_way_goes_on(server):
    client = await Client.connect(server.address, namespace=NAMESPACE)
    async with (
        asyncio.timeout(PATIENCE_S),
        Worker(client, task_queue=QUEUE, workflows=WORKFLOWS),
        Worker(client, task_queue=LATER, activities=[add_one]),
    ):
        closed = client.get_workflow_handle("closed", result_type=int)
        assert await closed.result() == 7

        waiting = client.get_workflow_handle("waiting", result_type=int)
        assert await (await waiting.describe()).memo() == {"told": "then"}
        assert await waiting.execute_update(Waiting.added, 100) == 111
        await waiting.signal(Waiting.end)
        assert await waiting.result() == 111

        updated = client.get_workflow_handle("updated", result_type=int)
        await updated.signal(Waiting.add, 5)
        await updated.signal(Waiting.end)
        assert await updated.get_update_handle("update", result_type=int).result() == 5

        continued = client.get_workflow_handle("continued", result_type=int)
        await continued.signal(Waiting.end)
        assert await continued.result() == 0

        await client.get_workflow_handle("parent-child").signal(Waiting.end)
        assert await client.get_workflow_handle("parent", result_type=int).result() == 1000

        assert await client.get_workflow_handle("scheduled", result_type=int).result() == 2
        paused = WorkflowExecution(workflow_id="paused")
        await client.workflow_service.unpause_activity(
            UnpauseActivityRequest(namespace=NAMESPACE, execution=paused, id="one")
        )
        assert await client.get_workflow_handle("paused", result_type=int).result() == 2

        retrying = client.get_workflow_handle("retrying")
        (failed,) = (await retrying.describe()).raw_description.pending_activities
        assert failed.attempt == 2
        assert failed.last_failure.message == "not below zero"
        await retrying.terminate()

        sleeping = client.get_workflow_handle("sleeping")
        await sleeping.cancel()
        with pytest.raises(Exception, match="Workflow execution failed"):
            await sleeping.result()
        assert (await sleeping.describe()).status is WorkflowExecutionStatus.CANCELED

        assert (await client.count_workflows("ExecutionStatus = 'Running'")).count == 0
        assert (await client.count_workflows("")).count == 12

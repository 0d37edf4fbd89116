"""The work under way in an older file: `python -m tests.older.story ADDRESS` plays its beginning to a running server.

To add the file of a version: start its server on an empty file, tell it the story, stop the server, and
`gzip -9n < FILE > tests/older/DATE.db.gz`. Nothing in it may be due before a test opens it years later.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio import activity, workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateStage
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

NAMESPACE, QUEUE, LATER = "older", "older", "older-later"
#: Longer than anybody keeps such a file.
YEARS = timedelta(days=36500)


@activity.defn
async def add_one(number: int) -> int:
    if number < 0:
        raise ApplicationError("not below zero", next_retry_delay=YEARS / 2)
    return number + 1


@workflow.defn
class Waiting:
    """Ends by a signal, with what signals and updates added up to."""

    def __init__(self) -> None:
        self._sum = 0
        self._is_over = False

    @workflow.run
    async def run(self, runs_before: int = 0) -> int:
        if runs_before:
            workflow.continue_as_new(runs_before - 1)
        await workflow.wait_condition(lambda: self._is_over and workflow.all_handlers_finished())
        return self._sum

    @workflow.signal
    async def add(self, number: int) -> None:
        self._sum += number

    @workflow.signal
    async def end(self) -> None:
        self._is_over = True

    @workflow.update
    async def added(self, number: int) -> int:
        self._sum += number
        return self._sum

    @workflow.update
    async def at_the_end(self) -> int:
        await workflow.wait_condition(lambda: self._is_over)
        return self._sum


@workflow.defn
class Parent:
    @workflow.run
    async def run(self) -> int:
        child: int = await workflow.execute_child_workflow(
            Waiting.run, id=f"{workflow.info().workflow_id}-child"
        )
        return child + 1000


@workflow.defn
class Acting:
    """One activity: on another queue, or one that fails and is tried again in years."""

    @workflow.run
    async def run(self, number: int, queue: str) -> int:
        return await workflow.execute_activity(
            add_one,
            number,
            task_queue=queue,
            activity_id="one",
            schedule_to_close_timeout=YEARS,
            retry_policy=RetryPolicy(maximum_interval=YEARS),
        )


@workflow.defn
class Sleeping:
    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(YEARS)


WORKFLOWS = [Waiting, Parent, Acting, Sleeping]


async def tell(address: str) -> None:
    lobby = await Client.connect(address)
    retention = Duration(seconds=int(YEARS.total_seconds()))
    await lobby.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=NAMESPACE, workflow_execution_retention_period=retention)
    )
    client = await Client.connect(address, namespace=NAMESPACE, identity="an older worker")
    async with Worker(client, task_queue=QUEUE, workflows=WORKFLOWS, activities=[add_one]):
        await _begin(client)


async def _begin(client: Client) -> None:
    closed = await client.start_workflow(Waiting.run, id="closed", task_queue=QUEUE)
    await closed.signal(Waiting.add, 7)
    await closed.signal(Waiting.end)
    await closed.result()

    waiting = await client.start_workflow(
        Waiting.run, id="waiting", task_queue=QUEUE, memo={"told": "then"}
    )
    await waiting.signal(Waiting.add, 1)
    await waiting.execute_update(Waiting.added, 10)

    updated = await client.start_workflow(Waiting.run, id="updated", task_queue=QUEUE)
    await updated.start_update(
        Waiting.at_the_end, id="update", wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )

    await client.start_workflow(Waiting.run, 2, id="continued", task_queue=QUEUE)
    await _until(lambda: _count_runs(client, "continued"), 3)

    await client.start_workflow(Parent.run, id="parent", task_queue=QUEUE)
    await _until(lambda: _count_runs(client, "parent-child"), 1)

    await client.start_workflow(Acting.run, args=[1, LATER], id="scheduled", task_queue=QUEUE)
    await client.start_workflow(Acting.run, args=[1, LATER], id="paused", task_queue=QUEUE)
    await client.start_workflow(Acting.run, args=[-1, QUEUE], id="retrying", task_queue=QUEUE)
    await _until(lambda: _attempts(client, "scheduled"), [1])
    await _until(lambda: _attempts(client, "paused"), [1])
    await _until(lambda: _attempts(client, "retrying"), [2])
    await client.workflow_service.pause_activity(
        PauseActivityRequest(
            namespace=NAMESPACE, execution=WorkflowExecution(workflow_id="paused"), id="one"
        )
    )

    sleeping = await client.start_workflow(Sleeping.run, id="sleeping", task_queue=QUEUE)
    await _until(lambda: _count_events(sleeping), 5)


async def _until(ask: Callable[[], Awaitable[object]], answer: object) -> None:
    async with asyncio.timeout(30):
        while await ask() != answer:  # noqa: ASYNC110 - a server is asked, there is no event
            await asyncio.sleep(0.05)


async def _count_runs(client: Client, workflow_id: str) -> int:
    return len([each async for each in client.list_workflows() if each.id == workflow_id])


async def _count_events(handle: WorkflowHandle[Any, Any]) -> int:
    return len((await handle.fetch_history()).events)


async def _attempts(client: Client, workflow_id: str) -> list[int]:
    description = await client.get_workflow_handle(workflow_id).describe()
    return [each.attempt for each in description.raw_description.pending_activities]


if __name__ == "__main__":
    asyncio.run(tell(sys.argv[1]))

"""Looking around: lists and counts of workflows, descriptions of task queues."""

from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    complete_workflow,
    continue_as_new,
    fail_workflow,
    json_payloads,
    schedule_activity,
)
from tests.differential.registry import script
from tests.differential.wire import Refusal
from tests.differential.world import World

_ONE = json_payloads("one")["payloads"][0]


async def _listed(world: World, label: str, wanted: int) -> Any:
    """The list once it has as many entries as it should: the real server's is late."""
    for _ in range(50):
        counted = await world.do(api.CountWorkflowExecutionsRequest(), quiet=True)
        if counted.count == wanted:
            break
        await world.wait(0.1)
    return await world.attempt(api.ListWorkflowExecutionsRequest(), label)


@script
async def workflows_listed(world: World) -> None:
    await world.own_namespace()
    await world.attempt(api.ListWorkflowExecutionsRequest(), "nothing")
    await world.attempt(api.CountWorkflowExecutionsRequest(), "nothing")
    for name in ("running", "completed", "failed", "terminated", "cancelled"):
        workflow = world.workflow(name)
        await workflow.start(quiet=True, memo={"fields": {"note": _ONE}})
        match name:
            case "completed":
                task = await workflow.poll(quiet=True)
                await task.complete(complete_workflow(), quiet=True)
            case "failed":
                task = await workflow.poll(quiet=True)
                await task.complete(fail_workflow(), quiet=True)
            case "terminated":
                await workflow.terminate(quiet=True)
    await world.wait(1)
    await _listed(world, "all of them", 5)
    await world.attempt(api.CountWorkflowExecutionsRequest(), "all of them")


@script
async def workflows_listed_by_pages(world: World) -> None:
    await world.own_namespace()
    for number in range(5):
        await world.workflow(f"w{number}").start(quiet=True)
    await _listed(world, "all of them", 5)
    for size in (1, 2, 5, 1000, 0):
        token = b""
        pages: list[list[str]] = []
        while len(pages) < 10:
            page = await world.do(
                api.ListWorkflowExecutionsRequest(page_size=size, next_page_token=token),
                quiet=True,
            )
            pages.append([info.execution.workflow_id for info in page.executions])
            token = page.next_page_token
            if not token:
                break
        world.note(f"pages of {size}", pages)


@script
async def runs_of_a_chain_listed(world: World) -> None:
    await world.own_namespace()
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await workflow.poll_and_complete(continue_as_new())
    await workflow.until(EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)
    await _listed(world, "both runs", 2)


@script
async def delayed_workflow_listed(world: World) -> None:
    await world.own_namespace()
    workflow = world.workflow()
    await workflow.start(quiet=True, workflow_start_delay="100s")
    await _listed(world, "delayed", 1)


@script
async def queues_refused(world: World) -> None:
    for label, queue in {
        "no queue": None,
        "empty": {},
        "long": {"name": "x" * 1001},
        "part": {"name": "/_sys/queue/1"},
        "part that is none": {"name": "/_sys/queue"},
    }.items():
        await world.attempt(api.DescribeTaskQueueRequest(), label, task_queue=queue)


@script
async def queues_described(world: World) -> None:
    """Nobody, then a poller, then a backlog."""
    workflow = world.workflow()
    queue = {"name": workflow.task_queue}
    variants: dict[str, dict[str, Any]] = {
        "": {},
        "for activities": {"task_queue_type": "TASK_QUEUE_TYPE_ACTIVITY"},
        "with status": {"include_task_queue_status": True},
        "with statistics": {"report_stats": True},
        "with configuration": {"report_config": True},
        "sticky": {"task_queue": queue | {"kind": 2, "normal_name": "x"}},
        "unknown type": {"task_queue_type": 99},
    }
    for label, fields in variants.items():
        await world.attempt(
            api.DescribeTaskQueueRequest(), f"fresh {label}", **({"task_queue": queue} | fields)
        )


@script
async def pollers_described(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(schedule_activity("a", workflow.task_queue), quiet=True)
    await world.poll_activity(workflow.task_queue, quiet=True)
    for kind in ("WORKFLOW", "ACTIVITY"):
        reply = await world.do(
            api.DescribeTaskQueueRequest(task_queue=TaskQueue(name=workflow.task_queue)),
            task_queue_type=f"TASK_QUEUE_TYPE_{kind}",
            quiet=True,
        )
        pollers = [
            [poller.identity, poller.HasField("last_access_time")] for poller in reply.pollers
        ]
        world.note(f"{kind} pollers", pollers)


@script
async def backlog_described(world: World) -> None:
    queue = world.id("queue")
    for name in ("one", "two"):
        await world.workflow(name).start(quiet=True, task_queue={"name": queue})
    request = api.DescribeTaskQueueRequest(task_queue=TaskQueue(name=queue), report_stats=True)
    for _ in range(50):
        reply = await world.attempt(request, quiet=True)
        assert not isinstance(reply, Refusal)
        if reply.stats.approximate_backlog_count == 2:
            break
        await world.wait(0.1)
    world.note("backlog", reply.stats.approximate_backlog_count)

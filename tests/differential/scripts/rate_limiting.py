"""Descriptions of a task queue whose tasks wait for a rate limit."""

import time

from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import schedule_activity
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.world import World


async def _active(world: World, label: str, kind: int) -> None:
    described = await world.do(
        api.DescribeTaskQueueRequest(
            task_queue=TaskQueue(name=world.id("queue")), task_queue_type=kind, report_stats=True
        ),
        quiet=True,
    )
    by_priority = {
        n: each.rate_limiting_active for n, each in described.stats_by_priority_key.items()
    }
    world.note(label, [described.stats.rate_limiting_active, by_priority.get(3)])


@script(
    intended=[
        Intended(
            "* at the end *scheduled_event_id",
            "there the activities of one task come in any order",
            sometimes=True,
        )
    ]
)
async def queue_whose_tasks_wait_for_a_limit(world: World) -> None:
    queue = {"name": world.id("queue")}
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await _active(world, "nothing", 2)
    await world.do(
        api.UpdateTaskQueueConfigRequest(task_queue=queue["name"], task_queue_type=2, identity="o"),
        quiet=True,
        update_queue_rate_limit={"rate_limit": {"requests_per_second": 0.5}},
    )
    await _active(world, "a limit", 2)
    commands = [
        schedule_activity(f"a{n}", queue["name"], start_to_close_timeout="100s") for n in range(3)
    ]
    await task.complete(*commands, quiet=True)
    for number in range(3):
        began = time.monotonic()
        activity = await world.poll_activity(queue["name"], quiet=True)
        if number:
            world.note(f"{number} has waited", time.monotonic() - began > 1)
        await activity.complete(quiet=True)
    await _active(world, "they have waited", 2)
    await _active(world, "workflow tasks", 1)
    await workflow.terminate(quiet=True)

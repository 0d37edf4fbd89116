"""Tasks of several fairness keys wait in one queue: which share of the first ones each key gets."""

import asyncio
from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import schedule_activity
from tests.differential.registry import script
from tests.differential.world import Workflow, World

#: With several partitions, each is fair by itself.
_ONE_PARTITION = (
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
)
_SETTINGS = ("matching.enableFairness=true", *_ONE_PARTITION)


def _tasks(queue: str, key: str, count: int, weight: float = 0, **priority: Any) -> list[Any]:
    fair = {"fairness_key": key, "fairness_weight": weight, **priority}
    return [schedule_activity(f"{key}{n}", queue, priority=fair) for n in range(count)]


async def _shares(world: World, name: str, *tasks: list[Any], takes: tuple[int, ...]) -> None:
    """Let all of them wait, then take them, and note how many of each key are among the first."""
    workflow = world.workflow(name)
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(*(each for of_key in tasks for each in of_key), quiet=True)
    await world.wait(2)
    queue = world.id(name)
    seen: list[str] = []
    for take in takes:
        for _ in range(take):
            polled = await world.poll_activity(queue, quiet=True)
            seen.append(polled.reply.activity_id[0])
        world.note(f"{name}: of {len(seen)}", {key: seen.count(key) for key in sorted(set(seen))})


@script(settings=_SETTINGS)
async def backlog_by_turns(world: World) -> None:
    queue = world.id("equal")
    tasks = (_tasks(queue, "a", 9), _tasks(queue, "b", 3), _tasks(queue, "c", 3))
    await _shares(world, "equal", *tasks, takes=(3, 3, 3, 6))


@script(settings=_SETTINGS)
async def backlog_by_weight(world: World) -> None:
    queue = world.id("weighted")
    tasks = (_tasks(queue, "a", 8, 1), _tasks(queue, "b", 12, 3))
    await _shares(world, "weighted", *tasks, takes=(6, 6, 8))


@script(settings=_SETTINGS)
async def backlog_by_priority_and_then_by_turns(world: World) -> None:
    queue = world.id("both")
    tasks = (
        _tasks(queue, "a", 4, priority_key=4),
        _tasks(queue, "b", 4, priority_key=2),
        _tasks(queue, "c", 2, priority_key=2),
    )
    await _shares(world, "both", *tasks, takes=(4, 2, 4))


@script(settings=_ONE_PARTITION)
async def backlog_without_fairness(world: World) -> None:
    """It is off unless somebody turns it on."""
    queue = world.id("off")
    workflow = world.workflow("off")
    await workflow.start(quiet=True)
    for tasks in (_tasks(queue, "a", 4), _tasks(queue, "b", 2)):
        task = await workflow.poll(quiet=True)
        await task.complete(*tasks, quiet=True)
        await world.wait(0.5)
        await workflow.signal(quiet=True)
    polled = [await world.poll_activity(queue, quiet=True) for _ in range(6)]
    world.note("order", [each.reply.activity_id[0] for each in polled])


async def _key_rate(world: World, queue: str, per_second: float | None, **fields: Any) -> None:
    update: dict[str, Any] = {"reason": "why"}
    if per_second is not None:
        update["rate_limit"] = {"requests_per_second": per_second}
    await world.do(
        api.UpdateTaskQueueConfigRequest(task_queue=queue),
        quiet=True,
        task_queue_type="TASK_QUEUE_TYPE_ACTIVITY",
        update_fairness_key_rate_limit_default=update,
        **fields,
    )
    # There it takes a moment to be known to the queue.
    await world.wait(1)


async def _taken_within(world: World, queue: str, seconds: float) -> list[str]:
    """Poll for so long; return the tasks that came, oldest first."""
    polls = asyncio.get_running_loop().time() + seconds
    taken: list[str] = []
    while (left := polls - asyncio.get_running_loop().time()) > 0:
        polling = asyncio.create_task(world.poll_activity(queue, quiet=True, timeout=30))
        done, _ = await asyncio.wait([polling], timeout=left)
        if not done:
            polling.cancel()
            break
        taken.append(polling.result().reply.activity_id)
    return taken


async def _shares_within(
    world: World,
    per_second: float,
    tasks: dict[str, float],
    likely: dict[str, range],
    **fields: Any,
) -> None:
    """Take tasks of each key (→ its weight) for three seconds, and note whether it had as many as is likely."""
    # Which of the tasks were taken is chance, so it is not shown in the end.
    queue, workflow = world.id("rated"), Workflow(world, "rated")
    await _key_rate(world, queue, per_second, **fields)
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    of_keys = [_tasks(queue, key, 25, weight) for key, weight in tasks.items()]
    await task.complete(*(each for of_key in of_keys for each in of_key), quiet=True)
    await world.wait(1)
    taken = await _taken_within(world, queue, 3)
    counts = {key: sum(each[0] == key for each in taken) for key in tasks}
    odd = {key: count for key, count in counts.items() if count not in likely[key]}
    world.note("shares", odd or "as is likely")
    await workflow.terminate(quiet=True)


#: Some five at once, and four a second; a machine that has much to do gets to fewer.
_FOUR = range(6, 20)


@script(settings=_ONE_PARTITION)
async def rate_of_each_fairness_key(world: World) -> None:
    await _shares_within(world, 4, {"a": 1, "b": 1}, {"a": _FOUR, "b": _FOUR})


@script(settings=_SETTINGS)
async def rate_of_fairness_keys_that_take_turns(world: World) -> None:
    await _shares_within(world, 4, {"a": 1, "b": 1}, {"a": _FOUR, "b": _FOUR})


@script(settings=_ONE_PARTITION)
async def rate_of_fairness_keys_by_weight(world: World) -> None:
    """One that weighs more is as much faster."""
    likely = {"a": range(1, 6), "b": _FOUR}
    await _shares_within(world, 1, {"a": 1, "b": 4}, likely)


@script(settings=_ONE_PARTITION)
async def rate_of_fairness_keys_by_overridden_weight(world: World) -> None:
    likely = {"a": range(1, 6), "b": _FOUR}
    weights = {"set_fairness_weight_overrides": {"b": 4.0}}
    await _shares_within(world, 1, {"a": 1, "b": 1}, likely, **weights)


@script(settings=_ONE_PARTITION)
async def rate_of_fairness_keys_of_zero(world: World) -> None:
    """It is no limit."""
    await _shares_within(world, 0, {"a": 1}, {"a": range(25, 26)})


@script(settings=_ONE_PARTITION)
async def rate_of_fairness_keys_taken_away(world: World) -> None:
    """The tasks that wait for it go then."""
    # Which of the tasks were taken is chance, so it is not shown in the end.
    queue, workflow = world.id("rated"), Workflow(world, "rated")
    await _key_rate(world, queue, 0.1)
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(*_tasks(queue, "a", 5), quiet=True)
    first = await _taken_within(world, queue, 1)
    await _key_rate(world, queue, None)
    rest = await _taken_within(world, queue, 2)
    world.note("few at first, all in the end", [len(first) < 3, len(first) + len(rest)])
    await workflow.terminate(quiet=True)

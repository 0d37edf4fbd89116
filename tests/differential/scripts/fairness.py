"""Tasks of several fairness keys wait in one queue: which share of the first ones each key gets."""

from typing import Any

from tests.differential.commands import schedule_activity
from tests.differential.registry import script
from tests.differential.world import World

#: Of several partitions each is fair by itself.
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

"""Task queues described in every mode, and refused."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.world import World

_STICKY = {"kind": "TASK_QUEUE_KIND_STICKY"}
_EVERYTHING = {"report_stats": True, "report_pollers": True, "report_task_reachability": True}


async def _describe(world: World, label: str, **fields: Any) -> Any:
    return await world.attempt(api.DescribeTaskQueueRequest(), label, **fields)


@script
async def parts_of_queues(world: World) -> None:
    for name in ("/_sys/q/0", "/_sys/q/x", "/_sys//1", "/_sys//_sys/q/1/2", "/_sys/q/3"):
        await _describe(world, name, task_queue={"name": name})
        await _describe(world, f"{name} enhanced", task_queue={"name": name}, api_mode=1)
    await _describe(
        world, "statistics of a part", task_queue={"name": "/_sys/q/3"}, report_stats=True
    )
    sticky = _STICKY | {"name": "s", "normal_name": "q"}
    await _describe(world, "statistics of a sticky one", task_queue=sticky, report_stats=True)
    await _describe(world, "sticky, enhanced", task_queue=sticky, api_mode=1)
    await _describe(world, "not sticky", task_queue={"name": "q", "normal_name": "n"})
    for kind in (1, 2, 3):
        queue = {"name": "q", "kind": "TASK_QUEUE_KIND_WORKER_COMMANDS"}
        await _describe(world, f"for commands, {kind}", task_queue=queue, task_queue_type=kind)


@script
async def queues_described_by_version(world: World) -> None:
    selections: dict[str, dict[str, Any]] = {
        "nothing said": {},
        "unversioned": {"versions": {"unversioned": True}},
        "all active": {"versions": {"all_active": True}},
        "a build": {"versions": {"build_ids": ["x"]}},
        "a build and unversioned": {"versions": {"build_ids": ["x"], "unversioned": True}},
        "none": {"versions": {}},
        "types": {"task_queue_types": [2, 3]},
        "too many": {"versions": {"build_ids": [f"b{n}" for n in range(6)]}},
    }
    for label, fields in selections.items():
        for how, wanted in {"": {}, " in full": _EVERYTHING}.items():
            # Temporal: it remembers an answer for a second, whatever was asked.
            queue = {"name": world.id(f"queue {label}{how}")}
            await _describe(
                world, f"{label}{how}", task_queue=queue, api_mode=1, **fields, **wanted
            )


@script
async def pollers_described_by_version(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await workflow.poll(quiet=True)
    described = await world.do(
        api.DescribeTaskQueueRequest(),
        quiet=True,
        task_queue={"name": workflow.task_queue},
        api_mode=1,
        **_EVERYTHING,
    )
    for version, info in described.versions_info.items():
        for kind, typed in info.types_info.items():
            pollers = [
                [each.identity, each.HasField("last_access_time"), each.rate_per_second]
                for each in typed.pollers
            ]
            world.note(f"version {version!r}, type {kind}", sorted(pollers)[:1])


@script(
    intended=[
        Intended("*_task_queue_partitions*", "a queue of perdure is not cut into parts"),
    ]
)
async def partitions_listed(world: World) -> None:
    request = api.ListTaskQueuePartitionsRequest
    for label, queue in {
        "no queue": None,
        "empty": {},
        "long": {"name": "x" * 1001},
        "part": {"name": "/_sys/queue/1"},
        "queue": {"name": "queue"},
    }.items():
        await world.attempt(request(), label, task_queue=queue)
    for namespace in ("nowhere", ""):
        world.namespace = namespace
        await world.attempt(request(), f"namespace {namespace!r}", task_queue={"name": "queue"})

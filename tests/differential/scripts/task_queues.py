"""Task queues described in every mode, and refused."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import schedule_activity
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


def _limit(per_second: float | None, reason: str = "") -> dict[str, Any]:
    update: dict[str, Any] = {"reason": reason}
    if per_second is not None:
        update["rate_limit"] = {"requests_per_second": per_second}
    return update


async def _configure(world: World, label: str, queue: str = "queue", **fields: Any) -> Any:
    request = api.UpdateTaskQueueConfigRequest(
        task_queue=world.id(queue), task_queue_type=2, identity="operator"
    )
    return await world.attempt(request, label, **fields)


@script
async def queues_configured(world: World) -> None:
    queue = {"name": world.id("queue")}
    await _configure(world, "nothing")
    await _configure(world, "a limit", update_queue_rate_limit=_limit(5, "slow"))
    for kind in (1, 2):
        described = await world.do(
            api.DescribeTaskQueueRequest(),
            quiet=True,
            task_queue=queue,
            task_queue_type=kind,
            report_config=True,
        )
        world.note(
            f"{kind}: limit", described.config.queue_rate_limit.rate_limit.requests_per_second
        )
        world.note(f"{kind}: source", described.effective_rate_limit.rate_limit_source)
    await _configure(
        world, "a limit of keys", update_fairness_key_rate_limit_default=_limit(1.5), identity=""
    )
    await _configure(world, "weights", set_fairness_weight_overrides={"a": 2, "b": 0.5})
    await _configure(world, "fewer weights", unset_fairness_weight_overrides=["a", "nobody"])
    await _configure(world, "no limit", update_queue_rate_limit=_limit(None, "gone"))
    await _describe(world, "at the end", task_queue=queue, task_queue_type=2, report_config=True)
    await _configure(world, "of no type", task_queue_type=99, update_queue_rate_limit=_limit(1))


@script
async def queue_configurations_refused(world: World) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "negative": {"update_queue_rate_limit": _limit(-1)},
        "negative for keys": {"update_fairness_key_rate_limit_default": _limit(-1)},
        "long reason": {"update_queue_rate_limit": _limit(1, "x" * 1001)},
        "long reason without limit": {"update_queue_rate_limit": _limit(None, "x" * 1001)},
        "long identity": {"identity": "x" * 1001},
        "empty key": {"set_fairness_weight_overrides": {"": 1}},
        "long key": {"set_fairness_weight_overrides": {"x" * 65: 1}},
        "no weight": {"set_fairness_weight_overrides": {"x": 0}},
        "unset what is set": {
            "set_fairness_weight_overrides": {"x": 1},
            "unset_fairness_weight_overrides": ["x"],
        },
        "many weights": {"set_fairness_weight_overrides": {f"k{n}": 1 for n in range(1001)}},
        "for workflows": {"task_queue_type": 1, "update_queue_rate_limit": _limit(1)},
        "for workflows' keys": {
            "task_queue_type": 1,
            "update_fairness_key_rate_limit_default": _limit(1),
        },
        "part": {"task_queue": "/_sys/queue/1"},
        "no namespace": {"namespace": "nowhere"},
    }
    for label, fields in wrong.items():
        await _configure(world, label, queue=label, **fields)


@script
async def queue_that_stands_still(world: World) -> None:
    """A limit of nothing holds activities back; without it they go on."""
    workflow = world.workflow()
    await _configure(
        world, "stop", queue="workflow-queue", update_queue_rate_limit=_limit(0, "stop")
    )
    await world.wait(1)
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(schedule_activity("a", workflow.task_queue), quiet=True)
    await world.poll_activity(workflow.task_queue, timeout=4)
    described = await workflow.describe(quiet=True)
    world.note("state", described.pending_activities[0].state)
    await _configure(world, "go", queue="workflow-queue", update_queue_rate_limit=_limit(None))
    await world.wait(1)
    await world.poll_activity(workflow.task_queue)


def _suggested(reply: Any) -> Any:
    return (
        reply.poller_scaling_decision.poll_request_delta_suggestion
        if reply.HasField("poller_scaling_decision")
        else None
    )


@script
async def pollers_that_are_too_many(world: World) -> None:
    """A poller that waits for a second learns so along with the task, a query or an activity too."""
    workflow, queue = world.workflow(), world.id("activities")
    async with world.meanwhile(workflow.poll()) as polling:
        await world.wait(1.5)
        await workflow.start()
    task = await polling
    world.note("waited for a workflow task", _suggested(task.reply))
    async with world.meanwhile(world.poll_activity(queue)) as polling:
        await world.wait(1.5)
        await task.complete(schedule_activity("a", queue))
    activity = await polling
    world.note("waited for an activity", _suggested(activity.reply))
    async with world.meanwhile(workflow.poll()) as polling:
        await world.wait(1.5)
        await activity.complete()
    task = await polling
    await task.complete()
    async with world.meanwhile(workflow.poll()) as polling:
        await world.wait(1.5)
        async with world.meanwhile(workflow.query()):
            task = await polling
            world.note("waited for a query", _suggested(task.reply))
            await task.answer_query()


@script
async def pollers_that_are_too_few(world: World) -> None:
    """Tasks that wait want another one."""
    first = world.workflow("first")
    queue = {"name": first.task_queue}
    second, third = world.workflow("second"), world.workflow("third")
    await first.start()
    for workflow in (second, third):
        await workflow.start(task_queue=queue)
    await world.wait(1)
    for left in (2, 1, 0):
        task = await first.poll(quiet=True)
        if left:
            world.note(f"{left} wait", _suggested(task.reply))
        await task.complete()

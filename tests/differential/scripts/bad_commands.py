"""Completions with a command that is wrong: the reply, the failed task and its cause."""

from collections.abc import Callable
from typing import Any

from temporalio.api.command.v1 import Command

from tests.build.commands import (
    bare,
    cancel_activity,
    cancel_timer,
    cancel_workflow,
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    record_marker,
    schedule_activity,
    start_timer,
)
from tests.differential.registry import add, script
from tests.differential.world import World

_LONG = "x" * 1001
_BIG = {"payloads": [{"data": "YWFh" * 730_000}]}
_SOME = {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "MQ=="}


def _activity(**fields: Any) -> Callable[[World], list[Command]]:
    """One activity with these fields; its task queue is the script's."""

    def make(world: World) -> list[Command]:
        activity_id = fields.get("activity_id", "a")
        rest = {key: value for key, value in fields.items() if key != "activity_id"}
        return [schedule_activity(activity_id, world.id("activities"), **rest)]

    return make


#: Topic → label → the commands of one completion.
_FAULTS: dict[str, dict[str, list[Command] | Callable[[World], list[Command]]]] = {
    "schedule_activity": {
        "no attributes": [bare("SCHEDULE_ACTIVITY_TASK")],
        "no id": _activity(activity_id=""),
        "long id": _activity(activity_id=_LONG),
        "no type": _activity(activity_type=None),
        "long type": _activity(activity_type={"name": _LONG}),
        "no queue": _activity(task_queue=None),
        "empty queue": _activity(task_queue={}),
        "long queue": _activity(task_queue={"name": _LONG}),
        "reserved queue": _activity(task_queue={"name": "/_sys/x"}),
        "internal queue": _activity(task_queue={"name": "temporal-sys-per-ns-tq"}),
        "no timeouts": _activity(start_to_close_timeout=None),
        "only schedule to start": _activity(
            start_to_close_timeout=None, schedule_to_start_timeout="5s"
        ),
        "negative schedule to close": _activity(schedule_to_close_timeout="-1s"),
        "negative start to close": _activity(start_to_close_timeout="-1s"),
        "negative schedule to start": _activity(schedule_to_start_timeout="-1s"),
        "negative heartbeat": _activity(heartbeat_timeout="-1s"),
        "retry attempts": _activity(retry_policy={"maximum_attempts": -1}),
        "retry coefficient": _activity(retry_policy={"backoff_coefficient": 0.5}),
        "priority": _activity(priority={"priority_key": -1}),
        "id before type": _activity(activity_id="", activity_type=None),
        "retry policy before lengths": _activity(
            activity_id=_LONG, retry_policy={"maximum_attempts": -1}
        ),
        "retry policy before timeouts": _activity(
            heartbeat_timeout="-1s", retry_policy={"maximum_attempts": -1}
        ),
        "big input": _activity(input=_BIG),
        "the same id twice": lambda world: [
            schedule_activity("a", world.id("activities")),
            schedule_activity("a", world.id("activities")),
        ],
        "the second is wrong": lambda world: [
            schedule_activity("a", world.id("activities")),
            schedule_activity("", world.id("activities")),
        ],
    },
    "cancel_activity": {
        "no attributes": [bare("REQUEST_CANCEL_ACTIVITY_TASK")],
        "none": [cancel_activity(0)],
        "negative": [cancel_activity(-5)],
        "no activity": [cancel_activity(3)],
        "not there yet": [cancel_activity(99)],
    },
    "timers": {
        "start: no attributes": [bare("START_TIMER")],
        "start: no id": [start_timer("", 5)],
        "start: long id": [start_timer(_LONG, 5)],
        "start: negative": [start_timer("t", -1)],
        "start: the same twice": [start_timer("t", 100), start_timer("t", 100)],
        "cancel: no attributes": [bare("CANCEL_TIMER")],
        "cancel: no id": [cancel_timer("")],
        "cancel: long id": [cancel_timer(_LONG)],
        "cancel: unknown": [cancel_timer("t")],
        "cancel: twice": [start_timer("t", 100), cancel_timer("t"), cancel_timer("t")],
    },
    "markers_and_properties": {
        "marker: no attributes": [bare("RECORD_MARKER")],
        "marker: no name": [record_marker("")],
        "marker: long name": [record_marker(_LONG)],
        "marker: big": [record_marker("m", details={"a": _BIG})],
        "properties: no attributes": [bare("MODIFY_WORKFLOW_PROPERTIES")],
        "properties: empty": [command("MODIFY_WORKFLOW_PROPERTIES")],
        "properties: empty memo": [command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo={})],
        "properties: big": [
            command(
                "MODIFY_WORKFLOW_PROPERTIES",
                upserted_memo={"fields": {"a": _BIG["payloads"][0]}},
            )
        ],
        "search attributes: no attributes": [bare("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES")],
        "search attributes: empty": [command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES")],
        "search attributes: no fields": [
            command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes={})
        ],
        "search attributes: unknown": [
            command(
                "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
                search_attributes={"indexed_fields": {"Nope": _SOME}},
            )
        ],
        "search attributes: system": [
            command(
                "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
                search_attributes={"indexed_fields": {"RunId": _SOME}},
            )
        ],
    },
    "closing": {
        "complete: no attributes": [bare("COMPLETE_WORKFLOW_EXECUTION")],
        "complete: big": [command("COMPLETE_WORKFLOW_EXECUTION", result=_BIG)],
        "fail: no attributes": [bare("FAIL_WORKFLOW_EXECUTION")],
        "fail: no failure": [command("FAIL_WORKFLOW_EXECUTION")],
        "fail: big": [fail_workflow("m" * 2_200_000)],
        "cancel: no attributes": [bare("CANCEL_WORKFLOW_EXECUTION")],
        "cancel: nobody asked": [cancel_workflow()],
        "complete, then a timer": [complete_workflow(), start_timer("t", 5)],
        "complete twice": [complete_workflow(), complete_workflow()],
        "fail, then complete": [fail_workflow(), complete_workflow()],
        "a timer, then complete": [start_timer("t", 100), complete_workflow()],
        "complete, then a wrong one": [complete_workflow(), bare("START_TIMER")],
    },
    "continue_as_new": {
        "no attributes": [bare("CONTINUE_AS_NEW_WORKFLOW_EXECUTION")],
        "long type": [continue_as_new(workflow_type={"name": _LONG})],
        "long queue": [continue_as_new(task_queue={"name": _LONG})],
        "reserved queue": [continue_as_new(task_queue={"name": "/_sys/x"})],
        "negative run timeout": [continue_as_new(workflow_run_timeout="-1s")],
        "negative task timeout": [continue_as_new(workflow_task_timeout="-1s")],
        "negative backoff": [continue_as_new(backoff_start_interval="-1s")],
        "retry policy": [continue_as_new(retry_policy={"maximum_attempts": -1})],
        "unknown search attribute": [
            continue_as_new(search_attributes={"indexed_fields": {"Nope": _SOME}})
        ],
        "big input": [continue_as_new(input=_BIG)],
        "big memo": [continue_as_new(memo={"fields": {"a": _BIG["payloads"][0]}})],
    },
    "messages": {
        "no attributes": [bare("PROTOCOL_MESSAGE")],
        "no id": [command("PROTOCOL_MESSAGE")],
        "absent message": [command("PROTOCOL_MESSAGE", message_id="nothing")],
        "unspecified": [bare("UNSPECIFIED")],
        "unknown type": [Command(command_type=99)],  # type: ignore[arg-type]
    },
}


def _bad_commands(topic: str) -> None:
    async def play(world: World) -> None:
        for label, fault in _FAULTS[topic].items():
            workflow = world.workflow(label.replace(" ", "-"))
            await workflow.start(quiet=True)
            task = await workflow.poll(quiet=True)
            commands = fault(world) if callable(fault) else fault
            await task.complete(*commands, label=label)

    add(f"bad_commands_{topic}", play)


for _topic in _FAULTS:
    _bad_commands(_topic)


@script
async def ids_still_in_use(world: World) -> None:
    """An id is taken as long as its activity or timer is pending, also across tasks."""
    queue = world.id("activities")
    for name, first, second in (
        ("activity", schedule_activity("a", queue), schedule_activity("a", queue)),
        ("timer", start_timer("t", 100), start_timer("t", 100)),
    ):
        workflow = world.workflow(name)
        await workflow.start(quiet=True)
        await workflow.poll_and_complete(first)
        await workflow.signal()
        await workflow.poll_and_complete(second)


@script
async def ids_used_again(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await workflow.poll_and_complete(
        start_timer("t", 100), cancel_timer("t"), start_timer("t", 100)
    )
    await workflow.signal()
    await workflow.poll_and_complete(cancel_timer("t"))


@script
async def bad_command_again(world: World) -> None:
    """From the second attempt on nothing is written; the task just stays with the worker."""
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await workflow.poll_and_complete(start_timer("", 5))
    task = await workflow.poll()
    await task.complete(start_timer("", 5))
    await workflow.describe()
    await workflow.history()
    await task.complete(start_timer("t", 100))


@script
async def refused_completion_can_be_mended(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll()
    await task.complete(complete_workflow(), start_timer("t", 5))
    await task.complete(complete_workflow())


@script
async def odd_sticky_attributes(world: World) -> None:
    for name, seconds, queue in (("negative", -5, "x"), ("long", 5, _LONG)):
        workflow = world.workflow(name)
        await workflow.start(quiet=True)
        sticky = workflow.sticky(seconds)
        sticky["worker_task_queue"]["name"] = queue
        await workflow.poll_and_complete(sticky_attributes=sticky)

"""A workflow signals another one, or asks it to stop."""

from typing import Any

from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    bare,
    cancel_external,
    cancel_workflow,
    command,
    complete_workflow,
    json_payloads,
    signal_external,
    start_child,
)
from tests.differential.compare import Intended
from tests.differential.registry import add, script
from tests.differential.world import Workflow, World

_SIGNALED = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED
_NOT_SIGNALED = EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED
_ASKED = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED
_NOT_ASKED = EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED
_NOBODY = "6d1f5a2e-0000-4000-8000-000000000000"


async def _two(world: World) -> tuple[Workflow, Workflow]:
    one, other = world.workflow("one"), world.workflow("other")
    await other.start()
    await one.start()
    return one, other


@script
async def signal_another_workflow(world: World) -> None:
    one, other = await _two(world)
    note = json_payloads("note")["payloads"][0]
    await one.poll_and_complete(
        signal_external(
            other.id,
            input=json_payloads("input"),
            control="control",
            header={"fields": {"trace": note}},
        )
    )
    await one.until(_SIGNALED)
    await one.poll_and_complete(complete_workflow())
    await other.poll_and_complete(complete_workflow())


@script
async def signal_a_run_of_another_workflow(world: World) -> None:
    one, other = await _two(world)
    execution = {"workflow_id": other.id, "run_id": other.run_id}
    await one.poll_and_complete(signal_external(other.id, execution=execution, namespace="default"))
    await one.until(_SIGNALED)
    await one.poll_and_complete(complete_workflow())


@script
async def signals_that_reach_nobody(world: World) -> None:
    one, other = await _two(world)
    await other.poll_and_complete(complete_workflow())
    targets: dict[str, dict[str, Any]] = {
        "nobody": {"execution": {"workflow_id": world.id("nobody")}},
        "closed": {"execution": {"workflow_id": other.id}},
        "unknown run": {"execution": {"workflow_id": other.id, "run_id": _NOBODY}},
        "itself": {"execution": {"workflow_id": one.id}},
        "no child": {"execution": {"workflow_id": other.id}, "child_workflow_only": True},
    }
    for number, fields in enumerate(targets.values(), 1):
        await one.poll_and_complete(signal_external("", **fields))
        await one.until(*[_NOT_SIGNALED] * number)
    await one.poll_and_complete(complete_workflow())


@script
async def signal_a_child(world: World) -> None:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(start_child(child.id, child.task_queue))
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await parent.poll_and_complete(signal_external(child.id, child_workflow_only=True))
    await parent.until(_SIGNALED)
    await child.poll_and_complete(complete_workflow())
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)


@script
async def cancel_another_workflow(world: World) -> None:
    one, other = await _two(world)
    await one.poll_and_complete(cancel_external(other.id, reason="why", control="control"))
    await one.until(_ASKED)
    await one.poll_and_complete(complete_workflow())
    await other.poll_and_complete(cancel_workflow())


@script
async def cancel_requests_that_reach_nobody(world: World) -> None:
    one, other = await _two(world)
    targets: list[Any] = [
        cancel_external(world.id("nobody")),
        cancel_external(other.id, run_id=_NOBODY),
        cancel_external(one.id),
        cancel_external(other.id, child_workflow_only=True),
    ]
    for number, wanted in enumerate(targets, 1):
        await one.poll_and_complete(wanted)
        await one.until(*[_NOT_ASKED] * number)
    await other.terminate()
    await one.poll_and_complete(cancel_external(other.id))
    await one.until(_ASKED)
    await one.poll_and_complete(complete_workflow())


@script(
    intended=[
        Intended(
            "*.external_workflow_execution_cancel_requested_event_attributes.initiated_event_id",
            "the real server asks both at once, and hears of either first",
            sometimes=True,
        )
    ]
)
async def cancel_twice(world: World) -> None:
    one, other = await _two(world)
    await other.cancel()
    await one.poll_and_complete(cancel_external(other.id), cancel_external(other.id))
    await one.until(_ASKED, _ASKED)
    await one.poll_and_complete(complete_workflow())


@script
async def cancel_a_child(world: World) -> None:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(start_child(child.id, child.task_queue))
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await parent.poll_and_complete(cancel_external(child.id, child_workflow_only=True))
    await parent.until(_ASKED)
    await parent.poll_and_complete()
    await child.poll_and_complete(cancel_workflow())
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED)
    await parent.poll_and_complete(complete_workflow())


def _refused(name: str, wanted: Any) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        await workflow.start()
        await (await workflow.poll()).complete(wanted)

    add(f"refused_{name}", play)


_refused("signal_without_attributes", bare("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION"))
_refused("signal_without_execution", command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", signal_name="s"))
_refused("signal_without_id", signal_external(""))
_refused("signal_without_name", signal_external("x", signal_name=""))
_refused(
    "signal_with_bad_run_id", signal_external("x", execution={"workflow_id": "x", "run_id": "junk"})
)
_refused("signal_to_another_namespace", signal_external("x", namespace="elsewhere"))
_refused("cancel_without_attributes", bare("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION"))
_refused("cancel_without_id", cancel_external(""))
_refused("cancel_with_bad_run_id", cancel_external("x", run_id="junk"))
_refused("cancel_in_another_namespace", cancel_external("x", namespace="elsewhere"))


@script
async def refused_cancel_of_what_is_started(world: World) -> None:
    workflow, child = world.workflow(), world.id("child")
    await workflow.start()
    task = await workflow.poll()
    await task.complete(
        start_child(child, "queue"), cancel_external(child, child_workflow_only=True)
    )

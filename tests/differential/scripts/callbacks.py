"""Somebody outside is told how a workflow ends. The servers may send to this machine only."""

import base64
from typing import Any

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import CallbackState, EventType

from tests.build.commands import (
    cancel_workflow,
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    json_payloads,
    start_timer,
)
from tests.differential.receiver import Receiver, callbacks, receiving
from tests.differential.registry import add, script
from tests.differential.scripts.resetting import reset
from tests.differential.world import Workflow, World

_OVER = (CallbackState.CALLBACK_STATE_SUCCEEDED, CallbackState.CALLBACK_STATE_FAILED)
_LINK = {"namespace": "n", "workflow_id": "w", "run_id": "r"}
_USE_EXISTING = "WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING"
_DEEP = {
    "stack_trace": "stack",
    "source": "source",
    "cause": {"message": "cause", "cause": {"message": "first"}},
}


async def settled(workflow: Workflow, *wanted: int, run_id: str = "") -> None:
    """Wait until the callbacks of a run are over, or in one of these states."""
    for _ in range(200):
        described = await workflow.describe(quiet=True, run_id=run_id)
        if all(each.state in (wanted or _OVER) for each in described.callbacks):
            return
        await workflow.world.wait(0.05)
    raise AssertionError("the callbacks are not over")


async def _told(world: World, name: str, *commands: Command, **fields: Any) -> None:
    """Run a workflow with one callback to its end, and see what arrives."""
    async with receiving() as receiver:
        workflow = world.workflow(name)
        header = {"X-Some": "Value", "Nexus-Some": "other"}
        urls = callbacks(receiver.url(name), header=header)
        await workflow.start(completion_callbacks=urls, **fields)
        if commands:
            await workflow.poll_and_complete(*commands)
        elif not fields:
            await workflow.terminate(reason="nobody's business")
        world.note("told", await receiver.received(name))
        await settled(workflow)


def _result(data: str, **metadata: str) -> Command:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in metadata.items()}
    payload = {"metadata": encoded, "data": base64.b64encode(data.encode()).decode()}
    return command("COMPLETE_WORKFLOW_EXECUTION", result={"payloads": [payload]})


_ENDS: dict[str, tuple[list[Command], dict[str, Any]]] = {
    "completed": ([complete_workflow()], {}),
    "completed_with_nothing": ([command("COMPLETE_WORKFLOW_EXECUTION")], {}),
    "completed_with_two": (
        [command("COMPLETE_WORKFLOW_EXECUTION", result=json_payloads("a", "b"))],
        {},
    ),
    "completed_with_bytes": ([_result("data", encoding="binary/plain")], {}),
    "completed_with_json_of_a_message": (
        [_result("{}", encoding="json/protobuf", messageType="a.B")],
        {},
    ),
    "completed_with_a_message": (
        [_result("data", encoding="binary/protobuf", messageType="a.B")],
        {},
    ),
    "completed_with_another_encoding": ([_result("data", encoding="x/y")], {}),
    "completed_without_encoding": ([_result("data")], {}),
    "failed": ([fail_workflow()], {}),
    "failed_for_deep_reasons": ([fail_workflow("message", **_DEEP)], {}),
    "cancelled": ([cancel_workflow()], {}),
    "terminated": ([], {}),
    "timed_out": ([], {"workflow_run_timeout": "1s"}),
}


def _add(name: str, commands: list[Command], fields: dict[str, Any]) -> None:
    async def play(world: World) -> None:
        await _told(world, name, *commands, **fields)

    add(f"callback_when_{name}", play)


for _name, (_commands, _fields) in _ENDS.items():
    _add(_name, _commands, _fields)


async def _answered(world: World, name: str, *statuses: int, until: int = 0) -> Workflow:
    async with receiving() as receiver:
        path = "/".join([name, *(str(status) for status in statuses)])
        workflow = world.workflow(name)
        await workflow.start(completion_callbacks=callbacks(receiver.url(path)))
        await workflow.poll_and_complete(complete_workflow())
        await receiver.received(path, len(statuses))
        await settled(workflow, *([until] if until else []))
        return workflow


def _add_answer(status: int, until: int) -> None:
    async def play(world: World) -> None:
        await _answered(world, f"answered-{status}", status, until=until)

    add(f"callback_answered_{status}", play)


for _status in (204, 302, 400, 401, 403, 404, 409, 501):
    _add_answer(_status, 0)
for _status in (307, 408, 418, 429, 500, 503, 504, 520):
    _add_answer(_status, CallbackState.CALLBACK_STATE_BACKING_OFF)


@script
async def callback_taken_at_last(world: World) -> None:
    await _answered(world, "at-last", 500, 503, 200)


@script
async def callback_given_up_later(world: World) -> None:
    await _answered(world, "given-up", 500, 404)


@script
async def callback_to_nobody(world: World) -> None:
    async with receiving() as receiver:
        url = receiver.url("nobody")
    workflow = world.workflow()
    await workflow.start(completion_callbacks=callbacks(url))
    await workflow.poll_and_complete(complete_workflow())
    await settled(workflow, CallbackState.CALLBACK_STATE_BACKING_OFF)


@script
async def callback_stands_by(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(completion_callbacks=callbacks("http://127.0.0.1:1/never"))
    await workflow.poll_and_complete(start_timer("t", 100))


async def _goes_on(world: World, receiver: Receiver, first: Command, **fields: Any) -> None:
    """The workflow goes on as another run: only the end of that one is told."""
    workflow = world.workflow()
    urls = callbacks(receiver.url("end"))
    urls[0]["links"] = [{"workflow_event": _LINK}]
    await workflow.start(completion_callbacks=urls, **fields)
    await workflow.poll_and_complete(first)
    described = await workflow.describe(quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)
    await workflow.poll_and_complete(complete_workflow("second"))
    world.note("told", await receiver.received("end"))
    await settled(workflow, run_id=workflow.run_id)


@script
async def callback_after_continue_as_new(world: World) -> None:
    async with receiving() as receiver:
        await _goes_on(world, receiver, continue_as_new())


@script
async def callback_after_retry(world: World) -> None:
    async with receiving() as receiver:
        policy = {"initial_interval": "1s", "maximum_attempts": 2}
        await _goes_on(world, receiver, fail_workflow(), retry_policy=policy)


@script
async def callback_after_reset(world: World) -> None:
    async with receiving() as receiver:
        workflow = world.workflow()
        await workflow.start(completion_callbacks=callbacks(receiver.url("start")))
        await workflow.poll_and_complete(start_timer("t", 100))
        await _attach(workflow, "attached", receiver)
        await reset(workflow, 4)
        await workflow.until(
            EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, run_id=workflow.run_ids[0]
        )
        await workflow.poll_and_complete(complete_workflow())
        world.note("told of the start", await receiver.received("start"))
        world.note("told of what was attached", await receiver.received("attached"))
        await settled(workflow, run_id=workflow.run_id)


@script
async def callback_of_a_run_that_makes_way_for_a_reset_of_another(world: World) -> None:
    """The run has come to its end, and its callbacks hear of it; the base run's hear of the new run's end."""
    async with receiving() as receiver:
        workflow = world.workflow()
        older = await workflow.start(completion_callbacks=callbacks(receiver.url("older")))
        await workflow.poll_and_complete(complete_workflow())
        world.note("told of the older", await receiver.received("older"))
        current = await workflow.start(
            request_id="another", completion_callbacks=callbacks(receiver.url("current"))
        )
        await workflow.poll_and_complete(start_timer("t", 100))
        await _attach(workflow, "attached", receiver)
        await reset(workflow, 4, run_id=older)
        world.note("told of the current", await receiver.received("current"))
        world.note("told of what was attached", await receiver.received("attached"))
        await settled(workflow, run_id=current)
        await workflow.poll_and_complete(complete_workflow("second"))
        world.note("told of the new one", await receiver.received("older", 2))
        await settled(workflow, run_id=workflow.run_id)


@script
async def callback_of_a_chain_whose_first_run_is_reset(world: World) -> None:
    """The last run of the chain has the callbacks of the first, and the new run has them, too."""
    async with receiving() as receiver:
        workflow = world.workflow()
        first = await workflow.start(completion_callbacks=callbacks(receiver.url("start")))
        await workflow.poll_and_complete(start_timer("t", 100))
        await _attach(workflow, "twice", receiver)
        await workflow.signal()
        await workflow.poll_and_complete(continue_as_new())
        second = workflow.run_id
        await _attach(workflow, "twice", receiver)
        await _attach(workflow, "once", receiver)
        await reset(workflow, 4, run_id=first)
        world.note("told of the start", await receiver.received("start"))
        await settled(workflow, run_id=second)
        await workflow.poll_and_complete(complete_workflow("second"))
        world.note("told of the new one", await receiver.received("start", 2))
        await settled(workflow, run_id=workflow.run_id)


@script
async def callback_of_a_run_whose_end_looks_like_that_of_a_reset(world: World) -> None:
    async with receiving() as receiver:
        workflow = world.workflow()
        await workflow.start(completion_callbacks=callbacks(receiver.url("start")))
        await workflow.terminate(identity="history-resetter")
        world.note("told", await receiver.received("start"))
        await settled(workflow)


# Attached to a run that is there


async def _attach(
    workflow: Workflow,
    name: str,
    receiver: Receiver | None,
    *,
    request_id: bool = True,
    links: bool = False,
) -> Any:
    options = {
        "attach_request_id": request_id,
        "attach_completion_callbacks": receiver is not None,
        "attach_links": links,
    }
    return await workflow.try_start(
        name,
        workflow_id_conflict_policy=_USE_EXISTING,
        on_conflict_options=options,
        request_id=name,
        completion_callbacks=callbacks(receiver.url(name)) if receiver is not None else None,
        links=[{"workflow_event": _LINK | {"run_id": name}}],
    )


@script
async def callback_attached(world: World) -> None:
    async with receiving() as receiver:
        workflow = world.workflow()
        await workflow.start()
        await _attach(workflow, "first", receiver)
        await _attach(workflow, "first", receiver)
        await settled(workflow, CallbackState.CALLBACK_STATE_STANDBY)
        await workflow.poll_and_complete(complete_workflow())
        world.note("told", await receiver.received("first"))
        await settled(workflow)


@script
async def callback_attached_while_a_worker_is_busy(world: World) -> None:
    async with receiving() as receiver:
        workflow = world.workflow()
        await workflow.start()
        task = await workflow.poll()
        await _attach(workflow, "first", receiver)
        await workflow.describe("buffered")
        await task.complete(start_timer("t", 100))
        await workflow.describe("flushed")
        await workflow.terminate()
        world.note("told", await receiver.received("first"))
        await settled(workflow)


@script
async def attached_without_callbacks(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await _attach(workflow, "nothing", None, request_id=False)
    await _attach(workflow, "nothing", None, request_id=False)
    await _attach(workflow, "request", None)
    await _attach(workflow, "links", None, request_id=False, links=True)
    await _attach(workflow, "both", None, links=True)
    await workflow.try_start(
        "as it is", workflow_id_conflict_policy=_USE_EXISTING, request_id="as-it-is"
    )


@script
async def too_many_callbacks_attached(world: World) -> None:
    workflow = world.workflow()
    many = callbacks("http://127.0.0.1:1/never") * 1500
    await workflow.start(completion_callbacks=many[:1])
    for name in ("first", "second"):
        reply = await workflow.try_start(
            name,
            workflow_id_conflict_policy=_USE_EXISTING,
            on_conflict_options={"attach_request_id": True, "attach_completion_callbacks": True},
            request_id=name,
            completion_callbacks=many,
        )
        world.note(name, getattr(reply, "code", "attached"))


# Refused


_URLS = (
    "",
    "nonsense",
    "ftp://127.0.0.1:1/",
    "http://",
    "http:127.0.0.1:1",
    "//127.0.0.1:1/",
    "http://127.0.0.1",
    "http://elsewhere:80/path?query",
    "HTTPS://127.0.0.9:1/",
    "http://127.0.0.9:1/",
    "http://user:word@127.0.0.1:1/x?q=a b#f",
    "http://[::1",
    "http://a b/",
    "http://127.0.0.1:port/",
    "http://127.0.0.1:1/%zz",
    "temporal://system",
    "temporal://internal",
    "temporal://system/path",
    "http://127.0.0.1:1/" + "x" * 1000,
)
_REFUSED: dict[str, list[dict[str, Any]]] = {
    "too many": callbacks("http://127.0.0.1:1/") * 2001,
    "a long header": callbacks("http://127.0.0.1:1/", header={"name": "x" * 8190}),
    "internal": [{"internal": {"data": ""}}],
    "of no kind": [{}],
    "a link of no run": [callbacks("http://127.0.0.1:1/")[0] | {"links": [{"workflow_event": {}}]}],
}


@script
async def callbacks_refused(world: World) -> None:
    for number, url in enumerate(_URLS):
        workflow = world.workflow(f"url-{number}")
        await workflow.try_start(url[:60], completion_callbacks=callbacks(url))
    for number, (why, wanted) in enumerate(_REFUSED.items()):
        workflow = world.workflow(f"refused-{number}")
        await workflow.try_start(why, completion_callbacks=wanted)


@script
async def links_of_callbacks(world: World) -> None:
    links = [{"workflow_event": _LINK | {"run_id": str(number)}} for number in range(12)]
    [callback] = callbacks("http://127.0.0.1:1/")
    for name, own, theirs in (
        ("other", links[:5], links[5:10]),
        ("too-many", links[:6], links[6:12]),
        ("the-same", links[:10], links[:10]),
    ):
        workflow = world.workflow(name)
        await workflow.try_start(
            name, links=own, completion_callbacks=[callback | {"links": theirs}]
        )
    large = {"workflow_event": _LINK | {"run_id": "x" * 4000}}
    await world.workflow("large").try_start("large", links=[large])

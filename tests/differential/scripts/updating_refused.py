"""Updates that are refused, and answers to updates that a worker must not give."""

import asyncio
from typing import Any

from google.protobuf.json_format import ParseDict
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import Acceptance, Outcome, Rejection, Request, Response
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    bare,
    complete_workflow,
    continue_as_new,
    failure,
    payloads,
    protocol_message,
)
from tests.build.updates import accepts, completes, message, rejects
from tests.differential.compare import Intended
from tests.differential.registry import add, script
from tests.differential.scripts.updating import LONG, idle
from tests.differential.updates import (
    accept_and_complete,
    poll_update,
    respond,
    update,
    update_request,
)
from tests.differential.world import World

_UNKNOWN_RUN = "6d1f5a2e-0000-4000-8000-000000000000"

# Requests of clients

_FAULTS: dict[str, dict[str, Any]] = {
    "no namespace": {"namespace": "nowhere"},
    "no execution": {"workflow_execution": None},
    "no workflow id": {"workflow_execution": {"run_id": _UNKNOWN_RUN}},
    "no run id": {"workflow_execution": {"workflow_id": "w", "run_id": "run"}},
    "no request": {"request": None},
    "no meta": {"request": {"input": {"name": "update"}}},
    "no meta, no input": {"request": {"request_id": "r"}},
    "long id": {"request": {"meta": {"update_id": "x" * 1001}, "input": {"name": "update"}}},
    "no input": {"request": {"meta": {"update_id": "one"}}},
    "no name": {"request": {"meta": {"update_id": "one"}, "input": {}}},
    "admitted": {"wait_policy": {"lifecycle_stage": 1}},
    "no such stage": {"wait_policy": {"lifecycle_stage": 9}},
    "a bad link": {
        "request": {"meta": {"update_id": "one"}, "input": {"name": "update"}, "links": [{}]}
    },
    "too big": {
        "request": {
            "meta": {"update_id": "one"},
            "input": {"name": "update", "args": {"payloads": [{"data": "YWFh" * 730_000}]}},
        }
    },
}


@script
async def refused_updates(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    for label, fields in _FAULTS.items():
        request = update_request(workflow)
        for name, value in fields.items():
            request.ClearField(name)  # type: ignore[arg-type]
            if value is not None:
                ParseDict({name: value}, request)
        await world.attempt(request, label, timeout=1)
    await update(workflow, "run", run_id=_UNKNOWN_RUN)
    await update(workflow, "first run", first_execution_run_id=_UNKNOWN_RUN)
    await update(world.workflow("another"), "nobody")
    world.workflows.pop()


@script
async def refused_polls_of_updates(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await world.attempt(api.PollWorkflowExecutionUpdateRequest(), "nothing")
    await world.attempt(
        api.PollWorkflowExecutionUpdateRequest(), "no execution", update_ref={"update_id": "one"}
    )
    await poll_update(workflow, "", "no id")
    await poll_update(workflow, "one", "unknown")
    await poll_update(workflow, "one", "unknown, to its end", wait="COMPLETED", timeout=1)
    await poll_update(workflow, "one", "run", run_id=_UNKNOWN_RUN)
    await poll_update(workflow, "one", "no run id", run_id="run")
    await poll_update(world.workflow("another"), "one", "nobody")
    world.workflows.pop()


@script
async def update_of_a_closed_workflow(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(complete_workflow())
    await update(workflow)
    await poll_update(workflow)


@script
async def polls_of_an_update(world: World) -> None:
    """For every stage, with the update at every stage."""
    workflow = world.workflow()
    await workflow.start()
    await update(workflow, timeout=0.5)
    for wait in ("UNSPECIFIED", "ADMITTED"):
        await poll_update(workflow, label=f"admitted, {wait}", wait=wait)
    await poll_update(workflow, label="admitted, ACCEPTED", wait="ACCEPTED", timeout=0.5)
    task = await workflow.poll()
    await respond(task, [accepts(task.reply.messages[0])], LONG)
    for wait in ("UNSPECIFIED", "ADMITTED", "ACCEPTED"):
        await poll_update(workflow, label=f"accepted, {wait}", wait=wait)
    await poll_update(workflow, label="accepted, COMPLETED", wait="COMPLETED", timeout=0.5)
    await workflow.signal()
    await respond(await workflow.poll(), [completes("one")])
    for wait in ("UNSPECIFIED", "ADMITTED", "ACCEPTED", "COMPLETED"):
        await poll_update(workflow, label=f"completed, {wait}", wait=wait)


@script
async def too_many_updates_in_flight(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    waiting = []
    for number in range(10):
        waiting.append(asyncio.create_task(update(workflow, f"{number}")))
        await world.settle()
    await update(workflow, "one too many")
    await update(workflow, "9", "known", timeout=0.5)
    # Temporal: after a refusal the updates are admitted again, in any order.
    task = await workflow.poll(quiet=True)
    messages = sorted(task.reply.messages, key=lambda asked: asked.id)
    await respond(
        task, [answer for asked in messages for answer in (accepts(asked), completes(asked))]
    )
    await asyncio.gather(*waiting)


# Answers of workers

_ONE = "one"
_ASKED = Message(protocol_instance_id=_ONE)
_ASKED.body.Pack(Request())


def _faults(asked: Message) -> dict[str, tuple[list[Message], list[Any]]]:
    """Messages and commands that are wrong, by what is wrong with them."""
    unknown = Message(id="unknown", protocol_instance_id="unknown")
    unknown.body.Pack(Acceptance())
    odd = Message(id="odd", protocol_instance_id=_ONE)
    odd.body.Pack(asked)
    broken = Message(id="broken", protocol_instance_id=_ONE)
    broken.body.type_url = "type.googleapis.com/temporal.api.update.v1.Acceptance"
    broken.body.value = b"\xff\xff"
    none = Message(id="none", protocol_instance_id=_ONE)
    strange = Message(id="strange", protocol_instance_id=_ONE)
    strange.body.type_url = "type.googleapis.com/no.Such"
    take = protocol_message
    complete = completes(_ONE)
    accept = accepts(asked)
    bare_accept = message(_ONE, Acceptance(), "accept")
    other = accepts(asked)
    other.id = "again"
    return {
        "an unknown update": ([unknown], [take("unknown")]),
        "an unknown update rejected": (
            [message("unknown", Rejection(failure=failure("no")), "reject")],
            [],
        ),
        "an unknown update completed": ([completes("unknown")], [take("unknown/complete")]),
        "another protocol": ([odd], [take("odd")]),
        "a broken body": ([broken], [take("broken")]),
        "no body": ([none], [take("none")]),
        "a strange body": ([strange], [take("strange")]),
        "an absent message": ([], [take("absent")]),
        "no message id": ([], [take("")]),
        "no attributes": ([], [bare("PROTOCOL_MESSAGE")]),
        "completed before accepted": ([complete], [take(complete.id)]),
        "accepted twice": ([accept, other], [take(accept.id), take(other.id)]),
        "a message taken twice": ([accept], [take(accept.id), take(accept.id)]),
        "accepted, then rejected": ([accept, rejects(asked)], [take(accept.id)]),
        "rejected, then accepted": (
            [rejects(asked), accept],
            [take(f"{_ONE}/reject"), take(accept.id)],
        ),
        "accepted without its request": (
            [bare_accept, complete],
            [take(accept.id), take(complete.id)],
        ),
        "no outcome": (
            [accept, message(_ONE, Response(), "complete")],
            [take(accept.id), take(complete.id)],
        ),
        "no meta": (
            [accept, message(_ONE, Response(outcome=Outcome(success=payloads())), "complete")],
            [take(accept.id), take(complete.id)],
        ),
        "a rejection without a failure": ([message(_ONE, Rejection(), "reject")], []),
        "completed twice": (
            [accept, complete, message(_ONE, Response(), "again")],
            [take(accept.id), take(complete.id), take(f"{_ONE}/again")],
        ),
        "no commands": ([accept, complete], []),
        "no commands, the wrong way round": ([complete, accept], []),
        "the wrong way round": ([complete, accept], [take(complete.id), take(accept.id)]),
        "after the end": (
            [accept, complete],
            [take(accept.id), complete_workflow(), take(complete.id)],
        ),
        "no commands, and the end": ([accept, complete], [complete_workflow()]),
        "no commands, and a new run": ([accept], [continue_as_new()]),
        "rejected with the end": ([rejects(asked)], [complete_workflow()]),
    }


def _answers(name: str) -> Any:
    async def play(world: World) -> None:
        workflow = await idle(world)
        request = asyncio.create_task(update(workflow, timeout=4))
        await world.settle()
        task = await workflow.poll()
        messages, commands = _faults(task.reply.messages[0])[name]
        await respond(task, messages, *commands, label=name, with_commands=False)
        if name in _OUTRIGHT:
            # Temporal: what the worker holds is forgotten with it, and comes again when the client asks again.
            request.cancel()
            world.workflows.remove(workflow)
            await workflow.terminate()
            return
        await workflow.history("then")
        if not request.done():
            await world.settle()
        if not request.done():
            task = await workflow.poll()
            await accept_and_complete(task)
        await request

    return play


_OUTRIGHT = ("no body", "after the end")
_PASSED_OVER = Intended(
    "04 UpdateWorkflowExecution one.*",
    "perdure looks at the commands first, and workers send one for each message",
)
for _name in _faults(_ASKED):
    add(
        f"answer to an update: {_name}",
        _answers(_name),
        intended=[_PASSED_OVER] if _name == "no commands, and a new run" else [],
    )


@script
async def update_accepted_after_a_crash(world: World) -> None:
    """The server does not know the update; the worker brings the request along."""
    workflow = await idle(world)
    await workflow.signal()
    task = await workflow.poll()
    asked = Message(id="lost/request", protocol_instance_id="lost", event_id=6)
    asked.body.Pack(update_request(workflow, "lost").request)
    await respond(task, [accepts(asked), completes(asked)])
    await poll_update(workflow, "lost")


@script
async def update_rejected_after_a_crash(world: World) -> None:
    workflow = await idle(world)
    await workflow.signal()
    task = await workflow.poll()
    asked = Message(id="lost/request", protocol_instance_id="lost", event_id=6)
    asked.body.Pack(update_request(workflow, "lost").request)
    await respond(task, [rejects(asked)])
    await poll_update(workflow, "lost")


def _senseless(wrong: str) -> Any:
    """All that the worker says is that updates are rejected, so that nothing would be recorded if it made sense."""

    async def play(world: World) -> None:
        workflow = world.workflow()
        await workflow.start()
        await workflow.poll_and_complete()
        request = asyncio.create_task(update(workflow, timeout=4))
        await world.settle()
        task = await workflow.poll()
        asked = task.reply.messages[0]
        unknown = message("unknown", Rejection(failure=failure("no")), "reject")
        again = rejects(asked)
        again.id = "again"
        messages = {"again": [rejects(asked), again], "unknown": [unknown]}
        await respond(task, messages[wrong], label=wrong)
        await workflow.history("then")
        await world.settle()
        if not request.done():
            await accept_and_complete(await workflow.poll())
        await request

    return play


for _name in ("again", "unknown"):
    add(f"rejections alone, and one of them wrong: {_name}", _senseless(_name))

"""Updates that ask for callbacks: off by default on the real server, and namespaces say so."""

from typing import Any

from google.protobuf.json_format import ParseDict
from temporalio.api.update.v1 import Acceptance, Rejection

from tests.build.commands import (
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
)
from tests.build.updates import accepts, completes, fails, message, rejects
from tests.differential.compare import Intended
from tests.differential.receiver import Receiver, callbacks, receiving
from tests.differential.registry import add, script
from tests.differential.scripts.callbacks import settled
from tests.differential.scripts.resetting import reset
from tests.differential.scripts.switched_on import ALL_ON
from tests.differential.scripts.updating import idle
from tests.differential.updates import accept_and_complete, respond, update_request
from tests.differential.world import Workflow, World

_CALLBACK = {"nexus": {"url": "http://127.0.0.1:1/callback"}}


async def _ask(workflow: Workflow, label: str, callback: dict[str, Any], **fields: Any) -> None:
    asked = update_request(workflow, label)
    ParseDict({"completion_callbacks": [callback]} | fields, asked.request)
    await workflow.world.attempt(asked, label, timeout=3)


@script
async def updates_with_callbacks_and_no_request_id(world: World) -> None:
    workflow = await idle(world)
    for label, callback in {"good": _CALLBACK, "empty": {}, "no address": {"nexus": {}}}.items():
        await _ask(workflow, label, callback)


@script(
    intended=[
        Intended(
            "*",
            "the real server takes the callback, keeps it in the history, and never calls it:"
            " here whoever asks for one is told that nobody will be called",
        )
    ]
)
async def updates_with_callbacks(world: World) -> None:
    workflow = await idle(world)

    async def answer() -> None:
        task = await workflow.poll(timeout=3)
        if task.reply.task_token:
            await accept_and_complete(task)

    async with world.meanwhile(_ask(workflow, "one", _CALLBACK, request_id="request")):
        await answer()


async def _asked(
    workflow: Workflow, update_id: str, request_id: str, *urls: str, label: str = "", **fields: Any
) -> Any:
    """Ask for an update that others are told of."""
    asked = update_request(workflow, update_id, **fields)
    header = {"x-some": "value"}
    wanted = [{"nexus": {"url": url, "header": header}} for url in urls]
    ParseDict({"completion_callbacks": wanted, "request_id": request_id}, asked.request)
    return await workflow.world.attempt(asked, label or update_id)


async def _over(workflow: Workflow, run_id: str = "") -> None:
    await settled(workflow, run_id=run_id)
    await workflow.describe("callbacks", run_id=run_id)


def _never_numbered(*names: str) -> list[Intended]:
    return [
        Intended(
            f"*request_id_infos.{name}-request.*",
            "the real server says for ever that the event of such a request waits for its id",
        )
        for name in names
    ]


@script(settings=ALL_ON)
async def update_callbacks(world: World) -> None:
    """Completed, and failed: somebody else is told, too."""
    workflow = await idle(world)
    async with receiving() as receiver:
        for name, answer in {"good": completes, "bad": fails}.items():
            url = receiver.url(name)
            async with world.meanwhile(_asked(workflow, name, f"{name}-request", url)):
                task = await workflow.poll()
                await respond(
                    task,
                    [
                        message
                        for asked in task.reply.messages
                        for message in (accepts(asked), answer(asked))
                    ],
                )
            world.note(f"told of {name}", await receiver.received(name))
        await _over(workflow)


async def _accepted(
    workflow: Workflow, receiver: Receiver, name: str = "one", *, answer: bool = False
) -> str:
    """Have an update accepted, and not completed, with a callback; return its id."""
    request = _asked(workflow, name, f"{name}-request", receiver.url(name), wait="ACCEPTED")
    async with workflow.world.meanwhile(request):
        task = await workflow.poll(quiet=True)
        await respond(task, [accepts(asked) for asked in task.reply.messages])
    return name


@script(
    settings=ALL_ON,
    intended=[
        *_never_numbered("sent", "accepted", "buffered"),
        Intended(
            "*workflow_task_started_event_attributes.identity",
            "what is attached while a worker has the update is not written yet, so the task is not either",
        ),
    ],
)
async def update_callbacks_attached_later(world: World) -> None:
    """By another request for the same update, in whichever state it is."""
    workflow = await idle(world)
    async with receiving() as receiver:

        def also(name: str, label: str, wait: str = "ACCEPTED") -> Any:
            return _asked(
                workflow, "one", f"{name}-request", receiver.url(name), label=label, wait=wait
            )

        async with world.meanwhile(also("first", "first")):
            task = await workflow.poll(quiet=True)
            async with (
                world.meanwhile(also("sent", "while a worker has it")),
                world.meanwhile(also("sent", "the same again")),
                world.meanwhile(also("first", "the first again")),
            ):
                await respond(task, [accepts(asked) for asked in task.reply.messages])
        await also("accepted", "when it is accepted")
        await also("accepted", "again")
        await workflow.describe("before it is completed")
        await workflow.signal()
        task = await workflow.poll(quiet=True)
        await also("buffered", "while a worker has another task")
        await respond(task, [completes("one")])
        await also("late", "when it is completed", wait="COMPLETED")
        for name in ("first", "sent", "accepted", "buffered"):
            world.note(f"told {name}", await receiver.received(name))
        await _over(workflow)


@script(settings=ALL_ON)
async def update_callbacks_of_a_rejected_one(world: World) -> None:
    """Its caller is told at once, so nobody else is."""
    workflow = await idle(world)
    async with receiving() as receiver:
        request = _asked(workflow, "one", "request", receiver.url("nobody"))
        async with world.meanwhile(request):
            task = await workflow.poll()
            await respond(task, [rejects(asked) for asked in task.reply.messages])
        await workflow.describe("no callbacks")


_ENDS: dict[str, Any] = {
    "completes": complete_workflow(),
    "fails": fail_workflow(),
    "continues": continue_as_new(),
    "is_terminated": None,
}


def _add_end(name: str, end: Any) -> None:
    async def play(world: World) -> None:
        workflow = await idle(world)
        run_id = workflow.run_id
        async with receiving() as receiver:
            await _accepted(workflow, receiver)
            if end is None:
                await workflow.terminate()
            else:
                await workflow.signal()
                task = await workflow.poll(quiet=True)
                await task.complete(end)
            world.note("told", await receiver.received("one"))
            await _over(workflow, run_id)

    add(f"update_callbacks_when_the_run_{name}", play, settings=ALL_ON)


for _name, _end in _ENDS.items():
    _add_end(_name, _end)


@script(settings=ALL_ON)
async def update_callbacks_and_those_of_the_run(world: World) -> None:
    """A run that goes on hands on those that want to know its end, and no others."""
    async with receiving() as receiver:
        workflow = world.workflow()
        await workflow.start(quiet=True, completion_callbacks=callbacks(receiver.url("of-the-run")))
        await workflow.poll_and_complete()
        first = workflow.run_id
        await _accepted(workflow, receiver)
        await workflow.signal()
        task = await workflow.poll(quiet=True)
        await task.complete(continue_as_new())
        world.note("told of the update", await receiver.received("one"))
        await workflow.describe("of the first run", run_id=first)
        await workflow.poll_and_complete(complete_workflow())
        world.note("told of the run", await receiver.received("of-the-run"))
        await _over(workflow)


@script(settings=ALL_ON)
async def update_callbacks_are_tried_again(world: World) -> None:
    """As all callbacks are."""
    workflow = await idle(world)
    async with receiving() as receiver:
        request = _asked(workflow, "one", "request", receiver.url("one/500/200"))
        async with world.meanwhile(request):
            await accept_and_complete(await workflow.poll(quiet=True))
        await receiver.received("one/500/200", 2)
        await _over(workflow)


@script(settings=ALL_ON, intended=_never_numbered("one", "late"))
async def update_callbacks_after_a_reset(world: World) -> None:
    """An update that was under way is under way again; those that wait for it are told by the new run."""
    workflow = await idle(world)
    async with receiving() as receiver:
        await _accepted(workflow, receiver)
        late = _asked(
            workflow, "one", "late-request", receiver.url("late"), label="late", wait="ACCEPTED"
        )
        await late
        await reset(workflow, 4, run_id=workflow.run_id)
        await workflow.describe("after the reset")
        task = await workflow.poll("after the reset")
        acceptance = Acceptance(
            accepted_request_message_id="one/request", accepted_request_sequencing_event_id=5
        )
        await respond(
            task, [message("one", acceptance, "answer"), completes("one")], with_commands=False
        )
        world.note("told", await receiver.received("one"))
        await receiver.received("late")
        await _over(workflow)


@script(settings=ALL_ON, intended=_never_numbered("one"))
async def update_callbacks_after_a_reset_that_rejects(world: World) -> None:
    """Nobody waits for an answer then, so who wants to know is told of the rejection."""
    workflow = await idle(world)
    async with receiving() as receiver:
        await _accepted(workflow, receiver)
        await reset(workflow, 4, run_id=workflow.run_id)
        task = await workflow.poll("after the reset")
        rejection = Rejection(
            rejected_request_message_id="one/request",
            rejected_request_sequencing_event_id=5,
            failure=failure("no"),
        )
        await respond(task, [message("one", rejection, "answer")])
        world.note("told", await receiver.received("one"))
        await _over(workflow)


@script(
    settings=ALL_ON,
    intended=[
        Intended("*callbacks[[]0]*", "see the next one"),
        Intended("*told", "the real server invokes all callbacks of completed updates once more"),
    ],
)
async def update_callbacks_of_what_was_completed_before_a_reset(world: World) -> None:
    """A receiver that took the callback gets it once."""
    workflow = await idle(world)
    async with receiving() as receiver:
        async with world.meanwhile(_asked(workflow, "one", "request", receiver.url("one"))):
            await accept_and_complete(await workflow.poll(quiet=True))
        await receiver.received("one")
        await settled(workflow)
        await workflow.signal()
        await workflow.poll_and_complete()
        await reset(workflow, 13, run_id=workflow.run_id)
        await workflow.describe("after the reset")
        await world.wait(1)
        world.note("told", len(await receiver.received("one")))


@script(
    settings=ALL_ON,
    intended=[
        Intended(
            "*",
            "this version of the real server looks at no callback of an update before it is accepted, and"
            " breaks then, or calls where no operator has allowed it; later ones check as here",
        )
    ],
)
async def update_callbacks_that_are_refused(world: World) -> None:
    workflow = await idle(world)
    links = [{"workflow_event": {"namespace": "n", "workflow_id": "w"}}]
    for label, callback in {
        "empty": {},
        "no address": {"nexus": {}},
        "elsewhere": {"nexus": {"url": "http://example.com/"}},
        "internal": {"internal": {}},
        "bad links": {"nexus": {"url": "http://127.0.0.1:1/x"}, "links": links},
    }.items():
        await _ask(workflow, label, callback, request_id="request")
        await _ask(workflow, f"{label}, without an id", callback)
    asked = update_request(workflow, "no callbacks, bad links")
    ParseDict({"links": links}, asked.request)
    await world.attempt(asked, "no callbacks, bad links", timeout=2)


@script(
    settings=ALL_ON,
    intended=[
        Intended(
            "*accepted_request.links*",
            "later versions of the real server leave out what is there twice",
        )
    ],
)
async def update_callbacks_and_links(world: World) -> None:
    """Their links are with the event; links that both have are the callback's."""
    workflow = await idle(world)
    links = [
        {"workflow_event": {"namespace": "n", "workflow_id": f"w{n}", "run_id": "r"}}
        for n in range(2)
    ]
    async with receiving() as receiver:
        asked = update_request(workflow)
        callback = {"nexus": {"url": receiver.url("one")}, "links": links[:1]}
        fields = {"completion_callbacks": [callback], "links": links, "request_id": "request"}
        ParseDict(fields, asked.request)
        async with world.meanwhile(world.attempt(asked)):
            await accept_and_complete(await workflow.poll(quiet=True))
        await receiver.received("one")
        await _over(workflow)

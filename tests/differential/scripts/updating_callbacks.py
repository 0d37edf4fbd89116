"""Updates that ask for callbacks: off by default on the real server, and namespaces say so."""

from typing import Any

from google.protobuf.json_format import ParseDict

from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.scripts.updating import idle
from tests.differential.updates import accept_and_complete, update_request
from tests.differential.world import Workflow, World

_CALLBACK = {"nexus": {"url": "http://127.0.0.1:1/callback"}}


async def _ask(workflow: Workflow, label: str, callback: dict[str, Any], **fields: Any) -> None:
    asked = update_request(workflow, label)
    ParseDict({"completion_callbacks": [callback]} | fields, asked.request)
    await workflow.world.attempt(asked, label)


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

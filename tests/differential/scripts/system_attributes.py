"""Every search attribute that the server knows by itself, by every way in which a caller may set one."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.api.enums.v1 import EventType

from perdure.core.search_attributes import PREDEFINED, SYSTEM, TYPE_NAMES
from tests.build.commands import continue_as_new, start_child, start_timer, upsert_search_attributes
from tests.differential.compare import Intended
from tests.differential.registry import add, script
from tests.differential.scripts.multi_operation import update_with_start
from tests.differential.wire import Refusal
from tests.differential.world import Workflow, World

Fields = dict[str, Any]
Way = Callable[[Workflow, Fields], Awaitable[Any]]

_VALUES = {
    "Keyword": '"word"',
    "KeywordList": '["word","other"]',
    "Text": '"some words"',
    "Int": "7",
    "Double": "0.5",
    "Bool": "true",
    "Datetime": '"2026-01-02T03:04:05Z"',
}
_KINDS = {name: TYPE_NAMES[kind] for name, kind in (SYSTEM | PREDEFINED).items()}
#: Names that mean something to a server, and are attributes of nobody.
_OTHERS = dict.fromkeys(
    ("NamespaceId", "Memo", "MemoEncoding", "VisibilityTaskKey", "ScheduleId", "ActivityId"),
    "Keyword",
) | {"Keyword01": "Keyword", "Int01": "Int", "TemporalUnknown": "Keyword", "unknown": "Keyword"}
_ALL = _KINDS | _OTHERS


def _encoded(kind: str) -> Fields:
    return {
        "metadata": {"encoding": base64.b64encode(b"json/plain").decode()},
        "data": base64.b64encode(_VALUES[kind].encode()).decode(),
    }


async def _start(workflow: Workflow, attributes: Fields) -> None:
    """Let a worker have a look at the run, too: the server notes who did."""
    await workflow.try_start(search_attributes=attributes)
    if workflow.run_ids:
        task = await workflow.poll(quiet=True)
        await task.complete(start_timer("t", 100), binary_checksum="sum")


async def _signal_with_start(workflow: Workflow, attributes: Fields) -> None:
    await workflow.signal_with_start(search_attributes=attributes)


async def _update_with_start(workflow: Workflow, attributes: Fields) -> None:
    """The update is refused by its validator, if it comes so far."""
    async with workflow.world.meanwhile(
        update_with_start(workflow, start={"search_attributes": attributes})
    ) as call:
        if not call.done():
            await workflow.terminate(quiet=True)


async def _upsert(workflow: Workflow, attributes: Fields) -> None:
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    wanted = upsert_search_attributes(**attributes["indexed_fields"])
    await task.complete(wanted)


async def _child(workflow: Workflow, attributes: Fields) -> None:
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    child = workflow.world.id(f"{workflow.name}-child")
    wanted = start_child(child, workflow.task_queue, search_attributes=attributes)
    reply = await task.complete(wanted)
    if not isinstance(reply, Refusal):
        await workflow.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)


async def _continue(workflow: Workflow, attributes: Fields) -> None:
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(continue_as_new(search_attributes=attributes))


_WAYS: dict[str, Way] = {
    "start": _start,
    "signal_with_start": _signal_with_start,
    "update_with_start": _update_with_start,
    "upsert": _upsert,
    "child": _child,
    "continue_as_new": _continue,
}


_INTENDED = {
    "attributes_of_the_server_by_upsert_0": [
        Intended(
            "*.search_attributes.indexed_fields.BuildIds.data",
            "the builds that have worked on a run cannot be taken away, not even until the next task",
        )
    ]
}


def _add(name: str, way: Way, attributes: dict[str, str]) -> None:
    async def play(world: World) -> None:
        for attribute, kind in attributes.items():
            workflow = world.workflow(attribute)
            await way(workflow, {"indexed_fields": {attribute: _encoded(kind)}})
            await workflow.terminate(quiet=True)

    add(name, play, intended=_INTENDED.get(name, ()))


for _name, _way in _WAYS.items():
    _parts = list(_ALL.items())
    for _number in range(3):
        _add(f"attributes_of_the_server_by_{_name}_{_number}", _way, dict(_parts[_number::3]))


@script(
    settings=(
        "frontend.searchAttributesSizeOfValueLimit=60",
        "frontend.searchAttributesTotalSizeLimit=200",
    )
)
async def attributes_that_are_too_large(world: World) -> None:
    """A value that is no value is refused first, whichever comes first in the request."""

    def word(length: int) -> Fields:
        return _encoded("Keyword") | {
            "data": base64.b64encode(f'"{"x" * length}"'.encode()).decode()
        }

    own = {"metadata": {}, "data": ""}
    together: dict[str, Fields] = {
        "value-fits": {"BatcherUser": word(58)},
        "value-does-not-fit": {"BatcherUser": word(59)},
        "value-of-the-wrong-kind": {"BatcherUser": word(59), "TemporalSchedulePaused": word(1)},
        "the-other-way-round": {"TemporalSchedulePaused": word(1), "BatcherUser": word(59)},
        "of-the-server": {"BatcherUser": word(59), "TemporalWorkerDeployment": word(1)},
        "nothing": {"BatcherUser": own},
    }
    for length in range(46, 58):
        together[f"all-{length}"] = {"BatcherUser": word(50), "BatcherNamespace": word(length)}
    for name, attributes in together.items():
        workflow = world.workflow(name)
        await workflow.try_start(name, search_attributes={"indexed_fields": attributes})

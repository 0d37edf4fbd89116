"""Search attributes and memo whose values are nothing, in each way to say so, wherever they can be said."""

import base64
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.operatorservice.v1 import request_response_pb2 as operator
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    command,
    continue_as_new,
    json_payloads,
    search_attribute,
    start_child,
    upsert_memo,
)
from tests.differential.registry import script
from tests.differential.wire import Refusal
from tests.differential.world import World


def _encoded(encoding: str, data: bytes = b"") -> dict[str, Any]:
    return {
        "metadata": {"encoding": base64.b64encode(encoding.encode()).decode()},
        "data": base64.b64encode(data).decode(),
    }


_NOTHINGS: dict[str, dict[str, Any]] = {
    "null": _encoded("json/plain", b"null"),
    "list of null": _encoded("json/plain", b"[null]"),
    "two nulls": _encoded("json/plain", b"[null,null]"),
    "null among others": _encoded("json/plain", b'["a",null]'),
    "two texts": _encoded("json/plain", b'["a","b"]'),
    "empty texts": _encoded("json/plain", b'["","b"]'),
    "a list in a list": _encoded("json/plain", b'[["a"]]'),
    "empty lists in a list": _encoded("json/plain", b"[[]]"),
    "empty list": _encoded("json/plain", b"[]"),
    "empty list with blanks": _encoded("json/plain", b"[ ]"),
    "null with blanks": _encoded("json/plain", b" null "),
    "binary/null": _encoded("binary/null"),
    "binary/null with data": _encoded("binary/null", b'"a"'),
    "json/protobuf null": _encoded("json/protobuf", b"null"),
    "json/protobuf null with blanks": _encoded("json/protobuf", b" null "),
    "binary/protobuf": _encoded("binary/protobuf"),
    "binary/plain": _encoded("binary/plain"),
    "no data": _encoded("json/plain"),
    "empty text": _encoded("json/plain", b'""'),
    "bare": {},
}
_KINDS = {
    "Word": "INDEXED_VALUE_TYPE_KEYWORD",
    "Words": "INDEXED_VALUE_TYPE_KEYWORD_LIST",
    "Number": "INDEXED_VALUE_TYPE_INT",
    "Moment": "INDEXED_VALUE_TYPE_DATETIME",
    "Prose": "INDEXED_VALUE_TYPE_TEXT",
    "Truth": "INDEXED_VALUE_TYPE_BOOL",
    "Ratio": "INDEXED_VALUE_TYPE_DOUBLE",
}


async def _own(world: World) -> None:
    await world.own_namespace()
    request = operator.AddSearchAttributesRequest()
    await world.do(request, search_attributes=_KINDS, quiet=True)


def _fields(**fields: Any) -> dict[str, Any]:
    return {"indexed_fields": fields}


#: One of each sort.
_FEW = (
    *("null", "list of null", "null among others", "empty list with blanks"),
    *("binary/null with data", "json/protobuf null", "no data"),
)
_A_WORD = _fields(Word=search_attribute('"a"'))


async def _counts(world: World, *queries: str) -> None:
    for query in queries:
        await world.attempt(api.CountWorkflowExecutionsRequest(), query, query=query)


async def _starts(world: World, kind: str) -> None:
    for label, value in _NOTHINGS.items():
        workflow = world.workflow(label)
        await workflow.try_start(label, search_attributes=_fields(**{kind: value}))


@script
async def nothing_as_a_word_at_a_start(world: World) -> None:
    await _own(world)
    await _starts(world, "Word")
    await _counts(world, "Word IS NULL", "Word IS NOT NULL", "Word = ''", "Word = 'a'")


@script
async def nothing_as_words_at_a_start(world: World) -> None:
    await _own(world)
    await _starts(world, "Words")
    await _counts(world, "Words IS NULL", "Words IS NOT NULL", "Words = ''", "Words = 'a'")


@script
async def nothing_of_any_other_kind_at_a_start(world: World) -> None:
    await _own(world)
    for kind in ("Number", "Moment", "Prose", "Truth", "Ratio"):
        for label in ("null", "list of null", "two nulls"):
            workflow = world.workflow(f"{label} {kind}")
            fields = _fields(**{kind: _NOTHINGS[label]})
            await workflow.try_start(f"{label} {kind}", search_attributes=fields)
    await _counts(
        world,
        *(f"{kind} IS NOT NULL" for kind in ("Number", "Moment", "Prose", "Truth", "Ratio")),
        "Number = 0",
        "Truth = false",
        "Ratio = 0.0",
    )


@script
async def nothing_upserted(world: World) -> None:
    await _own(world)
    for label in _FEW:
        value = _NOTHINGS[label]
        workflow = world.workflow(label)
        await workflow.start(search_attributes=_A_WORD, quiet=True)
        upsert = command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes=_fields(Word=value))
        task = await workflow.poll(quiet=True)
        await task.complete(upsert, label=label)
    await _counts(world, "Word IS NULL", "Word = 'a'", "Word = ''")


@script
async def nothing_carried_on(world: World) -> None:
    await _own(world)
    for label in _FEW:
        value = _NOTHINGS[label]
        workflow = world.workflow(label)
        await workflow.start(search_attributes=_A_WORD, quiet=True)
        task = await workflow.poll(quiet=True)
        # Not one that began a moment ago: that would be put off by what is left of a second.
        carried = {
            "search_attributes": _fields(Word=value),
            "memo": {"fields": {"m": value}},
            "backoff_start_interval": "100s",
        }
        await task.complete(continue_as_new(**carried), label=label)


@script
async def nothing_given_to_a_child(world: World) -> None:
    await _own(world)
    for label in _FEW:
        value = _NOTHINGS[label]
        workflow, child = world.workflow(label), world.workflow(f"child {label}")
        await workflow.start(quiet=True)
        task = await workflow.poll(quiet=True)
        given = {"search_attributes": _fields(Word=value), "memo": {"fields": {"m": value}}}
        reply = await task.complete(start_child(child.id, child.task_queue, **given), label=label)
        if not isinstance(reply, Refusal):
            started = await workflow.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
            attributes = started.child_workflow_execution_started_event_attributes
            child.saw_run(attributes.workflow_execution.run_id)


@script
async def nothing_in_a_memo(world: World) -> None:
    for label in _FEW:
        value = _NOTHINGS[label]
        workflow = world.workflow(label)
        fields = {"m": value, "n": json_payloads("one")["payloads"][0]}
        await workflow.start(memo={"fields": fields}, label=label)
        modify = upsert_memo(n=value)
        task = await workflow.poll(quiet=True)
        await task.complete(modify, label=label)

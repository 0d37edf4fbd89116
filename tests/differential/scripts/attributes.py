"""A workflow describes itself: markers, memo, search attributes."""

import base64

from tests.build.commands import (
    complete_workflow,
    json_payloads,
    record_marker,
    search_attribute,
    upsert_memo,
    upsert_search_attributes,
)
from tests.differential.registry import script
from tests.differential.world import World

_ONE = json_payloads("one")["payloads"][0]
_TWO = json_payloads("two")["payloads"][0]
_NULL = {"metadata": {"encoding": base64.b64encode(b"binary/null").decode()}}


@script
async def markers(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(
        record_marker("bare"),
        record_marker(
            "full",
            details={"data": json_payloads("details"), "more": json_payloads("a", "b")},
            header={"fields": {"trace": _ONE}},
            failure={"message": "failure", "application_failure_info": {"type": "Broken"}},
        ),
        complete_workflow(),
    )


@script
async def memo_is_changed(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(memo={"fields": {"kept": _ONE, "changed": _ONE, "removed": _ONE}})
    await workflow.describe("as started")
    await workflow.poll_and_complete(upsert_memo(changed=_TWO, added=_TWO, removed=_NULL))
    await workflow.describe("changed")
    await workflow.signal()
    await workflow.poll_and_complete(upsert_memo(last={}))


@script
async def search_attributes_are_set(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(
        search_attributes={
            "indexed_fields": {"TemporalChangeVersion": search_attribute('["a"]', "KeywordList")}
        }
    )
    await workflow.describe("as started")
    await workflow.poll_and_complete(
        upsert_search_attributes(TemporalChangeVersion=search_attribute('["a","b"]', "KeywordList"))
    )
    await workflow.describe("changed")
    await workflow.signal()
    await workflow.poll_and_complete(upsert_search_attributes(TemporalChangeVersion=_NULL))


@script
async def search_attributes_without_a_type(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(
        search_attributes={"indexed_fields": {"TemporalChangeVersion": search_attribute('["a"]')}}
    )
    await workflow.poll_and_complete(
        upsert_search_attributes(TemporalChangeVersion=search_attribute('["b"]')),
        complete_workflow(),
    )


@script
async def search_attributes_of_the_wrong_kind(world: World) -> None:
    for name, value in (("object", "{}"), ("number", "1"), ("text", '"a"')):
        workflow = world.workflow(name)
        await workflow.start()
        await workflow.poll_and_complete(
            upsert_search_attributes(TemporalChangeVersion=search_attribute(value))
        )

"""A caller that waits for the answer to a query hears it, or why there is none."""

import asyncio

import pytest
from temporalio.api.enums.v1 import QueryRejectCondition
from temporalio.api.query.v1 import WorkflowQuery

from perdure.core.errors import Code, Rejected
from perdure.core.workflow.signals import Signal
from tests.runtime.nodes import Failing, SetClock, later, poll, start, started_node

ANY = QueryRejectCondition.QUERY_REJECT_CONDITION_NONE


async def test_who_waits_for_an_answer_hears_that_memory_is_lost():
    store = Failing()
    node = await started_node(store, SetClock())
    key = await start(node, "ns", "w")
    await poll(node)
    query = WorkflowQuery(query_type="q")
    asked = asyncio.create_task(node.queries.ask(key, query, ANY, later()))
    await asyncio.sleep(0)
    store.fails = True
    with pytest.raises(Rejected, match="on purpose"):
        await node.executions.ask(key, Signal(name="s", input=None, identity="", request_id="r"))
    store.fails = False
    async with asyncio.timeout(5):
        with pytest.raises(Rejected) as refused:
            await asked
    assert refused.value.code is Code.UNAVAILABLE
    await node.stop()

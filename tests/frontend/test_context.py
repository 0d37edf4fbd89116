"""Calls that wait end at spread moments, so that those which came together do not come again together."""

import asyncio

import pytest

from perdure.frontend.call import Call
from perdure.frontend.context import SPREAD, Context
from perdure.runtime.clock import SystemClock
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.store.memory import MemoryStore


@pytest.fixture
async def context():
    return Context(Node(MemoryStore(), SystemClock(), ConfiguredLimits(), owner="node-1"))


async def test_polls_that_came_together_end_one_after_another(context):
    now = asyncio.get_running_loop().time()
    call = Call(now + 70)
    ends = {context.poll_deadline(call, "ns", "q", 1) for _ in range(100)}
    assert len(ends) == 100
    after = asyncio.get_running_loop().time()
    assert now + 60 * (1 - SPREAD) <= min(ends)
    assert max(ends) <= after + 60
    assert max(ends) - min(ends) > 60 * SPREAD / 2


async def test_a_caller_that_gives_up_earlier_is_answered_before(context):
    now = asyncio.get_running_loop().time()
    for _ in range(100):
        assert (
            now + 9 * (1 - SPREAD) <= context.poll_deadline(Call(now + 10), "ns", "q", 1) <= now + 9
        )

"""Memory is bounded: an execution that nobody has used for a while leaves it."""

from perdure.core.workflow.views import ReadChainLink
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.runtime.shard.eviction import MIN_IDLE_NS
from perdure.store.memory import MemoryStore
from tests.runtime.nodes import SetClock, close, start


async def test_an_execution_that_was_used_a_moment_ago_stays():
    clock = SetClock()
    node = Node(MemoryStore(), clock, ConfiguredLimits(), owner="node-1", executions_max=0)
    await node.start()
    key = await start(node, "ns", "w")
    await close(node, key)
    clock.go_on(MIN_IDLE_NS / 1e9 + 1)
    await node.executions.read(key, ReadChainLink())
    node.engine.eviction.make_room()
    assert len(node.engine.cache) == 1
    clock.go_on(MIN_IDLE_NS / 1e9 + 1)
    node.engine.eviction.make_room()
    assert len(node.engine.cache) == 0
    await node.stop()

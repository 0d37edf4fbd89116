"""Two nodes share the key space: one loses a range to the other, and goes on with the rest."""

import asyncio
import random

import pytest
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest

from perdure.core.errors import Code
from perdure.testing.simulator.faulty_store import Faults
from perdure.testing.simulator.range_store import TRUST_S, RangeStore
from perdure.testing.simulator.receivers import Receivers
from perdure.testing.simulator.simulated_node import OK, SimulatedNode
from perdure.testing.simulator.virtual_loop import VirtualClock, VirtualLoop

START = "/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution"


class Watchman:
    def node_ended(self, node: SimulatedNode) -> None:
        raise AssertionError("no node must end")


class Cluster:
    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.store = RangeStore(VirtualClock(loop).now_ns, 4, random.Random(1))
        self.store.has_rival = False
        self.store.on_delete = lambda keys: None
        self._receivers = Receivers(random.Random(1), lambda delivery: None)

    def node(self, name: str) -> SimulatedNode:
        return SimulatedNode(
            name,
            self.loop,
            self.store,
            Faults(random.Random(1)),
            second=None,
            receivers=self._receivers,
            randomness=random.Random(1),
            watchman=Watchman(),
            limits={},
        )

    async def move_one(self, node: SimulatedNode) -> None:
        """Let the node lose its first range, and wait until the nodes have done what they do about it."""
        lease = node.node.engine.leases.held[0]
        self.store.has_rival = True
        self.store.begin_to_move(lease)
        await asyncio.sleep(TRUST_S + 0.1)
        self.store.move(lease)
        await asyncio.sleep(10)


@pytest.fixture
def loop():
    loop = VirtualLoop(random.Random(1))
    yield loop
    loop.end_tasks()
    loop.close()


async def start(node: SimulatedNode, workflow_id: str) -> int:
    request = StartWorkflowExecutionRequest(
        namespace="default", workflow_id=workflow_id, request_id=workflow_id
    )
    request.workflow_type.name = "Program"
    request.task_queue.name = "programs"
    return (await node.call(START, request.SerializeToString(), {}, 5.0)).code


def test_a_node_that_loses_a_range_goes_on_with_the_others(loop):
    async def work() -> None:
        cluster = Cluster(loop)
        first = cluster.node("first")
        await asyncio.sleep(1)
        second = cluster.node("second")
        await asyncio.sleep(1)
        assert (first.is_serving, second.is_waiting) == (True, True)
        await cluster.move_one(first)
        leases = [node.node.engine.leases for node in (first, second)]
        assert [len(each.held) for each in leases] == [3, 1]
        codes = set()
        for number in range(20):
            key = first.node.executions.key(first.node.namespaces.id_of("default"), f"w{number}")
            answers = [await start(node, f"w{number}") for node in (first, second)]
            owned = [each.covers(key.shard_key) for each in leases]
            assert answers == [OK if is_own else Code.UNAVAILABLE for is_own in owned]
            codes.add(tuple(answers))
        # Both have had some.
        assert len(codes) == 2

    loop.run_until_complete(work())

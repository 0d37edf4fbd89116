"""The stage with a node of the simulator, in a world without faults: frontend, runtime and store, in virtual time."""

import asyncio
import random
from typing import Any

from google.protobuf.message import Message

from perdure.core.errors import Code, Rejected
from perdure.store.memory import MemoryStore
from perdure.testing.simulator.connection import METHODS
from perdure.testing.simulator.faulty_store import Faults
from perdure.testing.simulator.receivers import Receivers
from perdure.testing.simulator.simulated_node import SimulatedNode
from perdure.testing.simulator.virtual_loop import VirtualClock, VirtualLoop
from tests.differential.wire import Refusal

#: The store is nearly as fast as the core alone.
_LATENCY_S = 1e-6


class NodeServer:
    def __init__(self, loop: VirtualLoop) -> None:
        chance = random.Random(1)
        faults = Faults(chance)
        faults.latency_s = _LATENCY_S
        self._node = SimulatedNode(
            "node",
            loop,
            MemoryStore(now_ns=VirtualClock(loop).now_ns, is_shared=True),
            faults,
            second=None,
            receivers=Receivers(chance, lambda _: None),
            randomness=chance,
            watchman=self,
        )

    def node_ended(self, node: SimulatedNode) -> None:
        raise AssertionError("the node has ended")

    async def call(self, request: Message, *, timeout: float | None, **_: Any) -> Any:
        """As `Wire.call`: return the reply, or a `Refusal`."""
        assert timeout is not None
        while not self._node.is_serving:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        name, response_type = METHODS[type(request)]
        try:
            reply = await self._node.call(name, request.SerializeToString(), {}, timeout)
        except Rejected as refusal:
            return Refusal(refusal.code.name, refusal.message, ())
        if reply.code:
            return Refusal(Code(reply.code).name, reply.words, ())
        return response_type.FromString(reply.body)

"""A node as one process among others: it is called as over a network, it can be paused, and it can be killed."""

import asyncio
import random
from contextvars import copy_context
from typing import Any, Protocol

from google.protobuf.message import Message
from temporalio.api.workflowservice.v1 import request_response_pb2

from perdure.core.errors import Code, Rejected
from perdure.dynamic_config import DynamicConfig
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.registry import rpcs
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.maintenance.visibility_replicator import VisibilityReplicator
from perdure.runtime.namespaces import Namespace
from perdure.runtime.node import Node
from perdure.store.memory import MemoryStore
from perdure.store.port import StoreError
from perdure.store.split import SplitStore
from perdure.testing.simulator.faulty_store import ASKED, Faults, FaultyStore
from perdure.testing.simulator.program import NAMESPACE
from perdure.testing.simulator.receivers import LEFT_ALONE_S, Receivers, Sender
from perdure.testing.simulator.virtual_loop import Process, VirtualClock, VirtualLoop
from perdure.testing.simulator.witness import SKEW_MAX_NS

#: What a server would read from its file.
CONFIG = {
    "frontend.WorkflowPauseEnabled": True,
    "history.retentionTimerJitterDuration": "3s",
    "callback.allowedAddresses": [{"Pattern": "*", "AllowInsecure": True}],
    "history.outboundQueue.circuitBreakerSettings": {"Timeout": f"{LEFT_ALONE_S}s"},
}


class Watchman(Protocol):
    """Whoever starts nodes."""

    def node_ended(self, node: "SimulatedNode") -> None: ...


class SimulatedNode:
    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        store: MemoryStore,
        faults: Faults,
        *,
        second: tuple[MemoryStore, Faults] | None,
        receivers: Receivers,
        randomness: random.Random,
        watchman: Watchman,
    ) -> None:
        """`second`: where lists are, if they have a database of their own."""
        self.name = name
        self.store = FaultyStore(store, faults)
        self.second = FaultyStore(*second) if second is not None else None
        self.process = Process(loop)
        self._watchman = watchman
        self._outside = copy_context()
        clock = VirtualClock(loop, int(randomness.uniform(-SKEW_MAX_NS, SKEW_MAX_NS)))
        self._split = self.second and SplitStore(self.store, self.second, clock.now_ns)
        self.node = Node(
            self._split or self.store,
            clock,
            ConfiguredLimits(),
            owner=name,
            randomness=random.Random(randomness.getrandbits(64)),
            runs_max=randomness.choice((4, 4096)),
            lists=VisibilityReplicator(self._split, clock, name) if self._split else None,
        )
        self.node.callbacks.posting = Sender(receivers, name)
        self.node.configure(DynamicConfig(CONFIG))
        self._rpcs = {
            rpc.request: rpc for rpc in rpcs(Context(self.node, "active", "simulated")).values()
        }
        #: Of the calls that are not answered yet.
        self._replies: dict[asyncio.Future[Any], None] = {}
        self._starting = self.process.spawn(self._start())

    async def _start(self) -> None:
        try:
            if self._split is not None:
                await self._split.open()
                await self._split.cluster_id("simulated")
            await self.node.start()
            await self.node.namespaces.ensure([Namespace(id="", name=NAMESPACE)])
        except (StoreError, Rejected) as error:
            if "simulated" not in str(error) and "exists" not in str(error):
                raise
            # A server that cannot start ends, and whoever watches it starts another one.
            self._watchman.node_ended(self)

    @property
    def is_dead(self) -> bool:
        return self.process.is_dead

    @property
    def is_serving(self) -> bool:
        return self._starting.done() and self.node.engine.is_serving and not self.is_dead

    async def call(self, request: Message, timeout_s: float) -> Any:
        """Raises `Rejected`: UNAVAILABLE, also, when there is no answer in time."""
        if self.is_dead or not self._starting.done():
            raise Rejected(Code.UNAVAILABLE, "simulated: connection refused")
        loop = asyncio.get_running_loop()
        copy = type(request)()
        copy.CopyFrom(request)  # What a server does to a request is not seen by its client.
        reply: asyncio.Future[Any] = loop.create_future()
        self._replies[reply] = None
        work = self.process.spawn(self._answer(copy, loop.time() + timeout_s))
        work.add_done_callback(lambda work: _pass_on(work, reply), context=self._outside)
        try:
            async with asyncio.timeout(timeout_s + 1.0):
                return await reply
        except TimeoutError:
            raise Rejected(Code.UNAVAILABLE, "simulated: no answer in time") from None
        finally:
            # As gRPC does when the client is gone. It does nothing to what is done.
            work.cancel()
            del self._replies[reply]

    async def _answer(self, request: Message, deadline: float) -> Any:
        ASKED.set(asked := [0])
        try:
            reply = await self._rpcs[type(request)].handler(request, Call(deadline))
        finally:
            asked.clear()
        if isinstance(reply, bytes):
            name = type(request).__name__.removesuffix("Request") + "Response"
            return getattr(request_response_pb2, name).FromString(reply)
        return reply

    def cut(self, *, hangs: bool, lists_only: bool) -> None:
        """It does not reach the databases any more, or not the one for lists."""
        for store in (None if lists_only else self.store, self.second):
            if store is not None:
                store.cut(hangs=hangs)

    def mend(self) -> None:
        for store in (self.store, self.second):
            if store is not None:
                store.mend()

    def kill(self) -> None:
        self.process.kill()
        for reply in self._replies:
            if not reply.done():
                reply.set_exception(Rejected(Code.UNAVAILABLE, "simulated: connection lost"))

    def stop(self) -> None:
        """As on SIGTERM: whoever waits is answered, and the lease is given back."""
        self.process.spawn(self._stop())

    async def _stop(self) -> None:
        self.node.drain()
        await self.node.stop()
        self._watchman.node_ended(self)


def _pass_on(work: asyncio.Task[Any], reply: asyncio.Future[Any]) -> None:
    if work.cancelled():
        if not reply.done():
            reply.set_exception(Rejected(Code.UNAVAILABLE, "simulated: cancelled"))
        return
    error = work.exception()
    if reply.done():
        return
    if error is not None:
        reply.set_exception(error)
    else:
        reply.set_result(work.result())

"""A node as one process among others: it is called as over gRPC, with bytes, and it can be paused and killed."""

import asyncio
import random
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from perdure.core.errors import Code, Rejected, going
from perdure.dynamic_config import DynamicConfig
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.dispatch import Dispatcher
from perdure.frontend.registry import rpcs
from perdure.frontend.transport.status import status_of
from perdure.metrics.registry import Registry
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.maintenance.visibility_replicator import VisibilityReplicator
from perdure.runtime.namespaces import Namespace
from perdure.runtime.node import Node
from perdure.runtime.shard.cached import FOLDED_IN_ONE_TURN
from perdure.runtime.shard.rebuilding import SLICE_EVENTS
from perdure.store.memory import MemoryStore
from perdure.store.port import StoreError
from perdure.store.split import SplitStore
from perdure.testing.simulator.faulty_store import ASKED, Faults, FaultyStore
from perdure.testing.simulator.program import NAMESPACE
from perdure.testing.simulator.receivers import LEFT_ALONE_S, Receivers, Sender
from perdure.testing.simulator.virtual_loop import Process, VirtualClock, VirtualLoop
from perdure.testing.simulator.witness import SKEW_MAX_NS

#: The dynamic configuration that a server would read from its file.
CONFIG = {
    "frontend.WorkflowPauseEnabled": True,
    "history.retentionTimerJitterDuration": "3s",
    "callback.allowedAddresses": [{"Pattern": "*", "AllowInsecure": True}],
    "history.outboundQueue.circuitBreakerSettings": {"Timeout": f"{LEFT_ALONE_S}s"},
}


_NO_LIMITS: Mapping[str, Any] = MappingProxyType({})
OK = 0


class Reply(NamedTuple):
    """The answer of a node."""

    #: `OK`, or a `Code`.
    code: int
    words: str
    #: The response, or the serialized details of a refusal.
    body: bytes
    #: To be called if the node notices that its reply is lost.
    give_back: Callable[[], None]


class Watchman(Protocol):
    """It starts another node when one has ended."""

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
        limits: Mapping[str, Any] = _NO_LIMITS,
    ) -> None:
        """`second`: the store for visibility, if that has a database of its own. `limits`: see `configure`."""
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
            executions_max=randomness.choice((4, 4096)),
            replicator=VisibilityReplicator(self._split, clock, name) if self._split else None,
        )
        self.node.executions.resets.slice_events = randomness.choice((1, 3, SLICE_EVENTS))
        self.node.engine.loading.slice_events = randomness.choice((1, 4, FOLDED_IN_ONE_TURN))
        self.node.outbound_calls.http_client = Sender(receivers, name)
        context = Context(self.node, "active", "simulated")
        self._dispatcher = Dispatcher(rpcs(context), Registry(), context.check_namespace, loop.time)
        self.configure(limits)
        self._is_draining = False
        self._is_open = False
        #: The replies of calls that are under way.
        self._replies: dict[asyncio.Future[Reply], None] = {}
        self._starting = self.process.spawn(self._start())

    async def _start(self) -> None:
        try:
            if self._split is not None:
                await self._split.open()
                await self._split.cluster_id("simulated")
            await self.node.serve()
            await self.node.namespaces.ensure([Namespace(id="", name=NAMESPACE)])
            self._dispatcher.open()
            self._is_open = True
            await self.node.engine.take_over()
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
        return self._is_open and self.node.engine.is_serving and not self.is_dead

    @property
    def is_waiting(self) -> bool:
        """Whether it is going to claim what is free."""
        return not (self.is_dead or self.process.held is not None or self.node.engine.is_serving)

    def configure(self, limits: Mapping[str, Any]) -> None:
        """Take a new dynamic configuration, with these rate limits in it, as a server that reads its file again."""
        config = DynamicConfig({**CONFIG, **limits})
        self.node.configure(config)
        self._dispatcher.rate_limits.configure(config)

    async def call(
        self, name: str, encoded: bytes, metadata: Mapping[str, str], timeout_s: float
    ) -> Reply:
        """Answer an RPC. Raises `Rejected` with UNAVAILABLE if there is no answer in time."""
        if self.is_dead or not self._is_open:
            raise Rejected(Code.UNAVAILABLE, "simulated: connection refused")
        loop = asyncio.get_running_loop()
        call = Call(loop.time() + timeout_s, metadata)
        reply: asyncio.Future[Reply] = loop.create_future()
        self._replies[reply] = None
        work = self.process.spawn(self._answer(name, encoded, call))
        work.add_done_callback(lambda work: _pass_on(work, reply), context=self._outside)
        try:
            async with asyncio.timeout(timeout_s + 1.0):
                return await reply
        except TimeoutError:
            raise Rejected(Code.UNAVAILABLE, "simulated: no answer in time") from None
        finally:
            # As gRPC does when the client is gone: it cancels a handler, and cannot send an answer.
            if not reply.done() or reply.cancelled():
                self._gone(work, call)
            del self._replies[reply]

    def _gone(self, work: asyncio.Task[Reply], call: Call) -> None:
        if work.done():
            self._give_back(call)
        else:
            work.cancel()

    def _give_back(self, call: Call) -> None:
        async def give_back() -> None:
            call.return_tasks()

        self.process.spawn(give_back())

    async def _answer(self, name: str, encoded: bytes, call: Call) -> Reply:
        ASKED.set(asked := [0])
        give_back = partial(self._give_back, call)
        try:
            if self._is_draining:
                raise going()
            response = await self._dispatcher.answer(name, encoded, call)
        except Rejected as refusal:
            code, words, details = status_of(refusal)
            return Reply(code, words, details, give_back)
        finally:
            asked.clear()
        return Reply(OK, "", response, give_back)

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
        """As on SIGTERM: open polls are answered, and the leases are released."""
        self.process.spawn(self._stop())

    async def _stop(self) -> None:
        self._is_draining = True
        self.node.drain()
        await self.node.stop()
        self._watchman.node_ended(self)


def _pass_on(work: asyncio.Task[Reply], reply: asyncio.Future[Reply]) -> None:
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

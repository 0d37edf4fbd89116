"""Nodes over one store, in a world that breaks them; and what must hold whatever happens.

Safety: what was acknowledged is there, exactly once; histories have no gaps and never change; an activity with one
attempt starts once; a workflow id has one open run at most; what is in memory is what the journal says.
Liveness: once nothing is broken any more, everything ends.
"""

import asyncio
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History, HistoryEvent

from perdure.core.errors import Code, Rejected
from perdure.core.workflow import machine
from perdure.core.workflow.outcome import Limits
from perdure.core.workflow.records import decode_state
from perdure.core.workflow.state import Run, RunState
from perdure.frontend.call import Call
from perdure.frontend.registry import rpcs
from perdure.frontend.services import Services
from perdure.runtime.namespaces import Namespace
from perdure.runtime.node import Node
from perdure.store.memory import MemoryStore
from perdure.store.port import StoreError
from perdure.testing.simulator.faulty_store import Faults, FaultyStore
from perdure.testing.simulator.model_client import ModelClient, Promises
from perdure.testing.simulator.model_worker import NAMESPACE, ModelWorker, Witness
from perdure.testing.simulator.virtual_loop import VirtualClock, VirtualLoop

WORKFLOWS = 12
WORKERS = 3
#: Virtual seconds in which the world is bad, and in which everything must end afterwards.
BAD_TIMES_S = 120.0
PATIENCE_S = 1800.0


class SimulatedNode:
    """A node, its way to the store, and a network in front of it."""

    def __init__(self, name: str, store: MemoryStore, world: "World") -> None:
        self.name = name
        self.store = FaultyStore(store, world.faults)
        self.node = Node(
            self.store,
            VirtualClock(world.loop),
            Limits(),
            owner=name,
            randomness=random.Random(world.random.getrandbits(64)),
            runs_max=world.random.choice((4, 4096)),
        )
        self._rpcs = {
            rpc.request: rpc for rpc in rpcs(Services(self.node, "active", "simulated")).values()
        }
        self.is_dead = False
        self._world = world
        self._starting = asyncio.create_task(self._start())

    async def _start(self) -> None:
        try:
            await self.node.start()
            await self.node.namespaces.ensure([Namespace(id="", name=NAMESPACE)])
        except (StoreError, Rejected) as error:
            if "simulated" not in str(error):
                raise
            # A server that cannot start ends, and whoever watches it starts another one.
            self.die()
            self._world.add_node()

    @property
    def is_serving(self) -> bool:
        return self._starting.done() and self.node.engine.is_serving

    async def call(self, request: Any, timeout_s: float) -> Any:
        if self.is_dead or not self._starting.done():
            raise Rejected(Code.UNAVAILABLE, "simulated: connection refused")
        rpc = self._rpcs[type(request)]
        copy = type(request)()
        copy.CopyFrom(request)  # What a server does to a request is not seen by its client.
        deadline = asyncio.get_running_loop().time() + timeout_s
        reply = await rpc.handler(copy, Call(deadline))
        if isinstance(reply, bytes):
            name = type(request).__name__.removesuffix("Request") + "Response"
            return _response(name).FromString(reply)
        return reply

    def die(self) -> None:
        self.is_dead = True
        self.store.freeze()


def _response(name: str) -> Any:
    from temporalio.api.workflowservice.v1 import request_response_pb2

    return getattr(request_response_pb2, name)


class World:
    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.loop = loop
        self.random = random.Random(seed)
        self.faults = Faults(self.random)
        self.store = MemoryStore(now_ns=VirtualClock(loop).now_ns, is_shared=True)
        self.promises = Promises()
        self.witness = Witness()
        self.nodes: list[SimulatedNode] = []
        self.deaths = self.freezes = 0
        #: By run id: events that somebody was shown, and that cannot change any more.
        self.shown: dict[str, list[bytes]] = defaultdict(list)
        self._number = 0
        self.add_node()

    def add_node(self) -> None:
        self._number += 1
        self.nodes.append(SimulatedNode(f"node-{self._number}", self.store, self))

    async def call(self, request: Any, timeout_s: float = 10.0) -> Any:
        """Call as over a network: any node may be reached, and requests and replies get lost."""
        # As behind something that asks for their health, and is not always up to date.
        serving = [each for each in self.nodes if not each.is_dead and each.is_serving]
        node = self.random.choice(
            serving if serving and self.random.random() < 0.9 else self.nodes[-4:]
        )
        await asyncio.sleep(self.random.expovariate(1 / 0.003))
        if self._loses():
            raise Rejected(Code.UNAVAILABLE, "simulated: request lost")
        try:
            async with asyncio.timeout(timeout_s + 1.0):
                reply = await node.call(request, timeout_s)
        except TimeoutError:
            raise Rejected(Code.UNAVAILABLE, "simulated: no answer in time") from None
        if node.is_dead or self._loses():
            raise Rejected(Code.UNAVAILABLE, "simulated: reply lost")
        return reply

    def _loses(self) -> bool:
        return self.faults.fails_after > 0 and self.random.random() < 0.02

    async def live(self) -> str:
        """Return one line that says what happened. Raises `AssertionError` if anything did that must not."""
        self.faults.fails_before, self.faults.fails_after = 0.01, 0.01
        self.faults.stalls = 0.003
        workers = [
            ModelWorker(
                f"worker-{n}",
                self,
                self.witness,
                random.Random(self.random.random()),
                asyncio.sleep,
            )
            for n in range(WORKERS)
        ]
        clients = [
            ModelClient(
                f"w{n}", self, self.promises, random.Random(self.random.random()), asyncio.sleep
            )
            for n in range(WORKFLOWS)
        ]
        async with asyncio.TaskGroup() as group:
            endless = [group.create_task(self._break_things())]
            for worker in workers:
                endless.append(group.create_task(worker.run_workflow_tasks(sticky=False)))
                endless.append(group.create_task(worker.run_workflow_tasks(sticky=True)))
                endless.append(group.create_task(worker.run_activities()))
            endless.append(group.create_task(self._watch()))
            lives = [group.create_task(client.live()) for client in clients]
            await asyncio.gather(*lives)
            await asyncio.sleep(max(0.0, BAD_TIMES_S - self.loop.time()))
            self._heal(workers, endless[0])
            await self._everything_ends(clients)
            await self._check()
            for task in endless:
                task.cancel()
        return self._summary()

    # Bad times

    async def _break_things(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 15))
            self.add_node()
            victim = self.nodes[-2]
            if self.random.random() < 0.5:
                self.deaths += 1
                victim.die()
            else:
                # It is thought dead, and wakes up when another one has taken over.
                self.freezes += 1
                victim.store.freeze()
                self.loop.call_later(self.random.uniform(1, 20), victim.store.thaw)

    def _heal(self, workers: list[ModelWorker], breaking: asyncio.Task[None]) -> None:
        breaking.cancel()
        self.faults.stop()
        for worker in workers:
            worker.is_reliable = True
        for node in self.nodes:
            if not node.is_dead:
                node.store.thaw()
        # Those that are left share the work of the dead: one of them gets the lease.

    async def _everything_ends(self, clients: list[ModelClient]) -> None:
        number = 0
        async with asyncio.timeout(PATIENCE_S):
            while self._open_runs():
                await asyncio.sleep(60)
                for client in clients:  # A step may wait for a signal that an earlier run has used.
                    number += 1
                    await client.signal(f"end{number}")

    def _open_runs(self) -> list[str]:
        return [run_id for run_id, state in self._states() if state.is_open]

    # What must hold

    def _states(self) -> Iterator[tuple[str, RunState]]:
        """Fold every journal from its beginning."""
        for run_id, rows in self.store.journals():
            yield run_id, machine.fold(RunState(), ((row.events, row.internal) for row in rows))

    def _histories(self) -> Iterator[tuple[str, list[HistoryEvent]]]:
        for run_id, rows in self.store.journals():
            yield run_id, list(History.FromString(b"".join(row.events for row in rows)).events)

    async def _watch(self) -> None:
        """Look at the journals now and then: what was once written never changes."""
        while True:
            await asyncio.sleep(self.random.uniform(1, 10))
            self._watch_once()

    def _watch_once(self) -> None:
        for run_id, events in self._histories():
            encoded = [event.SerializeToString(deterministic=True) for event in events]
            before = self.shown[run_id]
            assert encoded[: len(before)] == before, f"{run_id}: history has changed"
            self.shown[run_id] = encoded

    async def _check(self) -> None:
        self._watch_once()
        open_runs: dict[str, int] = defaultdict(int)
        signals: dict[tuple[str, str], int] = defaultdict(int)
        in_one_run: dict[tuple[str, str], int] = defaultdict(int)
        updates: dict[tuple[str, str], int] = defaultdict(int)
        states = dict(self._states())
        for run_id, events in self._histories():
            state = states[run_id]
            machine.check(Run(state))
            open_runs[state.workflow_id] += state.is_open
            ids = [event.event_id for event in events]
            assert ids == list(range(1, len(ids) + 1)), f"{run_id}: ids are not 1, 2, 3 …: {ids}"
            for event in events:
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                    name = event.workflow_execution_signaled_event_attributes.signal_name
                    signals[state.workflow_id, name] += 1
                    in_one_run[run_id, name] += 1
                elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
                    meta = event.workflow_execution_update_completed_event_attributes.meta
                    updates[state.workflow_id, meta.update_id] += 1
        workflow_ids = {state.workflow_id for state in states.values()}
        assert self.promises.started <= workflow_ids, "a start that was acknowledged is lost"
        assert all(count <= 1 for count in open_runs.values()), "two open runs of one workflow"
        for promised, found, what in (
            (self.promises.signals, signals, "signal"),
            (self.promises.updates, updates, "update"),
        ):
            lost = {each for each in promised if not found[each]}
            assert not lost, f"acknowledged {what}s are lost: {sorted(lost)}"
        # A run does not know what reached the one before it: a retry after a continue-as-new is a new signal.
        twice = {each: count for each, count in in_one_run.items() if count > 1}
        assert not twice, f"signals that came twice: {twice}"
        again = {each: count for each, count in self.witness.started.items() if count > 1}
        assert not again, f"single attempts that started twice: {again}"
        self._check_memory(states)

    def _check_memory(self, states: dict[str, RunState]) -> None:
        """What the owner has in memory, and the snapshots, are what the journal says."""
        owners = [
            node.node.engine
            for node in self.nodes
            if not node.is_dead and node.node.engine.is_serving
        ]
        for engine in owners:
            for live in engine.residency.runs():
                if live.batch is None:
                    differing = _differing(live.state, states[live.key.run_id])
                    assert not differing, f"{live.key}: memory is not the journal: {differing}"
        for row in self.store.rows():
            if row.snapshot and not states[row.run_id].is_open:
                rows = [
                    each for each in self.store.journal(row.run_id) if each.seq > row.snapshot_seq
                ]
                state = machine.fold(
                    decode_state(row.snapshot), ((each.events, each.internal) for each in rows)
                )
                assert state == states[row.run_id], "a snapshot is wrong"

    def _summary(self) -> str:
        events = 0
        digest = hashlib.sha256()
        for run_id, encoded in sorted(self.shown.items()):
            digest.update(run_id.encode())
            events += len(encoded)
            for event in encoded:
                digest.update(event)
        return (
            f"{self.loop.time() / 60:.0f} min, {len(self.shown)} runs, {events} events,"
            f" {len(self.promises.signals)} signals, {len(self.promises.updates)} updates,"
            f" {self.deaths} deaths, {self.freezes} freezes, {digest.hexdigest()[:12]}"
        )


def _differing(one: RunState, other: RunState) -> dict[str, tuple[object, object]]:
    return {
        name: (getattr(one, name), getattr(other, name))
        for name in one.__struct_fields__
        if getattr(one, name) != getattr(other, name)
    }


def simulate(seed: int) -> str:
    """Run one world from its seed to its end."""
    loop = VirtualLoop()
    # What a node that died leaves behind is nobody's business.
    loop.set_exception_handler(lambda _loop, _context: None)

    async def live() -> str:
        return await World(seed, loop).live()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(live())

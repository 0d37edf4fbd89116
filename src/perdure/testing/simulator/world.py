"""Nodes over one store, workers and clients, in a world that breaks them; and then in one that does not.

Safety: what was acknowledged is there, exactly once; histories have no gaps and never change; an attempt of an activity
starts once; a workflow id has one open run at most; what is in memory is what the journal says.
Liveness: once nothing is broken any more, everything ends.
"""

import asyncio
import hashlib
import random
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextvars import copy_context
from typing import Any

from perdure.store.memory import MemoryStore
from perdure.testing.simulator.administrator import Administrator
from perdure.testing.simulator.bad_times import BadTimes
from perdure.testing.simulator.checks import Checks
from perdure.testing.simulator.connection import TOO_NEW, ClientConnection, sdks
from perdure.testing.simulator.crews import Crews
from perdure.testing.simulator.deletion_clients import (
    BRIEF,
    DeletingClient,
    NamespaceDeleter,
    ResettingClient,
    brief_namespace,
)
from perdure.testing.simulator.faulty_store import Faults
from perdure.testing.simulator.model_client import ModelClient
from perdure.testing.simulator.model_operator import ModelOperator
from perdure.testing.simulator.program import NAMESPACE
from perdure.testing.simulator.range_store import RangeStore
from perdure.testing.simulator.receivers import Receivers
from perdure.testing.simulator.retrying_caller import Actor, BusyActor
from perdure.testing.simulator.simulated_node import SimulatedNode
from perdure.testing.simulator.virtual_loop import VirtualClock, VirtualLoop
from perdure.testing.simulator.visibility_reader import VisibilityReader
from perdure.testing.simulator.witness import Witness

WORKFLOWS = 12
OPERATORS = 2
#: Virtual seconds in which the world is bad, and in which everything must end afterwards.
BAD_TIMES_S = 120.0
PATIENCE_S = 3600.0
#: Longer than any workflow task, sticky queue, lease or query lasts.
QUIET_S = 60.0
#: A node that has ended is replaced after so long.
RESTART_S = 1.0
#: A node is paused for less than this.
PAUSED_MAX_S = 20.0
#: Leases of dead nodes have expired after so long, also if a call that renews them was stalled in the store.
LEASES_EXPIRE_S = 20.0
#: Into how many ranges the key space is split. Half of the worlds have one.
RANGES = (1, 1, 1, 2, 3, 4)
NODES = 2
#: How many of the last events a failure shows.
TRACE_LINES = 80


class World:
    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.loop = loop
        self.random = random.Random(seed)
        self.faults = Faults(self._chance())
        self._ranges = self.random.choice(RANGES)
        self.store = RangeStore(VirtualClock(loop).now_ns, self._ranges, self._chance())
        self.witness = Witness()
        self.checks = Checks(self.store, self.witness)
        #: The store for visibility, once that has a database of its own.
        self.second: tuple[MemoryStore, Faults] | None = None
        self.second_faults = Faults(self._chance())
        self.receivers = Receivers(self._chance(), self.checks.took)
        self.nodes: list[SimulatedNode] = []
        #: How often each RPC was answered.
        self.rpcs: Counter[str] = Counter()
        #: Errors that were raised where nobody waits.
        self.bugs: list[str] = []
        self.trace: deque[tuple[float, str, str, object]] = deque(maxlen=TRACE_LINES)
        self._sdks = sdks(self._chance())
        self.crews = Crews(self.connect, self.witness, self._chance())
        self._bad_times = BadTimes(self)
        #: The rate limits that all nodes have.
        self._limits = self._bad_times.rate_limits()
        self.has_limits = bool(self._limits)
        self._node_count = 0
        #: Nodes that have ended, and are started again in a moment.
        self._restarting_count = 0
        #: No node is started meanwhile: the next one gets the whole key space.
        self._is_joining = False
        self._outside = copy_context()
        loop.set_exception_handler(self._unhandled)

    def _chance(self) -> random.Random:
        return random.Random(self.random.random())

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        trace = "".join(traceback.format_exception(error)) if error is not None else ""
        self.bugs.append(f"{context['message']}\n{trace}")

    def note(self, who: str, what: str, more: object = "") -> None:
        self.trace.append((self.loop.time(), who, what, more))

    def story(self) -> str:
        """Return what happened last, a line each."""
        lines = []
        for at_s, who, what, more in self.trace:
            text = " ".join(str(more).split())
            lines.append(f"{at_s:10.3f} s  {who:10} {what:32} {text[:150]}")
        return "\n".join(lines)

    # Nodes

    @property
    def has_second(self) -> bool:
        return self.second is not None

    def add_node(self) -> SimulatedNode:
        self._node_count += 1
        node = SimulatedNode(
            f"node-{self._node_count}",
            self.loop,
            self.store,
            self.faults,
            second=self.second,
            receivers=self.receivers,
            randomness=self._chance(),
            watchman=self,
            limits=self._limits,
        )
        self.nodes.append(node)
        self.note(node.name, "starts")
        return node

    def node_ended(self, node: SimulatedNode) -> None:
        """The node could not start, or has stopped: another one takes its place, in a process of its own."""
        if node.is_dead:
            return
        self.note(node.name, "has ended")
        node.kill()
        self._restarting_count += 1
        self.loop.call_later(RESTART_S, self._restart, context=self._outside)

    def _restart(self) -> None:
        self._restarting_count -= 1
        if not self._is_joining:
            self.add_node()

    async def _watch_ranges(self) -> None:
        """Start another node when a range has no owner, and every node has ranges: a node claims when it starts."""
        was_free = False
        while True:
            await asyncio.sleep(RESTART_S)
            is_free = self.store.has_free_range()
            comes = self._restarting_count or any(node.is_waiting for node in self.nodes)
            if is_free and was_free and not comes and not self._is_joining:
                self.add_node()
            was_free = is_free

    # Calls

    def connect(self, metadata: Mapping[str, str] | None = None) -> ClientConnection:
        """Return another caller's connection; as one SDK or another, if it does not say what it is."""
        return ClientConnection(self, next(self._sdks) if metadata is None else metadata)

    def answered(self, rpc: str) -> None:
        self.rpcs[rpc] += 1

    def loses_a_message(self) -> bool:
        return self.random.random() < self.faults.loses_messages

    # Life

    async def live(self) -> str:
        """Return one line that says what happened. Raises if anything did that must not."""
        await self.store.put_namespace(brief_namespace())
        move_after_s = self._begin()
        clients, operators = self._clients(), self._operators()
        too_new = self.connect(TOO_NEW)
        administrator = Administrator(self.connect(), too_new, self.witness, self._chance())
        reader = VisibilityReader(self.connect(), self.witness, self._chance())
        busy: tuple[BusyActor, ...] = (*operators, administrator, reader)
        others: list[Actor] = [*clients, *self._deleting()]
        async with asyncio.TaskGroup() as group:
            self.crews.start(group)
            aside = [
                group.create_task(self._watch()),
                group.create_task(self._watch_ranges()),
                group.create_task(self._look(clients)),
            ]
            breaking = group.create_task(self._bad_times.go_on(group))
            group.create_task(self._move_lists(move_after_s))
            followers = [
                group.create_task(what())
                for client in clients
                for what in (client.follow, client.wait_for_end)
                if self.random.random() < 0.5
            ]
            lives = [group.create_task(each.live()) for each in (*others, *busy)]
            await asyncio.sleep(BAD_TIMES_S)
            breaking.cancel()
            for actor in busy:
                actor.is_over = True
            await self._heal()
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*lives)
                for operator in operators:
                    await operator.end_pauses()
                await self._be_quiet(group)
                await self._everything_ends(clients)
                await asyncio.gather(*followers)
            for client in clients:
                await client.look_back()
            await administrator.look_back()
            await reader.look_back()
            self.checks.at_any_time(self.nodes)
            self.checks.at_the_end()
            for task in aside:
                task.cancel()
            self.crews.stop()
        wrong = [*self.bugs, *self.receivers.faults]
        assert not wrong, "\n".join(wrong)
        return self._summary()

    def _begin(self) -> float:
        """Start the first nodes. Return when visibility moves to a database of its own; 0: it stays where it is."""
        place = self.random.choice(("main", "main", "second", "moved"))
        self.witness.lists_follow = place != "main"
        if place == "second":
            self._open_second()
        for _ in range(max(NODES, self._ranges)):
            self.add_node()
        return self.random.uniform(10, 90) if place == "moved" else 0.0

    def _clients(self) -> list[ModelClient]:
        ids = self._workflow_ids()
        return [
            ModelClient(
                each,
                self.connect(),
                self.witness,
                self._chance(),
                others=[*ids, "gone0"],
                worker=self.crews.eager,
            )
            for each in ids
        ]

    def _operators(self) -> list[ModelOperator]:
        ids, clock = self._workflow_ids(), VirtualClock(self.loop)
        return [
            ModelOperator(ids[n::OPERATORS], self.connect(), self.witness, self._chance(), clock)
            for n in range(OPERATORS)
        ]

    def _workflow_ids(self) -> list[str]:
        return [f"w{n}" for n in range(WORKFLOWS)]

    def _deleting(self) -> Iterator[Actor]:
        for each, namespace in (("gone0", NAMESPACE), ("gone1", NAMESPACE), ("brief", BRIEF)):
            yield DeletingClient(each, namespace, self.connect(), self.witness, self._chance())
        yield ResettingClient("back", self.connect(), self.witness, self._chance())
        if self.random.random() < 0.5:
            yield NamespaceDeleter(self.connect(), self.witness, self._chance())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.random.uniform(0.5, 5))
            self.checks.at_any_time(self.nodes)

    async def _look(self, clients: list[ModelClient]) -> None:
        """Look at one workflow after the other: what is shown is never older than what was shown before."""
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 0.4))
            await self.random.choice(clients).glance()

    # Visibility in a database of its own

    def _open_second(self) -> None:
        second = MemoryStore(now_ns=VirtualClock(self.loop).now_ns, is_shared=True)
        self.second = (second, self.second_faults)
        self.checks.lists.second = second

    async def _move_lists(self, after_s: float) -> None:
        """All nodes end, and those that start then have another configuration."""
        if not after_s:
            return
        await asyncio.sleep(after_s)
        self.note("visibility", "moves to a second database")
        for node in self.nodes:
            node.kill()
        self._open_second()
        for _ in range(NODES):
            self.add_node()

    # Good times

    async def _heal(self) -> None:
        self.note("the world", "is a good one from now on")
        self.faults.stop()
        self.second_faults.stop()
        self.receivers.stop_failing()
        self.crews.become_reliable()
        self._limits = {}
        for node in self.nodes:
            node.mend()
            node.configure(self._limits)
            node.process.resume()
        # Replies from before are on their way.
        self.loop.call_later(PAUSED_MAX_S, self._lift_limits)
        if self._ranges > 1:
            await self._join_ranges()

    def _lift_limits(self) -> None:
        self.has_limits = False

    async def _join_ranges(self) -> None:
        """Leave the whole key space to one node: what runs ask of each other does not reach another node yet."""
        self.store.stop_moving()
        self._is_joining = True
        for node in self.nodes:
            node.kill()
        await asyncio.sleep(LEASES_EXPIRE_S)
        self.add_node()
        await asyncio.sleep(LEASES_EXPIRE_S)
        self._is_joining = False

    async def _be_quiet(self, group: asyncio.TaskGroup) -> None:
        """Look at the task queues while no worker polls them."""
        self.crews.stop()
        await asyncio.sleep(QUIET_S)
        self.checks.when_quiet(self.nodes)
        self.crews.start(group)

    async def _everything_ends(self, clients: list[ModelClient]) -> None:
        number = 0
        while not self.checks.is_at_the_end():
            await asyncio.sleep(30)
            for client in clients:  # A step may wait for a signal that an earlier run has used.
                number += 1
                await client.signal(f"end{number}")

    def _summary(self) -> str:
        events = 0
        digest = hashlib.sha256()
        for run_id, journal in sorted(self.checks.journals.items()):
            digest.update(run_id.encode())
            events += len(journal.events)
            for row in journal.rows:
                digest.update(row.events)
        counts = self._bad_times.counts
        hurt = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        return (
            f"{self.loop.time() / 60:.0f} min, {len(self.checks.journals)} runs, {events} events,"
            f" {len(self.checks.gone.journals)} gone, {len(self.witness.signals)} signals,"
            f" {len(self.witness.updates)} updates, {self._ranges} ranges,"
            f" lists {'elsewhere' if self.second else 'at home'},"
            f" {hurt or 'nobody hurt'}, {digest.hexdigest()[:12]}"
        )

    def close(self) -> None:
        for node in self.nodes:
            node.process.release()


def simulate(seed: int, rpcs: Counter[str] | None = None) -> str:
    """Run one world from its seed to its end. An exception has the last events as its note.

    `rpcs`: how often each RPC was answered is added to it.
    """
    draw = random.Random(f"loop {seed}")
    loop = VirtualLoop(draw, draw.choice((0.0, 0.02, 0.2)), draw.choice((0.001, 0.02)))
    world = World(seed, loop)

    async def live() -> str:
        return await world.live()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return runner.run(live())
        except BaseException as error:
            error.add_note(world.story())
            raise
        finally:
            if rpcs is not None:
                rpcs.update(world.rpcs)
            world.close()
            loop.end_tasks()

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
from contextvars import copy_context
from typing import Any

from temporalio.api.workflowservice.v1 import (
    PollActivityTaskQueueRequest,
    PollWorkflowTaskQueueRequest,
)

from perdure.core.errors import Code, Rejected
from perdure.store.memory import MemoryStore
from perdure.testing.simulator.checks import Checks
from perdure.testing.simulator.checks_gone import WatchedStore
from perdure.testing.simulator.faulty_store import Faults
from perdure.testing.simulator.model_client import ModelClient
from perdure.testing.simulator.model_operator import ModelOperator
from perdure.testing.simulator.model_worker import ModelWorker
from perdure.testing.simulator.passing import (
    BRIEF,
    NamespaceDeleter,
    PassingClient,
    ReturningClient,
    brief_namespace,
)
from perdure.testing.simulator.program import NAMESPACE
from perdure.testing.simulator.receivers import HOSTS, Receivers
from perdure.testing.simulator.simulated_node import SimulatedNode
from perdure.testing.simulator.virtual_loop import VirtualClock, VirtualLoop
from perdure.testing.simulator.witness import Witness

WORKFLOWS = 12
WORKERS = 3
OPERATORS = 2
#: Virtual seconds in which the world is bad, and in which everything must end afterwards.
BAD_TIMES_S = 120.0
PATIENCE_S = 3600.0
#: Longer than any workflow task, sticky queue, lease or query lasts.
QUIET_S = 60.0
#: Whoever watches the nodes starts another one after so long.
RESTART_S = 1.0
#: Of what happened last, for whoever reads of a failure.
TRACE_LINES = 80

KILL, PAUSE, STOP, CUT, OUTAGE, WORKER, AWAY = KINDS = (
    "kills",
    "pauses",
    "stops",
    "cuts",
    "outages",
    "worker deaths",
    "receivers away",
)


class World:
    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.loop = loop
        self.random = random.Random(seed)
        self.faults = Faults(random.Random(self.random.random()))
        self.store = WatchedStore(now_ns=VirtualClock(loop).now_ns, is_shared=True)
        self.witness = Witness()
        self.checks = Checks(self.store, self.witness)
        #: The database for lists, once they have one of their own.
        self.second: tuple[MemoryStore, Faults] | None = None
        self.second_faults = Faults(random.Random(self.random.random()))
        self.receivers = Receivers(random.Random(self.random.random()), self.checks.took)
        self.nodes: list[SimulatedNode] = []
        self.counts: Counter[str] = Counter()
        #: What went wrong where nobody was waiting for it.
        self.bugs: list[str] = []
        self.trace: deque[tuple[float, str, str, object]] = deque(maxlen=TRACE_LINES)
        self._crews: list[tuple[ModelWorker, str, list[asyncio.Task[None]]]] = []
        self._numbers: Counter[str] = Counter()
        self._is_bad = True
        self._outside = copy_context()
        loop.set_exception_handler(self._unhandled)

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        told = "".join(traceback.format_exception(error)) if error is not None else ""
        self.bugs.append(f"{context['message']}\n{told}")

    def note(self, who: str, what: str, more: object = "") -> None:
        self.trace.append((self.loop.time(), who, what, more))

    def told(self) -> str:
        """Return what happened last, a line each."""
        lines = []
        for at_s, who, what, more in self.trace:
            text = " ".join(str(more).split())
            lines.append(f"{at_s:10.3f} s  {who:10} {what:32} {text[:150]}")
        return "\n".join(lines)

    # Nodes

    def add_node(self) -> SimulatedNode:
        name = self._name("node")
        randomness = random.Random(self.random.random())
        node = SimulatedNode(
            name,
            self.loop,
            self.store,
            self.faults,
            second=self.second,
            receivers=self.receivers,
            randomness=randomness,
            watchman=self,
        )
        self.nodes.append(node)
        self.note(name, "starts")
        return node

    def node_ended(self, node: SimulatedNode) -> None:
        """It could not start, or was told to stop: another one takes its place, in a process of its own."""
        if node.is_dead:
            return
        self.note(node.name, "has ended")
        node.kill()
        self.loop.call_later(RESTART_S, self.add_node, context=self._outside)

    def _name(self, kind: str) -> str:
        self._numbers[kind] += 1
        return f"{kind}-{self._numbers[kind]}"

    async def call(self, request: Any, timeout_s: float = 10.0) -> Any:
        """Call as over a network: any node may be reached, and requests and replies get lost."""
        # As behind something that asks for their health, and is not always up to date.
        serving = [node for node in self.nodes if node.is_serving]
        draw = self.random
        node = draw.choice(serving if serving and draw.random() < 0.9 else self.nodes[-4:])
        what = type(request).__name__.removesuffix("Request")
        try:
            await asyncio.sleep(draw.expovariate(1 / 0.003))
            self._may_lose("request")
            reply = await node.call(request, timeout_s)
            await asyncio.sleep(draw.expovariate(1 / 0.001))
            self._may_lose("reply")
        except Rejected as refusal:
            if refusal.code is not Code.UNAVAILABLE:
                self.note(node.name, what, f"{request} → {refusal.code.name} {refusal.message}")
            if refusal.code is Code.INTERNAL:
                raise AssertionError(refusal.message) from refusal
            raise
        is_poll = isinstance(request, PollWorkflowTaskQueueRequest | PollActivityTaskQueueRequest)
        if not is_poll or reply.task_token:
            self.note(node.name, what, reply if is_poll else request)
        return reply

    def _may_lose(self, what: str) -> None:
        if self.random.random() < self.faults.loses_messages:
            raise Rejected(Code.UNAVAILABLE, f"simulated: {what} lost")

    # Life

    async def live(self) -> str:
        """Return one line that says what happened. Raises if anything did that must not."""
        self._choose_faults()
        await self.store.put_namespace(brief_namespace())
        move_after_s = self._begin()
        ids = [f"w{n}" for n in range(WORKFLOWS)]
        self._eager = self._new_worker()
        others = [*ids, "gone0"]
        clients = [
            ModelClient(each, self, self.witness, self._chance(), others=others, worker=self._eager)
            for each in ids
        ]
        passing = [
            PassingClient(each, namespace, self, self.witness, self._chance())
            for each, namespace in (("gone0", NAMESPACE), ("gone1", NAMESPACE), ("brief", BRIEF))
        ]
        returning = ReturningClient("back", self, self.witness, self._chance())
        operators = [
            ModelOperator(
                ids[n::OPERATORS],
                self,
                self.witness,
                self._chance(),
                VirtualClock(self.loop),
            )
            for n in range(OPERATORS)
        ]
        async with asyncio.TaskGroup() as group:
            self._add_workers(group)
            watching = group.create_task(self._watch())
            looking = group.create_task(self._look(clients))
            breaking = group.create_task(self._break_things(group))
            group.create_task(self._move_lists(move_after_s))
            followers = [
                group.create_task(what())
                for client in clients
                for what in (client.follow, client.wait_for_end)
                if self.random.random() < 0.5
            ]
            living = (*clients, *operators, *passing, returning)
            lives = [group.create_task(each.live()) for each in living]
            if self.random.random() < 0.5:
                deleter = NamespaceDeleter(self, self.witness, self._chance())
                lives.append(group.create_task(deleter.live()))
            await asyncio.sleep(BAD_TIMES_S)
            breaking.cancel()
            for operator in operators:
                operator.is_over = True
            self._heal()
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*lives)
                for operator in operators:
                    await operator.end_pauses()
                self._stop_workers()
                await asyncio.sleep(QUIET_S)
                self.checks.when_quiet(self.nodes)
                self._add_workers(group)
                await self._everything_ends(clients)
                await asyncio.gather(*followers)
            for client in clients:
                await client.look_back()
            self.checks.at_any_time(self.nodes)
            self.checks.at_the_end()
            watching.cancel()
            looking.cancel()
            self._stop_workers()
        wrong = [*self.bugs, *self.receivers.faults]
        assert not wrong, "\n".join(wrong)
        return self._summary()

    def _chance(self) -> random.Random:
        return random.Random(self.random.random())

    def _new_worker(self, namespace: str = NAMESPACE) -> ModelWorker:
        worker = ModelWorker(self._name("worker"), self, self.witness, self._chance(), namespace)
        worker.is_reliable = not self._is_bad
        return worker

    def _add_workers(self, group: asyncio.TaskGroup) -> None:
        for _ in range(WORKERS):
            self._add_worker(group)
        self._add_worker(group, BRIEF)

    def _add_worker(self, group: asyncio.TaskGroup, namespace: str = NAMESPACE) -> None:
        worker = self._new_worker(namespace)
        tasks = [
            group.create_task(worker.run_workflow_tasks(sticky=False)),
            group.create_task(worker.run_workflow_tasks(sticky=True)),
            group.create_task(worker.run_activities()),
        ]
        self._crews.append((worker, namespace, tasks))

    def _stop_workers(self) -> None:
        for *_, tasks in self._crews:
            for task in tasks:
                task.cancel()
        self._crews.clear()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.random.uniform(0.5, 5))
            self.checks.at_any_time(self.nodes)

    async def _look(self, clients: list[ModelClient]) -> None:
        """Somebody always looks at something: what is shown is never older than what was shown before."""
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 0.4))
            await self.random.choice(clients).glance()

    # Bad times

    def _choose_faults(self) -> None:
        """Every world is bad in its own way: what is always there hides what is rare."""
        draw = self.random
        for faults in (self.faults, self.second_faults):
            for name, rate in (
                ("fails_before", 0.02),
                ("fails_after", 0.02),
                ("fails_early", 0.01),
                ("stalls", 0.01),
                ("loses_messages", 0.04),
            ):
                if draw.random() < 0.6:
                    setattr(faults, name, draw.uniform(0, rate))
            faults.latency_s = draw.choice((0.003, 0.003, 0.05, 0.3))
        self.receivers.loses = draw.choice((0.0, 0.1, 0.5))
        self.receivers.latency_s = draw.choice((0.01, 1.0))
        self._kinds = [kind for kind in KINDS if draw.random() < 0.7]
        self._every_s = draw.choice((5.0, 10.0, 20.0))

    async def _break_things(self, group: asyncio.TaskGroup) -> None:
        while self._kinds:
            await asyncio.sleep(self.random.expovariate(1 / self._every_s))
            kind = self.random.choice(self._kinds)
            self.counts[kind] += 1
            if kind == OUTAGE:
                await self._outage()
            elif kind == AWAY:
                self._send_away(self.random.choice(HOSTS))
            elif kind == WORKER:
                _, namespace, tasks = self._crews.pop(0)
                for task in tasks:
                    task.cancel()
                self._add_worker(group, namespace)
            else:
                self._hurt(kind)

    async def _outage(self) -> None:
        is_second = self.second is not None and self.random.random() < 0.5
        faults = self.second_faults if is_second else self.faults
        self.note("lists" if is_second else "the store", "go down")
        faults.is_down = True
        try:
            await asyncio.sleep(self.random.uniform(0.2, 10))
        finally:
            faults.is_down = False

    def _send_away(self, host: str) -> None:
        self.note(host, "is away")
        self.receivers.away.add(host)
        self.loop.call_later(self.random.uniform(1, 60), self.receivers.away.discard, host)

    def _begin(self) -> float:
        """Start the first nodes. Return when lists move to a database of their own; 0: they stay where they are."""
        place = self.random.choice(("main", "main", "second", "moved"))
        self.witness.lists_follow = place != "main"
        if place == "second":
            self._open_second()
        self.add_node()
        self.add_node()
        return self.random.uniform(10, 90) if place == "moved" else 0.0

    def _open_second(self) -> None:
        second = MemoryStore(now_ns=VirtualClock(self.loop).now_ns, is_shared=True)
        self.second = (second, self.second_faults)
        self.checks.lists.second = second

    async def _move_lists(self, after_s: float) -> None:
        """All nodes end, and those that start then have another configuration."""
        if not after_s:
            return
        await asyncio.sleep(after_s)
        self.note("lists", "move to a second database")
        for node in self.nodes:
            node.kill()
        self._open_second()
        self.add_node()
        self.add_node()

    def _hurt(self, kind: str) -> None:
        serving = [node for node in self.nodes if node.is_serving]
        is_owner = serving and self.random.random() < 0.8
        victim = self.random.choice(serving if is_owner else self.nodes[-2:])
        self.note(victim.name, kind)
        if kind == KILL:
            victim.kill()
            self.add_node()
        elif kind == STOP:
            victim.stop()
        elif kind == CUT:
            lists_only = self.second is not None and self.random.random() < 0.5
            victim.cut(hangs=self.random.random() < 0.7, lists_only=lists_only)
            self.loop.call_later(self.random.uniform(1, 20), self._mend, victim)
        else:
            # It is thought dead, and wakes up when another one has taken over. Or it does not take that long.
            victim.process.pause()
            pause_s = self.random.choice((self.random.uniform(0.1, 5), self.random.uniform(5, 20)))
            self.loop.call_later(pause_s, self._resume, victim)

    def _resume(self, node: SimulatedNode) -> None:
        self.note(node.name, "goes on")
        node.process.resume()

    def _mend(self, node: SimulatedNode) -> None:
        self.note(node.name, "reaches the store again")
        node.mend()

    def _heal(self) -> None:
        self.note("the world", "is a good one from now on")
        self._is_bad = False
        self.faults.stop()
        self.second_faults.stop()
        self.receivers.stop_failing()
        for worker in (self._eager, *(worker for worker, *_ in self._crews)):
            worker.is_reliable = True
        for node in self.nodes:
            node.mend()
            node.process.resume()

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
        for run_id, told in sorted(self.checks.told.items()):
            digest.update(run_id.encode())
            events += len(told.events)
            for row in told.rows:
                digest.update(row.events)
        hurt = ", ".join(f"{count} {kind}" for kind, count in sorted(self.counts.items()))
        return (
            f"{self.loop.time() / 60:.0f} min, {len(self.checks.told)} runs, {events} events,"
            f" {len(self.checks.gone.told)} gone, {len(self.witness.signals)} signals,"
            f" {len(self.witness.updates)} updates,"
            f" lists {'elsewhere' if self.second else 'at home'},"
            f" {hurt or 'nobody hurt'}, {digest.hexdigest()[:12]}"
        )

    def close(self) -> None:
        for node in self.nodes:
            node.process.tombstone()


def simulate(seed: int) -> str:
    """Run one world from its seed to its end. What is raised says what happened before."""
    draw = random.Random(f"loop {seed}")
    loop = VirtualLoop(draw, draw.choice((0.0, 0.02, 0.2)), draw.choice((0.001, 0.02)))
    world = World(seed, loop)

    async def live() -> str:
        return await world.live()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return runner.run(live())
        except BaseException as error:
            error.add_note(world.told())
            raise
        finally:
            world.close()

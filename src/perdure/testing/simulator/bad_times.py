"""Bad times: faults and how often they come. Every world has its own: a fault that is always there hides a rare one."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from perdure.testing.simulator.crews import Crews
from perdure.testing.simulator.faulty_store import Faults
from perdure.testing.simulator.range_store import TRUST_S, RangeStore
from perdure.testing.simulator.receivers import HOSTS, Receivers
from perdure.testing.simulator.simulated_node import SimulatedNode
from perdure.testing.simulator.virtual_loop import VirtualLoop

#: How many calls a second, and how many long polls at once, a node takes; see `frontend.rate_limits`.
RATE_LIMITS: Mapping[str, tuple[int, ...]] = {
    "frontend.rps": (4, 8),
    "frontend.namespaceRPS": (3, 6),
    "frontend.namespaceRPS.visibility": (1,),
    "frontend.namespaceCount": (3, 6),
}
KILL, PAUSE, STOP, CUT, OUTAGE, WORKER, AWAY = KINDS = (
    "kills",
    "pauses",
    "stops",
    "cuts",
    "outages",
    "worker deaths",
    "receivers away",
)
#: In worlds with several ranges: one of them changes its owner.
MOVE = "moves"


class Scene(Protocol):
    """The world, as far as it can be broken."""

    loop: VirtualLoop
    random: random.Random
    store: RangeStore
    faults: Faults
    second_faults: Faults
    receivers: Receivers
    crews: Crews
    nodes: list[SimulatedNode]

    @property
    def has_second(self) -> bool: ...

    def note(self, who: str, what: str, more: object = "") -> None: ...

    def add_node(self) -> SimulatedNode: ...


class BadTimes:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._random = draw = scene.random
        self.counts: Counter[str] = Counter()
        for faults in (scene.faults, scene.second_faults):
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
        scene.receivers.loses = draw.choice((0.0, 0.1, 0.5))
        scene.receivers.latency_s = draw.choice((0.01, 1.0))
        self._kinds = [kind for kind in KINDS if draw.random() < 0.7]
        if scene.store.has_rival:
            self._kinds += [MOVE, MOVE]
        self._every_s = draw.choice((5.0, 10.0, 20.0))

    def rate_limits(self) -> Mapping[str, Any]:
        """Draw the limits that all nodes have while times are bad. In many worlds they refuse what clients need."""
        return {
            key: self._random.choice(values)
            for key, values in RATE_LIMITS.items()
            if self._random.random() < 0.15
        }

    async def go_on(self, group: asyncio.TaskGroup) -> None:
        """Break one thing after the other, for ever."""
        while self._kinds:
            await asyncio.sleep(self._random.expovariate(1 / self._every_s))
            kind = self._random.choice(self._kinds)
            self.counts[kind] += 1
            if kind == OUTAGE:
                await self._outage()
            elif kind == AWAY:
                self._send_away(self._random.choice(HOSTS))
            elif kind == WORKER:
                self._scene.crews.replace_one(group)
            elif kind == MOVE:
                self._move_a_range()
            else:
                self._hurt(kind)

    async def _outage(self) -> None:
        is_second = self._scene.has_second and self._random.random() < 0.5
        faults = self._scene.second_faults if is_second else self._scene.faults
        self._scene.note("lists" if is_second else "the store", "go down")
        faults.is_down = True
        try:
            await asyncio.sleep(self._random.uniform(0.2, 10))
        finally:
            faults.is_down = False

    def _send_away(self, host: str) -> None:
        self._scene.note(host, "is away")
        away = self._scene.receivers.away
        away.add(host)
        self._scene.loop.call_later(self._random.uniform(1, 60), away.discard, host)

    def _move_a_range(self) -> None:
        """The owner of several ranges loses one, and goes on with the others."""
        serving = [node for node in self._scene.nodes if node.is_serving]
        leases = [lease for node in serving for lease in node.node.engine.leases.held]
        if not leases:
            return
        lease = self._random.choice(leases)
        self._scene.store.begin_to_move(lease)
        self._scene.loop.call_later(TRUST_S + 0.1, self._scene.store.move, lease)
        self._scene.note(lease.owner, "loses a range soon", f"{lease.lo:#x}")

    def _hurt(self, kind: str) -> None:
        nodes = self._scene.nodes
        serving = [node for node in nodes if node.is_serving]
        is_owner = serving and self._random.random() < 0.8
        victim = self._random.choice(serving if is_owner else nodes[-2:])
        self._scene.note(victim.name, kind)
        if kind == KILL:
            victim.kill()
            self._scene.add_node()
        elif kind == STOP:
            victim.stop()
        elif kind == CUT:
            lists_only = self._scene.has_second and self._random.random() < 0.5
            victim.cut(hangs=self._random.random() < 0.7, lists_only=lists_only)
            self._scene.loop.call_later(self._random.uniform(1, 20), self._mend, victim)
        else:
            # It is thought dead, and wakes up when another one has taken over. Or it does not take that long.
            victim.process.pause()
            lengths = (self._random.uniform(0.1, 5), self._random.uniform(5, 20))
            self._scene.loop.call_later(self._random.choice(lengths), self._resume, victim)

    def _resume(self, node: SimulatedNode) -> None:
        self._scene.note(node.name, "goes on")
        node.process.resume()

    def _mend(self, node: SimulatedNode) -> None:
        self._scene.note(node.name, "reaches the store again")
        node.mend()

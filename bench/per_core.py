"""How much a server can do on one core: CPU of a workflow, a signal, an update, a query, and memory of what waits.

Why it exists: an SDK's worker needs more CPU than a server, so it hides what a server could do. Here the server has one
core, the raw driver another, and PostgreSQL both. All contenders take turns, in the opposite order in every second
round. On a shared machine look at the CPU of a workflow: other work makes times on the clock longer, and CPU only by
its caches.
"""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from bench import usage
from bench.contenders import Contender
from bench.lab import Lab, progress
from bench.raw import Driver, Found
from bench.servers import Launch, Running, running

T = TypeVar("T")

CALM_SECONDS = 3.0
WARM_UP_COUNT = 60
#: The real server is so much slower that a round with as many would last too long.
REAL_SHARE = 1 / 4
#: Kind of call → (open runs, calls at once). A signal meets others in one task; each update has a run of its own.
CALLS = {"signal": (1, 19), "update": (19, 19), "query": (19, 19)}
PARTS = ("workflows", "calls", "memory")


class Plan(msgspec.Struct, frozen=True):
    """The work of one comparison."""

    parts: tuple[str, ...]
    rounds_count: int
    at_once: tuple[int, ...]
    workflows_count: int
    calls_count: int
    pollers_counts: tuple[int, ...]
    #: Pollers are counted with this store: how they wait has nothing to do with it.
    pollers_store: str = "memory"


class Waiting(msgspec.Struct, frozen=True):
    """The resident memory of a server without load: before so many pollers came, while they wait, and afterwards."""

    before_bytes: int
    waiting_bytes: int
    after_bytes: int


class Run(msgspec.Struct, frozen=True):
    """The figures of one server in one round. A part that was left out is empty."""

    server: str
    store: str
    product: str
    round_number: int
    #: The load of the machine in the minute before.
    load: float
    idle_bytes: int
    #: After all workflows and calls of the round.
    used_bytes: int
    #: How many workflows at once → what was found.
    workflows: dict[int, Found]
    calls: dict[str, Found]
    pollers: dict[int, Waiting]


def measure(plan: Plan, lab: Lab, servers: list[Contender], driver: Driver) -> Iterator[Run]:
    """Measure each server once a round, on the lab's cores for servers; give each result as soon as it is there."""
    for number, server in turns(plan.rounds_count, servers):
        progress(f"round {number} of {plan.rounds_count}: {server.name}")
        yield _Turn(plan, lab, driver, server, number).run()


def turns(rounds_count: int, servers: Sequence[T]) -> Iterator[tuple[int, T]]:
    """Give (number of the round from 1, server), in the opposite order in every second round."""
    for number in range(1, rounds_count + 1):
        for server in servers if number % 2 else servers[::-1]:
            yield number, server


class _Turn:
    """One server in one round."""

    def __init__(
        self,
        plan: Plan,
        lab: Lab,
        driver: Driver,
        server: Contender,
        number: int,
    ) -> None:
        self._plan = plan
        self._lab = lab
        self._driver = driver
        self._contender = server
        self._number = number
        self._share = 1.0 if server.kind.is_perdure else REAL_SHARE

    def run(self) -> Run:
        workflows: dict[int, Found] = {}
        calls: dict[str, Found] = {}
        load = os.getloadavg()[0]
        launch = self._launch("load")
        with running(launch) as server:
            time.sleep(CALM_SECONDS)
            idle_bytes = usage.resident_bytes(server.pid)
            if "workflows" in self._plan.parts:
                workflows = self._workflows(server)
            if "calls" in self._plan.parts:
                calls = {kind: self._calls(server, kind) for kind in CALLS}
            used_bytes = usage.resident_bytes(server.pid)
        shutil.rmtree(launch.directory)
        return Run(
            server=self._contender.name,
            store=self._contender.store,
            product=self._contender.product,
            round_number=self._number,
            load=load,
            idle_bytes=idle_bytes,
            used_bytes=used_bytes,
            workflows=workflows,
            calls=calls,
            pollers=self._pollers(),
        )

    def _launch(self, part: str) -> Launch:
        folder = f"{self._number}-{self._contender.name}-{part}"
        return self._contender.launch(self._lab, folder)

    def _workflows(self, server: Running) -> dict[int, Found]:
        count = int(self._plan.workflows_count * self._share)
        self._driver.run("workflows", server, "-count", WARM_UP_COUNT, "-at-once", 10)
        return {
            at_once: self._driver.run(
                "workflows", server, "-at-once", at_once, "-warm-up", at_once,
                # One at a time would last long, and a third of the number tells as much.
                "-count", count if at_once > 1 else count // 3,
            )
            for at_once in self._plan.at_once
        }  # fmt: skip

    def _calls(self, server: Running, kind: str) -> Found:
        runs, at_once = CALLS[kind]
        return self._driver.run(
            "calls", server, "-kind", kind, "-runs", runs, "-at-once", at_once,
            "-count", int(self._plan.calls_count * self._share),
        )  # fmt: skip

    def _pollers(self) -> dict[int, Waiting]:
        """Each number of pollers comes to a server of its own: memory that was used once is not given back."""
        if "memory" not in self._plan.parts or self._contender.store != self._plan.pollers_store:
            return {}
        found = {}
        for count in self._plan.pollers_counts:
            launch = self._launch(f"pollers-{count}")
            with running(launch) as server:
                # The first calls of all make a server load what it needs for any.
                self._driver.run("workflows", server, "-count", 1, "-at-once", 1)
                time.sleep(CALM_SECONDS)
                before_bytes = usage.resident_bytes(server.pid)
                with self._driver.waiting_pollers(server, count):
                    time.sleep(CALM_SECONDS)
                    waiting_bytes = usage.resident_bytes(server.pid)
                time.sleep(CALM_SECONDS)
                found[count] = Waiting(
                    before_bytes, waiting_bytes, usage.resident_bytes(server.pid)
                )
            shutil.rmtree(launch.directory)
        return found

"""The processes of workers: each has a worker of workflow tasks, with a sticky queue, and one of activities."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from perdure.testing.simulator.activity_worker import ActivityWorker
from perdure.testing.simulator.deletion_clients import BRIEF
from perdure.testing.simulator.model_worker import ModelWorker
from perdure.testing.simulator.program import NAMESPACE
from perdure.testing.simulator.unreliable_worker import UnreliableWorker
from perdure.testing.simulator.witness import Server, Witness

WORKERS = 3
Worker = TypeVar("Worker", bound=UnreliableWorker)


class Crew(NamedTuple):
    namespace: str
    worker: ModelWorker
    activities: ActivityWorker
    tasks: list[asyncio.Task[None]]

    def stop(self) -> None:
        for task in self.tasks:
            task.cancel()


class Crews:
    def __init__(
        self, connect: Callable[[], Server], witness: Witness, randomness: random.Random
    ) -> None:
        self._connect = connect
        self._witness = witness
        self._random = randomness
        self._crews: deque[Crew] = deque()
        self._numbers: Counter[str] = Counter()
        self._are_reliable = False
        #: It works where the clients are.
        self.eager = self._new(ModelWorker, "worker", NAMESPACE)

    def start(self, group: asyncio.TaskGroup) -> None:
        for namespace in (*[NAMESPACE] * WORKERS, BRIEF):
            self._start_one(group, namespace)

    def stop(self) -> None:
        while self._crews:
            self._crews.popleft().stop()

    def replace_one(self, group: asyncio.TaskGroup) -> None:
        """One dies, or leaves in good order, and another one begins."""
        crew = self._crews.popleft()
        crew.stop()
        if self._random.random() < 0.5:
            group.create_task(crew.worker.leave())
        self._start_one(group, crew.namespace)

    def become_reliable(self) -> None:
        self._are_reliable = True
        self.eager.is_reliable = True
        for crew in self._crews:
            crew.worker.is_reliable = crew.activities.is_reliable = True

    def _start_one(self, group: asyncio.TaskGroup, namespace: str) -> None:
        worker = self._new(ModelWorker, "worker", namespace)
        activities = self._new(ActivityWorker, "activities", namespace)
        tasks = [
            group.create_task(worker.run_workflow_tasks(sticky=False)),
            group.create_task(worker.run_workflow_tasks(sticky=True)),
            group.create_task(activities.run_activities()),
        ]
        self._crews.append(Crew(namespace, worker, activities, tasks))

    def _new(self, kind: type[Worker], what: str, namespace: str) -> Worker:
        self._numbers[what] += 1
        worker = kind(
            f"{what}-{self._numbers[what]}",
            self._connect(),
            self._witness,
            random.Random(self._random.random()),
            namespace,
        )
        worker.is_reliable = self._are_reliable
        return worker

"""Keeps all task queues of this node, in which tasks wait for pollers, or pollers for tasks."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.outcome import Effect
from perdure.core.matching.backlog import Weights
from perdure.core.matching.scaling import suggested_pollers
from perdure.core.matching.task_queue import (
    DEFAULT_PRIORITY,
    Poller,
    PollerInfo,
    TaskQueue,
    priority_of,
)
from perdure.core.workflow.effects import (
    DispatchActivityTask,
    DispatchQuery,
    DispatchWorkflowTask,
    Fairness,
)
from perdure.runtime.clock import Clock
from perdure.runtime.executions import Executions

SWEEP_EVERY_S = 30.0
_LATE_S = 0.001
#: Temporal: polls of a worker that has shut down get nothing for so long; some may come late.
SHUT_DOWN_MEMORY_NS = 30 * 10**9
SHUT_DOWN_MAX = 10_000


class QueueName(NamedTuple):
    namespace_id: str
    name: str
    #: `TaskQueueType`: workflow tasks and activity tasks of one name are two queues.
    kind: int


class QueuedWorkflowTask(NamedTuple):
    key: ExecutionKey
    scheduled_event_id: int
    attempt: int
    priority: int = DEFAULT_PRIORITY
    fairness: Fairness | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """Return what names the task: its priority may have been changed while it waits, and it waits as before."""
        return self[:3]


class QueuedActivityTask(NamedTuple):
    key: ExecutionKey
    scheduled_event_id: int
    attempt: int
    stamp: int = 0
    priority: int = DEFAULT_PRIORITY
    fairness: Fairness | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """As that of a workflow task. The stamp grows with every change of what is to be started."""
        return self[:4]


class QueuedQuery(NamedTuple):
    key: ExecutionKey
    query_id: str
    #: Serialized `WorkflowQuery`.
    query: bytes
    is_sticky: bool


QueuedTask = QueuedWorkflowTask | QueuedActivityTask | QueuedQuery


def queued_workflow_task(key: ExecutionKey, effect: DispatchWorkflowTask) -> QueuedWorkflowTask:
    priority = priority_of(effect.priority_key)
    return QueuedWorkflowTask(
        key, effect.scheduled_event_id, effect.attempt, priority, effect.fairness
    )


def queued_activity_task(key: ExecutionKey, effect: DispatchActivityTask) -> QueuedActivityTask:
    priority = priority_of(effect.priority_key)
    return QueuedActivityTask(
        key, effect.scheduled_event_id, effect.attempt, effect.stamp, priority, effect.fairness
    )


class _Poll(NamedTuple):
    name: QueueName
    worker_key: str


Queue = TaskQueue[QueuedTask]
WORKFLOW_QUEUE = 1
ACTIVITY_QUEUE = 2


class TaskQueues:
    def __init__(
        self,
        clock: Clock,
        configured: Callable[[QueueName], float | None],
        weights: Callable[[QueueName], Weights | None] = lambda _: None,
        key_rates: Callable[[QueueName], tuple[float | None, Weights]] = lambda _: (None, {}),
    ) -> None:
        """`configured` says how many tasks of a queue an operator wants dispatched in a second.

        `weights` says which fairness keys weigh something else than their tasks say; None: a queue knows no fairness.
        `key_rates` says how many tasks of each fairness key, in a second, and which weigh something else.
        """
        self._key_rates = key_rates
        self._clock = clock
        self._configured = configured
        self._weights = weights
        self._queues: dict[QueueName, TaskQueue[QueuedTask]] = {}
        self._draining = False
        #: In the order of their arrival.
        self._polls: dict[asyncio.Future[QueuedTask | None], _Poll] = {}
        #: Keys of workers that have said that they shut down, and when that is forgotten.
        self._shut_down: dict[str, int] = {}
        #: When the rate limit of a queue, at which tasks and pollers wait, lets through the next.
        self._releases: dict[QueueName, asyncio.TimerHandle] = {}

    # Tasks come

    def add_workflow_task(self, key: ExecutionKey, effect: DispatchWorkflowTask) -> None:
        task = queued_workflow_task(key, effect)
        queue = self._served_or_normal(key.namespace_id, effect.sticky_queue, effect.task_queue)
        queue.add(task, self._clock.now_ns(), task.priority, task.fairness)

    def add_activity_task(self, key: ExecutionKey, effect: DispatchActivityTask) -> None:
        name = QueueName(key.namespace_id, effect.task_queue, ACTIVITY_QUEUE)
        self._add(name, queued_activity_task(key, effect))

    def add_query(self, key: ExecutionKey, effect: DispatchQuery) -> QueuedQuery:
        """Add a query to the run's sticky queue if a worker serves that, else to the normal one."""
        sticky = self._find(QueueName(key.namespace_id, effect.sticky_queue, WORKFLOW_QUEUE))
        is_sticky = bool(sticky and sticky.is_served(self._clock.now_ns()))
        task = QueuedQuery(key, effect.query_id, effect.query, is_sticky)
        name = effect.sticky_queue if is_sticky else effect.task_queue
        self._queue(QueueName(key.namespace_id, name, WORKFLOW_QUEUE)).add_urgent(task)
        return task

    def withdraw_query(self, effect: DispatchQuery, task: QueuedQuery) -> None:
        name = effect.sticky_queue if task.is_sticky else effect.task_queue
        queue = self._find(QueueName(task.key.namespace_id, name, WORKFLOW_QUEUE))
        if queue is not None:
            queue.drop_urgent(task)

    def is_polled(self, namespace_id: str, task_queue: str, within_s: float) -> bool:
        """Whether a worker asks for workflow tasks of this queue, or did within this time."""
        queue = self._find(QueueName(namespace_id, task_queue, WORKFLOW_QUEUE))
        return queue is not None and queue.is_served(self._clock.now_ns(), int(within_s * 1e9))

    def _served_or_normal(
        self, namespace_id: str, sticky_queue: str, task_queue: str
    ) -> TaskQueue[QueuedTask]:
        """Temporal: a sticky queue that nobody has polled for 10 s is passed over."""
        if sticky_queue:
            queue = self._find(QueueName(namespace_id, sticky_queue, WORKFLOW_QUEUE))
            if queue is not None and queue.is_served(self._clock.now_ns()):
                return queue
        return self._queue(QueueName(namespace_id, task_queue, WORKFLOW_QUEUE))

    # Pollers come

    async def poll(self, name: QueueName, info: PollerInfo, deadline: float) -> QueuedTask | None:
        """Return the next task; None when there is none until `deadline` (loop time), or the node drains."""
        if info.worker_key and self._shut_down.get(info.worker_key, 0) > self._clock.now_ns():
            return None
        queue = self._queue(name)
        task = queue.poll(info)
        if task is not None or self._draining:
            return task
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[QueuedTask | None] = loop.create_future()
        poller: Poller[QueuedTask] = Poller(info.identity, partial(_hand_over, taken))
        queue.wait(poller)
        if queue.is_limited:
            self._release(name)
        self._polls[taken] = _Poll(name, info.worker_key)
        timeout = loop.call_at(deadline, _end, taken)
        try:
            return await taken
        except asyncio.CancelledError:
            if taken.done() and not taken.cancelled() and (lost := taken.result()) is not None:
                self.requeue(name, lost)
            raise
        finally:
            timeout.cancel()
            self._polls.pop(taken, None)
            queue.leave(poller)

    def requeue(self, name: QueueName, task: QueuedTask) -> None:
        """Put back a task whose poller cannot deliver it. One that is put back too often is stale, and does no harm."""
        if isinstance(task, QueuedQuery):
            self._queue(name).add_urgent(task)
        else:
            self._add(name, task)

    def _add(self, name: QueueName, task: QueuedWorkflowTask | QueuedActivityTask) -> None:
        queue = self._queue(name)
        queue.add(task, self._clock.now_ns(), task.priority, task.fairness)
        if queue.is_limited:
            self._release(name)

    def _release(self, name: QueueName) -> None:
        """Dispatch what the limit of a queue allows now, and come back when it allows more."""
        handle = self._releases.pop(name, None)
        if handle is not None:
            handle.cancel()
        queue = self._find(name)
        if queue is None:
            return
        now_ns = self._clock.now_ns()
        queue.release(now_ns)
        ready_at_ns = queue.held_until_ns()
        if ready_at_ns is not None:
            # A little later than that: the loop counts in its own clock.
            after_s = max(0, ready_at_ns - now_ns) / 1e9 + _LATE_S
            loop = asyncio.get_running_loop()
            self._releases[name] = loop.call_later(after_s, self._release, name)

    def configure(self, name: QueueName) -> None:
        """An operator has changed how fast tasks may be dispatched."""
        queue = self._find(name)
        if queue is not None:
            self._configure(queue, name)
            self._release(name)

    def forget_worker(self, namespace_id: str, sticky_queue: str) -> None:
        """A worker shuts down: nobody serves its sticky queue from now on. Polls of it end with nothing."""
        name = QueueName(namespace_id, sticky_queue, WORKFLOW_QUEUE)
        self._end_polls(lambda poll: poll.name == name)
        queue = self._find(name)
        if queue is not None:
            queue.last_poll_at_ns = 0
            queue.pollers.clear()

    def end_polls(self, worker_key: str) -> None:
        """A worker shuts down: its polls, of whichever queue, end with nothing, and so do those to come."""
        now_ns = self._clock.now_ns()
        for key, until_ns in list(self._shut_down.items()):
            if until_ns > now_ns and len(self._shut_down) < SHUT_DOWN_MAX:
                break
            del self._shut_down[key]
        self._shut_down.pop(worker_key, None)
        self._shut_down[worker_key] = now_ns + SHUT_DOWN_MEMORY_NS
        self._end_polls(lambda poll: poll.worker_key == worker_key)

    def _end_polls(self, is_meant: Callable[[_Poll], bool]) -> None:
        for taken, poll in list(self._polls.items()):
            if is_meant(poll):
                _end(taken)

    def forget_poller(self, name: QueueName, identity: str) -> None:
        """Descriptions do not show any more that it has polled."""
        queue = self._find(name)
        if queue is not None:
            queue.pollers.pop(identity, None)

    def forget(self) -> None:
        """End all polls, with nothing, and drop all tasks: another node may own the executions now."""
        for taken in list(self._polls):
            _end(taken)
        for handle in self._releases.values():
            handle.cancel()
        self._releases.clear()
        self._queues.clear()

    def drain(self) -> None:
        """End all polls, with nothing."""
        self._draining = True
        for taken in list(self._polls):
            _end(taken)

    # Questions of others

    def describe(self, name: QueueName) -> TaskQueue[QueuedTask]:
        """Return the queue for reading; an empty one if nobody has used it."""
        return self._find(name) or self._new(name)

    def suggested_pollers(self, name: QueueName, began_at_ns: int) -> int:
        """Return how many polls more a worker should make at once, that got a task for the one which began then."""
        queue = self._find(name)
        if queue is None:
            return 0
        return suggested_pollers(queue, began_at_ns, self._clock.now_ns())

    def names(self) -> Iterator[QueueName]:
        return iter(self._queues)

    async def sweep(self, executions: Executions) -> None:
        """Forget unused pollers, tasks and queues, for ever."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            self.forget_unused(executions)

    def forget_unused(self, executions: Executions) -> None:
        """Forget pollers and queues that nobody uses.

        A worker that polls finds stale tasks: their run has closed, or another worker has them. This drops those of
        queues that no worker polls any more, such as the sticky queue of a worker that has died.
        """
        now_ns = self._clock.now_ns()
        for name, queue in list(self._queues.items()):
            queue.forget_pollers(now_ns)
            if queue.is_forsaken(now_ns):
                queue.drop(lambda task: not _is_pending(task, executions))
            if queue.is_idle(now_ns):
                del self._queues[name]

    def _find(self, name: QueueName) -> TaskQueue[QueuedTask] | None:
        return self._queues.get(name)

    def _queue(self, name: QueueName) -> TaskQueue[QueuedTask]:
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = self._new(name)
        return queue

    def _new(self, name: QueueName) -> TaskQueue[QueuedTask]:
        queue: TaskQueue[QueuedTask] = TaskQueue(partial(self._weights, name), _fairness_of)
        self._configure(queue, name)
        return queue

    def _configure(self, queue: TaskQueue[QueuedTask], name: QueueName) -> None:
        now_ns = self._clock.now_ns()
        queue.configure_keys(*self._key_rates(name), now_ns)
        queue.configure(self._configured(name), now_ns)


def _fairness_of(task: QueuedTask) -> Fairness | None:
    return None if isinstance(task, QueuedQuery) else task.fairness


def _is_pending(task: QueuedTask, executions: Executions) -> bool:
    """Return whether an execution waits for this task to be taken."""

    def is_this(effect: Effect) -> bool:
        if isinstance(effect, DispatchWorkflowTask) and isinstance(task, QueuedWorkflowTask):
            return queued_workflow_task(task.key, effect).identity == task.identity
        if isinstance(effect, DispatchActivityTask) and isinstance(task, QueuedActivityTask):
            return queued_activity_task(task.key, effect).identity == task.identity
        return False

    return executions.has_pending(task.key, is_this)


def _hand_over(taken: asyncio.Future[QueuedTask | None], task: QueuedTask) -> bool:
    """Return False when the poll has ended, or was cancelled, and its task has not run since."""
    if taken.done():
        return False
    taken.set_result(task)
    return True


def _end(taken: asyncio.Future[QueuedTask | None]) -> None:
    if not taken.done():
        taken.set_result(None)

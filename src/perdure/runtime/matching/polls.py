"""Answers polls of workers: takes a task from its queue, and has the execution start it.

A queued task is a hint: the execution refuses a stale one, and the poll goes on with the next. If a task does not reach
the worker, the caller undoes its start by the `TaskReturns` that it passed in, also if the poll raises.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from perdure.core.errors import Code, Rejected, no_workflow_task
from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.request import Request
from perdure.core.matching.task_queue import PollerInfo
from perdure.core.workflow.activities.attempts import ActivityTask, StartActivity
from perdure.core.workflow.records import encode_events
from perdure.core.workflow.returning import Return, ReturnActivity, ReturnWorkflowTask
from perdure.core.workflow.tasks.start import StartWorkflowTask, TaskStarted
from perdure.runtime.executions import Executions
from perdure.runtime.matching.task_queues import (
    QueuedActivityTask,
    QueuedQuery,
    QueuedTask,
    QueuedWorkflowTask,
    QueueName,
    TaskQueues,
)
from perdure.runtime.matching.task_returns import TaskReturns, task_returns
from perdure.runtime.namespaces import Namespaces
from perdure.runtime.replies import ActivityTaskReply, QueryTaskReply, WorkflowTaskReply

#: The codes with which an execution refuses a stale task: it is started already, or the run has moved on or has closed.
_STALE = (Code.NOT_FOUND, Code.INVALID_ARGUMENT)


class QueryTasks(Protocol):
    """The queries that wait for workers, as polls see them."""

    async def take(self, name: QueueName, queued: QueuedQuery) -> QueryTaskReply | None:
        """Return the task for the worker; None if nobody waits for the answer."""

    def requeue(self, name: QueueName, queued: QueuedQuery) -> None:
        """Let the next worker have the query."""


class Polls:
    def __init__(
        self,
        executions: Executions,
        task_queues: TaskQueues,
        queries: QueryTasks,
        namespaces: Namespaces,
        *,
        fresh_id: Callable[[], str],
        nonce: Callable[[], int],
    ) -> None:
        self._executions = executions
        self._task_queues = task_queues
        self._queries = queries
        self._namespaces = namespaces
        self._fresh_id = fresh_id
        self._nonce = nonce

    async def workflow_task(
        self,
        name: QueueName,
        info: PollerInfo,
        deadline: float,
        version_stamp: bytes | None,
        returns: TaskReturns,
    ) -> WorkflowTaskReply | QueryTaskReply | None:
        """Return a workflow task or a query; None if there is none until `deadline` (loop time). Raises `Rejected`."""
        while True:
            self._executions.check_serving()
            queued = await self._task_queues.poll(name, info, deadline)
            if queued is None:
                return None
            if isinstance(queued, QueuedQuery):
                query = await self._queries.take(name, queued)
                if query is not None:
                    returns.append(partial(self._queries.requeue, name, queued))
                    return query
                continue
            assert isinstance(queued, QueuedWorkflowTask)
            request = StartWorkflowTask(
                scheduled_event_id=queued.scheduled_event_id,
                attempt=queued.attempt,
                identity=info.identity,
                request_id=self._fresh_id(),
                nonce=self._nonce(),
                queue=name.name,
                version_stamp=version_stamp,
            )
            undo = ReturnWorkflowTask(request.nonce)
            task = await self._start(name, queued, request, undo, returns)
            if task is None:
                continue
            assert isinstance(task, TaskStarted)
            backlog = self._task_queues.describe(name).backlog_count
            return await self.workflow_task_reply(queued.key, task, backlog)

    async def activity_task(
        self, name: QueueName, info: PollerInfo, deadline: float, returns: TaskReturns
    ) -> ActivityTaskReply | None:
        """Return an activity task; None if there is none until `deadline` (loop time). Raises `Rejected`."""
        while True:
            self._executions.check_serving()
            queued = await self._task_queues.poll(name, info, deadline)
            if queued is None:
                return None
            assert isinstance(queued, QueuedActivityTask)
            request = StartActivity(
                scheduled_event_id=queued.scheduled_event_id,
                attempt=queued.attempt,
                identity=info.identity,
                request_id=self._fresh_id(),
                stamp=queued.stamp,
            )
            undo = ReturnActivity(request.request_id)
            task = await self._start(name, queued, request, undo, returns)
            if task is None:
                continue
            assert isinstance(task, ActivityTask)
            namespace = self._namespaces.name_of(queued.key.namespace_id)
            return ActivityTaskReply(queued.key, namespace, task)

    async def _start(
        self,
        name: QueueName,
        queued: QueuedTask,
        request: Request[Any],
        undo: Return,
        returns: TaskReturns,
    ) -> object:
        """Have the execution start a queued task; return None if the task is stale."""
        try:
            task = (await self._executions.ask(queued.key, request)).reply
        except BaseException as error:
            if isinstance(error, Rejected) and error.code in _STALE:
                return None
            if not self._executions.tell(queued.key, undo):
                self._task_queues.requeue(name, queued)
            raise
        returns += task_returns(self._executions, queued.key, undo)
        return task

    async def workflow_task_reply(
        self,
        key: ExecutionKey,
        task: TaskStarted,
        backlog_count: int = 0,
        *,
        only_new: bool = False,
        taken_bytes: int = 0,
    ) -> WorkflowTaskReply:
        """Add the history that the worker needs: all of it, or the events that its cache lacks.

        `taken_bytes` is the size of everything else in the answer. Raises `Rejected`.
        """
        first = task.previous_started_event_id + 1 if task.is_sticky or only_new else 1
        limits = self._executions.environment_of(key.namespace_id).limits
        self._executions.check_serving()
        page = await self._executions.page(
            key,
            first,
            task.recorded_until,
            events_max=max(1, limits.task_history_page_size),
            taken_bytes=taken_bytes + _size(task),
        )
        if page.next_event_id == first < task.recorded_until:
            raise no_workflow_task()
        history, next_event_id = page.events, page.next_event_id
        if next_event_id >= task.recorded_until:
            history += encode_events(task.events)
            next_event_id = 0
        return WorkflowTaskReply(key, task, history, next_event_id, page.after_seq, backlog_count)


def _size(task: TaskStarted) -> int:
    """Return how many bytes a workflow task has besides its history."""
    return sum(map(len, task.queries.values())) + sum(each.ByteSize() for each in task.messages)

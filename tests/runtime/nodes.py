"""A node, a clock that is told the time, and a store that fails on purpose."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.api.enums.v1 import EventType, WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.key import ExecutionKey
from perdure.core.matching.task_queue import PollerInfo
from perdure.core.workflow.completion import CompleteWorkflowTask
from perdure.core.workflow.lifecycle.close import Terminate
from perdure.core.workflow.lifecycle.start_policy import Start, started_attributes
from perdure.core.workflow.start_workflow import StartReply, StartWorkflow
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.matching.task_queues import WORKFLOW_QUEUE, QueueName
from perdure.runtime.node import Node
from perdure.store.memory import MemoryStore
from perdure.store.port import Batch, Unavailable
from tests.build.requests import start_request

ALLOW = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
FAIL = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL
QUEUE = QueueName("ns", "q", WORKFLOW_QUEUE)


class SetClock:
    def __init__(self) -> None:
        self.ns = 10**18

    def now_ns(self) -> int:
        return self.ns

    def monotonic_ns(self) -> int:
        return self.ns

    def go_on(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


class Unreliable(MemoryStore):
    """Fails one of the commits to come that delete something, before or after it is written, or holds all up."""

    def __init__(self) -> None:
        super().__init__()
        self.may_commit = asyncio.Event()
        self.may_commit.set()
        self._asked_count = 0
        self.deletions_left = -1
        self.is_written = False
        #: The most runs that one commit deleted.
        self.most_deleted = 0

    async def is_asked(self) -> bool:
        """Whether a commit is held up."""
        return self._asked_count > 0

    async def commit(self, batch: Batch) -> None:
        await asyncio.sleep(0)
        self._asked_count += 1
        await self.may_commit.wait()
        self._asked_count -= 1
        if batch.deletes:
            self.most_deleted = max(self.most_deleted, len(batch.deletes))
            self.deletions_left -= 1
            if self.deletions_left == 0:
                if self.is_written:
                    await super().commit(batch)
                raise Unavailable("failed on purpose")
        await super().commit(batch)


class Cuttable:
    """The store as one node sees it: from a moment on it is not there for it any more."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.is_cut = False

    def __getattr__(self, name: str) -> Any:
        if self.is_cut:
            raise Unavailable("cut off on purpose")
        return getattr(self.store, name)


async def until(condition: Callable[[], Awaitable[object]], pause_s: float = 0.01) -> None:
    for _ in range(6000):
        if await condition():
            return
        await asyncio.sleep(pause_s)
    raise AssertionError("it never came true")


async def started_node(store, clock, owner: str = "node-1") -> Node:
    node = Node(store, clock, ConfiguredLimits(), owner=owner)
    await node.start()
    return node


async def begin(
    node: Node, namespace_id: str, request: Any, *, reuse: Any, conflict: Any, **more: Any
) -> StartReply:
    """Ask a node to start a workflow as a client's request says."""
    key = node.executions.key(namespace_id, request.workflow_id)
    wanted = StartWorkflow(namespace_id, request, reuse, conflict, **more)
    return (await node.executions.ask(key, wanted)).reply


async def start(node: Node, namespace_id: str, workflow_id: str) -> ExecutionKey:
    request = start_request(workflow_id)
    reply = await begin(node, namespace_id, request, reuse=ALLOW, conflict=FAIL)
    return node.executions.key(namespace_id, workflow_id, reply.run_id)


async def start_child(node: Node, namespace_id: str, workflow_id: str) -> ExecutionKey:
    """Start a run that has a parent to tell when it closes. There is no such parent, which it has to find out."""
    wanted, run_id = start_request(workflow_id), node.fresh_id()
    attributes = started_attributes(
        wanted, run_id, now_ns=node.clock.now_ns(), limits=node.limits.of("ns")
    )
    attributes.parent_workflow_execution.workflow_id = "parent"
    attributes.parent_workflow_execution.run_id = node.fresh_id()
    key = node.executions.key(namespace_id, workflow_id, run_id)
    live = node.engine.begin(
        key, 1, Start(namespace_id, "ns", workflow_id, run_id, attributes, "r")
    )
    await node.engine.until_durable(live)
    return key


async def close(node: Node, key: ExecutionKey) -> None:
    await node.executions.ask(key, Terminate("", None, ""))


async def is_there(node: Node, key: ExecutionKey) -> bool:
    return await node.engine.find(key) is not None


def rows(store: MemoryStore, run_id: str) -> tuple[bool, bool, bool]:
    """Return whether there are rows of the run: of its execution, of its journal, of the lists."""
    return (
        any(row.run_id == run_id for row in store.rows()),
        bool(store.journal(run_id)),
        store.shown(run_id) is not None,
    )


class Failing(MemoryStore):
    """Fails commits and loads while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.loads = asyncio.Event()
        self.loads_at_once = 1000

    async def load(self, keys):
        if len(keys) > self.loads_at_once:
            raise Unavailable("canceling statement due to statement timeout")
        if not self.may_load.is_set():
            self.loads.set()
            await self.may_load.wait()
            raise Unavailable("failed on purpose")
        return await super().load(keys)

    async def commit(self, batch: Batch) -> None:
        if self.fails:
            raise Unavailable("failed on purpose")
        await super().commit(batch)


class Slow(MemoryStore):
    """Keeps commits and histories waiting while it is told to; histories may fail then."""

    def __init__(self) -> None:
        super().__init__()
        self.may_commit, self.may_read = asyncio.Event(), asyncio.Event()
        self.may_commit.set()
        self.may_read.set()
        self.reads_fail = False
        #: A commit waits.
        self.commit_waits = asyncio.Event()

    async def commit(self, batch: Batch) -> None:
        if not self.may_commit.is_set():
            self.commit_waits.set()
        await self.may_commit.wait()
        await super().commit(batch)

    async def history(self, *arguments, **options):
        await self.may_read.wait()
        if self.reads_fail:
            raise Unavailable("failed on purpose")
        return await super().history(*arguments, **options)


def later() -> float:
    return asyncio.get_running_loop().time() + 60


async def poll(node: Node):
    return await node.polls.workflow_task(
        QUEUE, PollerInfo("worker", node.clock.now_ns()), later(), b"", []
    )


async def complete(node: Node, task, commands=(), messages=()) -> None:
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    await node.executions.ask(
        task.key,
        CompleteWorkflowTask(task.task.ref, event, commands, {}, messages=messages),
    )

"""Sends a captured request again, in a situation like the one that it was sent in.

The situation is made by plain API calls: a run of its own, whose task, activity, update or query the request answers. The run's
workflow does not matter; only what a server looks at does.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from temporalio.api.command.v1 import (
    Command,
)
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import (
    TaskQueueKind,
    TaskQueueType,
    UpdateWorkflowExecutionLifecycleStage,
)
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import StickyExecutionAttributes, TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    GetWorkflowExecutionHistoryRequest,
    PollActivityTaskQueueRequest,
    PollActivityTaskQueueResponse,
    PollWorkflowTaskQueueRequest,
    PollWorkflowTaskQueueResponse,
    QueryWorkflowRequest,
    RespondWorkflowTaskCompletedRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)

from tests.build.commands import schedule_activity, start_timer
from tests.differential.wire import Refusal, Wire
from tests.workers import kinds

_PATIENCE_S = 60.0
_TRIES = 20
_NAMESPACE = "default"
_A_DAY_S = 86400


class Scene:
    """A run on a task queue of its own, and what the words in captured requests mean there."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        name = uuid.uuid4().hex
        self.queue = f"queue-{name}"
        self.sticky_queue = f"sticky-{name}"
        self.workflow_id = f"workflow-{name}"
        self.update_id = f"update-{name}"
        self.words: dict[str | bytes, str | bytes] = {
            kinds.TASK_QUEUE: self.queue,
            kinds.STICKY_QUEUE: self.sticky_queue,
            kinds.WORKFLOW_ID: self.workflow_id,
            kinds.UPDATE_ID: self.update_id,
        }
        self._asked: set[asyncio.Task[Any]] = set()

    async def call(self, request: Message) -> Any:
        reply = await self._wire.call(request, timeout=_PATIENCE_S)
        assert not isinstance(reply, Refusal), f"{request.DESCRIPTOR.name}: {reply}"
        return reply

    def ask(self, request: Message) -> None:
        """Send a request whose answer waits for a worker."""
        self._asked.add(asyncio.create_task(self._wire.call(request, timeout=_PATIENCE_S)))

    async def close(self) -> None:
        """Give up what waits for an answer."""
        for task in self._asked:
            task.cancel()
        await asyncio.gather(*self._asked, return_exceptions=True)

    @property
    def _execution(self) -> WorkflowExecution:
        return WorkflowExecution(workflow_id=self.workflow_id)

    async def start(self) -> None:
        started = await self.call(
            StartWorkflowExecutionRequest(
                namespace=_NAMESPACE,
                workflow_id=self.workflow_id,
                workflow_type=WorkflowType(name="Captured"),
                task_queue=TaskQueue(name=self.queue),
                request_id=uuid.uuid4().hex,
            )
        )
        self.words[kinds.RUN_ID] = started.run_id

    async def signal(self) -> None:
        await self.call(
            SignalWorkflowExecutionRequest(
                namespace=_NAMESPACE, workflow_execution=self._execution, signal_name="captured"
            )
        )

    def query(self) -> None:
        self.ask(
            QueryWorkflowRequest(
                namespace=_NAMESPACE,
                execution=self._execution,
                query=WorkflowQuery(query_type="captured"),
            )
        )

    def update(self) -> None:
        stage = UpdateWorkflowExecutionLifecycleStage
        completed = stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
        self.ask(
            UpdateWorkflowExecutionRequest(
                namespace=_NAMESPACE,
                workflow_execution=self._execution,
                wait_policy=WaitPolicy(lifecycle_stage=completed),
                request=Request(meta=Meta(update_id=self.update_id), input=Input(name="captured")),
            )
        )

    async def poll(self) -> Any:
        """Take the run's next workflow task, or its query."""
        queue = TaskQueue(name=self.queue)
        task = await self.call(PollWorkflowTaskQueueRequest(namespace=_NAMESPACE, task_queue=queue))
        assert task.task_token, "no task came"
        self.words[kinds.TASK_TOKEN.encode()] = task.task_token
        return task

    async def poll_sticky(self) -> None:
        """Be a worker that has taken a task from the sticky queue: where none has, none is put."""
        queue = TaskQueue(
            name=self.sticky_queue,
            kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY,
            normal_name=self.queue,
        )
        request = PollWorkflowTaskQueueRequest(
            namespace=_NAMESPACE, task_queue=queue, identity="captured"
        )
        taken = asyncio.create_task(self.call(request))
        describe = DescribeTaskQueueRequest(
            namespace=_NAMESPACE,
            task_queue=queue,
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
        while not (await self.call(describe)).pollers:
            assert not taken.done()
        await self.signal()
        await self.complete(await taken, is_sticky=True)

    async def complete(self, task: Any, *commands: Command, is_sticky: bool = False) -> None:
        request = RespondWorkflowTaskCompletedRequest(
            namespace=_NAMESPACE, task_token=task.task_token, commands=commands
        )
        if is_sticky:
            request.sticky_attributes.CopyFrom(
                StickyExecutionAttributes(
                    worker_task_queue=TaskQueue(
                        name=self.sticky_queue,
                        kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY,
                        normal_name=self.queue,
                    ),
                    schedule_to_start_timeout=Duration(seconds=60),
                )
            )
        await self.call(request)

    async def begin(self, *commands: Command, is_sticky: bool = False) -> None:
        """Let the run have its first workflow task behind it."""
        await self.start()
        await self.complete(await self.poll(), *commands, is_sticky=is_sticky)

    async def schedule_activity(self) -> None:
        command = schedule_activity(
            "captured",
            self.queue,
            activity_type={"name": "captured"},
            start_to_close_timeout=None,
            schedule_to_close_timeout=f"{_A_DAY_S}s",
            heartbeat_timeout=f"{_A_DAY_S}s",
        )
        await self.begin(command)


async def _workflow_task(scene: Scene, request: Any) -> None:
    """Take a task with what the request answers: the timers that it cancels, its update, its queries."""
    timers = [
        start_timer(command.cancel_timer_command_attributes.timer_id, _A_DAY_S)
        for command in request.commands
        if command.HasField("cancel_timer_command_attributes")
    ]
    await scene.begin(*timers)
    await scene.signal()
    if request.messages:
        scene.update()
    if request.query_results:
        scene.query()
    for _ in range(_TRIES):
        task = await scene.poll()
        has_update = bool(task.messages) or not request.messages
        has_query = bool(task.queries) or not request.query_results
        if has_update and has_query:
            break
        # The update or the query came after the task was taken: the next one has it.
        await scene.signal()
        await scene.complete(task)
    else:
        raise AssertionError("the update or the query never came with a task")
    for key in task.queries:
        scene.words[kinds.QUERY_ID] = key


async def _failed_workflow_task(scene: Scene, request: Any) -> None:
    await scene.start()
    await scene.poll()


async def _query_task(scene: Scene, request: Any) -> None:
    await scene.begin()
    scene.query()
    task = await scene.poll()
    assert task.HasField("query")


async def _activity_task(scene: Scene, request: Any) -> None:
    await scene.schedule_activity()
    queue = TaskQueue(name=scene.queue)
    task = await scene.call(PollActivityTaskQueueRequest(namespace=_NAMESPACE, task_queue=queue))
    scene.words[kinds.TASK_TOKEN.encode()] = task.task_token


async def _workflow_task_to_take(scene: Scene, request: Any) -> None:
    if request.task_queue.kind == TaskQueueKind.TASK_QUEUE_KIND_STICKY:
        await scene.begin(is_sticky=True)
        await scene.poll_sticky()
        await scene.signal()
    else:
        await scene.start()


async def _activity_task_to_take(scene: Scene, request: Any) -> None:
    await scene.schedule_activity()


async def _history(scene: Scene, request: Any) -> None:
    await scene.begin()
    page = await scene.call(
        GetWorkflowExecutionHistoryRequest(
            namespace=_NAMESPACE,
            execution=WorkflowExecution(workflow_id=scene.workflow_id),
            maximum_page_size=1,
        )
    )
    scene.words[kinds.PAGE_TOKEN.encode()] = page.next_page_token


async def _run(scene: Scene, request: Any) -> None:
    await scene.begin(is_sticky=True)


async def _nothing(scene: Scene, request: Any) -> None:
    """The request is about no run."""


_POLLS: dict[str, type[PollWorkflowTaskQueueResponse | PollActivityTaskQueueResponse]] = {
    "PollActivityTaskQueue": PollActivityTaskQueueResponse,
    "PollWorkflowTaskQueue": PollWorkflowTaskQueueResponse,
}
#: Method → what must be there before it is called.
_SITUATIONS: dict[str, Callable[[Scene, Any], Awaitable[None]]] = {
    "Check": _nothing,
    "DescribeNamespace": _nothing,
    "GetSystemInfo": _nothing,
    "GetWorkflowExecutionHistory": _history,
    "PollActivityTaskQueue": _activity_task_to_take,
    "PollWorkflowTaskQueue": _workflow_task_to_take,
    "RecordActivityTaskHeartbeat": _activity_task,
    "RecordWorkerHeartbeat": _nothing,
    "ResetStickyTaskQueue": _run,
    "RespondActivityTaskCanceled": _activity_task,
    "RespondActivityTaskCompleted": _activity_task,
    "RespondActivityTaskFailed": _activity_task,
    "RespondQueryTaskCompleted": _query_task,
    "RespondWorkflowTaskCompleted": _workflow_task,
    "RespondWorkflowTaskFailed": _failed_workflow_task,
    "ShutdownWorker": _run,
}


async def replay(wire: Wire, captured: kinds.Captured, headers: dict[str, str]) -> str:
    """Return "OK", or what is wrong with the answer: a status and its message."""
    scene = Scene(wire)
    request = type(captured.request)()
    request.CopyFrom(captured.request)
    method = captured.method.rpartition("/")[2]
    try:
        await _SITUATIONS[method](scene, request)
        kinds.put_in_place(request, scene.words)
        reply = await wire.call_path(
            captured.method,
            request.SerializeToString(),
            timeout=_PATIENCE_S,
            metadata=tuple(sorted(headers.items())),
        )
    finally:
        await scene.close()
    if isinstance(reply, Refusal):
        return f"{reply.code}: {reply.message}"
    if method in _POLLS and not _POLLS[method].FromString(reply).task_token:
        return "no task came"
    return "OK"

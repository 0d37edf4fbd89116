"""The world of a script: one server, ids of its own, a transcript, and a worker to be played by hand.

Every call is written down when it is made, with what was answered, unless it is told to be quiet. Waiting is done on what
the server says (a long poll), never by guessing how long something takes, except for `settle`.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import EventType, HistoryEventFilterType, TaskQueueKind
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import payloads
from tests.differential.transcript import Transcript, plain, told_after
from tests.differential.wire import Refusal, Refused, Wire, method_name

#: Longer than anything a script waits for; a server that is late is a failure, not a slow test.
_TIMEOUT_S = 10.0
#: Long enough for a server to have taken in a request that it does not answer yet.
_SETTLE_S = 0.25


class World:
    """One run of one script against one server."""

    def __init__(self, wire: Wire, nonce: str) -> None:
        self.wire = wire
        self.nonce = nonce
        self.namespace = "default"
        self.transcript = Transcript()
        self.workflows: list[Workflow] = []
        self.metadata: tuple[tuple[str, str], ...] = ()
        #: Shows what comes after an answer, in place of the answer.
        self.shows_trailers = False

    def id(self, name: str) -> str:
        """An id that no other run uses; reads as `name` in the transcript."""
        return f"{name}-{self.nonce}"

    def workflow(self, name: str = "workflow") -> "Workflow":
        workflow = Workflow(self, name)
        self.workflows.append(workflow)
        return workflow

    async def own_namespace(self) -> None:
        """From here on use a namespace that nobody else uses."""
        name = self.id("namespace")
        register = api.RegisterNamespaceRequest(namespace=name)
        register.workflow_execution_retention_period.FromSeconds(86400)
        await self.do(register, quiet=True)
        self.namespace = name
        for _ in range(50):
            counted = await self.attempt(api.CountWorkflowExecutionsRequest(), quiet=True)
            if not isinstance(counted, Refusal):
                return
            await asyncio.sleep(0.1)
        raise AssertionError("the new namespace was never seen")

    async def attempt(
        self,
        request: Message,
        label: str = "",
        *,
        quiet: bool = False,
        timeout: float | None = _TIMEOUT_S,
        **fields: Any,
    ) -> Any:
        """Make a call that may be refused: returns the reply or the `Refusal`.

        `fields` in the JSON form of the API are added to the request; its namespace is filled in if it has that field
        and nothing is said about it.
        """
        fields = {key: value for key, value in fields.items() if value is not None}
        wanted: Any = request
        if "namespace" in request.DESCRIPTOR.fields_by_name and not wanted.namespace:
            fields = {"namespace": self.namespace} | fields
        ParseDict(fields, request)
        name = method_name(request)
        step = None if quiet else self.transcript.begin(f"{name} {label}".strip())
        trailers: list[tuple[str, str | bytes]] = []
        reply = await self.wire.call(
            request, timeout=timeout, metadata=self.metadata, trailers=trailers
        )
        if step is not None:
            step.outcome = told_after(trailers) if self.shows_trailers else plain(reply)
        return reply

    async def do(self, request: Message, label: str = "", **options: Any) -> Any:
        """Make a call that the script cannot do without."""
        reply = await self.attempt(request, label, **options)
        if isinstance(reply, Refusal):
            raise Refused(method_name(request), reply)
        return reply

    def note(self, label: str, value: object) -> None:
        self.transcript.note(label, value)

    async def settle(self) -> None:
        """Let a request that has been sent, and is not going to be answered yet, arrive."""
        await asyncio.sleep(_SETTLE_S)

    async def wait(self, seconds: float) -> None:
        """Let time pass when what is to happen then cannot be seen from outside: it is buffered, or must not happen."""
        await asyncio.sleep(seconds)

    @asynccontextmanager
    async def meanwhile(self, call: Coroutine[Any, Any, Any]) -> AsyncIterator["asyncio.Task[Any]"]:
        """Make a call that is only answered because of what the body does; it is answered when the body is left."""
        task: asyncio.Task[Any] = asyncio.create_task(call)
        await self.settle()
        try:
            yield task
            await task
        finally:
            task.cancel()

    async def poll_activity(
        self, task_queue: str, *, timeout: float = _TIMEOUT_S, quiet: bool = False, **fields: Any
    ) -> "ActivityTask":
        request = api.PollActivityTaskQueueRequest(
            task_queue=TaskQueue(name=task_queue), identity="activity worker"
        )
        reply = await self.do(request, timeout=timeout, quiet=quiet, **fields)
        return ActivityTask(self, reply)

    async def finish(self) -> None:
        """Write down what became of every workflow of the script, then end those that still run."""
        for workflow in self.workflows:
            for run_id in workflow.run_ids:
                await workflow.history(f"at the end ({workflow.name})", run_id=run_id)
                await workflow.describe(f"at the end ({workflow.name})", run_id=run_id)

    async def clean_up(self) -> None:
        for workflow in self.workflows:
            await self.attempt(
                api.TerminateWorkflowExecutionRequest(workflow_execution=workflow.execution()),
                quiet=True,
            )


class Workflow:
    """One workflow id, its task queue, and its worker's side."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.id = world.id(name)
        self.task_queue = world.id(f"{name}-queue")
        self.sticky_queue = world.id(f"{name}-sticky")
        #: Runs that replies and histories told of, oldest first.
        self.run_ids: list[str] = []

    @property
    def run_id(self) -> str:
        """The last run that this script knows of."""
        return self.run_ids[-1]

    def execution(self, run_id: str = "") -> WorkflowExecution:
        return WorkflowExecution(workflow_id=self.id, run_id=run_id)

    # The client's side

    def start_request(self, **fields: Any) -> api.StartWorkflowExecutionRequest:
        request = api.StartWorkflowExecutionRequest(
            workflow_id=self.id,
            workflow_type=WorkflowType(name="Workflow"),
            task_queue=TaskQueue(name=self.task_queue),
            identity="client",
            request_id=f"{self.name}-start",
        )
        return request

    async def start(self, label: str = "", *, quiet: bool = False, **fields: Any) -> str:
        """Start it; returns the run id."""
        reply = await self.world.do(self.start_request(), label, quiet=quiet, **fields)
        self.saw_run(reply.run_id)
        return str(reply.run_id)

    async def try_start(self, label: str = "", **fields: Any) -> Any:
        reply = await self.world.attempt(self.start_request(), label, **fields)
        if not isinstance(reply, Refusal):
            self.saw_run(reply.run_id)
        return reply

    def saw_run(self, run_id: str) -> None:
        if run_id not in self.run_ids:
            self.run_ids.append(run_id)

    async def signal(
        self, name: str = "signal", label: str = "", *, run_id: str = "", **fields: Any
    ) -> Any:
        request = api.SignalWorkflowExecutionRequest(
            workflow_execution=self.execution(run_id), signal_name=name, identity="client"
        )
        return await self.world.attempt(request, label or name, **fields)

    async def signal_with_start(self, label: str = "", **fields: Any) -> Any:
        request = api.SignalWithStartWorkflowExecutionRequest(
            workflow_id=self.id,
            workflow_type=WorkflowType(name="Workflow"),
            task_queue=TaskQueue(name=self.task_queue),
            identity="client",
            signal_name="signal",
        )
        reply = await self.world.attempt(request, label, **fields)
        if not isinstance(reply, Refusal):
            self.saw_run(reply.run_id)
        return reply

    async def cancel(self, label: str = "", *, run_id: str = "", **fields: Any) -> Any:
        request = api.RequestCancelWorkflowExecutionRequest(
            workflow_execution=self.execution(run_id), identity="client"
        )
        return await self.world.attempt(request, label, **fields)

    async def terminate(self, label: str = "", *, run_id: str = "", **fields: Any) -> Any:
        request = api.TerminateWorkflowExecutionRequest(
            workflow_execution=self.execution(run_id), identity="client"
        )
        return await self.world.attempt(request, label, **fields)

    async def describe(self, label: str = "", *, run_id: str = "", quiet: bool = False) -> Any:
        request = api.DescribeWorkflowExecutionRequest(execution=self.execution(run_id))
        return await self.world.attempt(request, label, quiet=quiet)

    async def history(self, label: str = "", *, run_id: str = "", **fields: Any) -> Any:
        request = api.GetWorkflowExecutionHistoryRequest(execution=self.execution(run_id))
        return await self.world.attempt(request, label, **fields)

    async def query(self, label: str = "", *, run_id: str = "", **fields: Any) -> Any:
        request = api.QueryWorkflowRequest(
            execution=self.execution(run_id),
            query=WorkflowQuery(query_type="query", query_args=payloads("argument")),
        )
        return await self.world.attempt(request, label, **fields)

    async def until(self, *wanted: EventType.ValueType, run_id: str = "") -> HistoryEvent:
        """Wait for the last of these events to be written. The waiting is not written down."""
        token = b""
        awaited = list(wanted)
        while True:
            request = api.GetWorkflowExecutionHistoryRequest(
                execution=self.execution(run_id or self.run_id),
                wait_new_event=True,
                next_page_token=token,
            )
            reply = await self.world.do(request, quiet=True)
            for event in reply.history.events:
                if awaited and event.event_type == awaited[0]:
                    awaited.pop(0)
                if not awaited:
                    return event  # type: ignore[no-any-return]
            token = reply.next_page_token
            assert token, f"closed without {[EventType.Name(kind) for kind in awaited]}"

    async def until_closed(self, run_id: str = "") -> None:
        token = b""
        while True:
            request = api.GetWorkflowExecutionHistoryRequest(
                execution=self.execution(run_id or self.run_id),
                wait_new_event=True,
                history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
                next_page_token=token,
            )
            reply = await self.world.do(request, quiet=True)
            if reply.history.events:
                return
            token = reply.next_page_token

    # The worker's side

    def sticky(self, seconds: float = 100) -> dict[str, Any]:
        """Sticky attributes for a completion."""
        return {
            "worker_task_queue": {
                "name": self.sticky_queue,
                "kind": "TASK_QUEUE_KIND_STICKY",
                "normal_name": self.task_queue,
            },
            "schedule_to_start_timeout": f"{seconds}s",
        }

    async def poll(
        self,
        label: str = "",
        *,
        sticky: bool = False,
        timeout: float = _TIMEOUT_S,
        quiet: bool = False,
    ) -> "WorkflowTask":
        queue = TaskQueue(name=self.task_queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)
        if sticky:
            queue = TaskQueue(
                name=self.sticky_queue,
                kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY,
                normal_name=self.task_queue,
            )
        request = api.PollWorkflowTaskQueueRequest(task_queue=queue, identity="worker")
        reply = await self.world.do(request, label, timeout=timeout, quiet=quiet)
        return WorkflowTask(self, reply)

    async def signal_and_poll_sticky(self) -> "WorkflowTask":
        """Signal the workflow while its sticky worker polls. A queue that nobody polls is not used."""
        async with self.world.meanwhile(self.poll(sticky=True)) as polling:
            await self.signal()
        task: WorkflowTask = polling.result()
        return task

    async def poll_and_complete(self, *commands: Command, **fields: Any) -> Any:
        """The usual step of a worker; the poll is written down, too."""
        task = await self.poll()
        return await task.complete(*commands, **fields)


class WorkflowTask:
    """A task that was handed out, or the nothing that a poll ended with."""

    def __init__(self, workflow: Workflow, reply: Any) -> None:
        self.workflow = workflow
        self.reply = reply

    async def complete(self, *commands: Command, label: str = "", **fields: Any) -> Any:
        request = api.RespondWorkflowTaskCompletedRequest(
            task_token=self.reply.task_token, identity="worker", commands=commands
        )
        reply = await self.workflow.world.attempt(request, label, **fields)
        if not isinstance(reply, Refusal):
            await self._note_new_run(commands)
        return reply

    async def complete_and_get_next(self, *commands: Command, **fields: Any) -> "WorkflowTask":
        reply = await self.complete(*commands, return_new_workflow_task=True, **fields)
        assert not isinstance(reply, Refusal), reply
        return WorkflowTask(self.workflow, reply.workflow_task)

    async def _note_new_run(self, commands: Sequence[Command]) -> None:
        if any(
            item.HasField("continue_as_new_workflow_execution_command_attributes")
            for item in commands
        ):
            described = await self.workflow.describe(quiet=True)
            self.workflow.saw_run(described.workflow_execution_info.execution.run_id)

    async def fail(self, failure: Failure | None = None, label: str = "", **fields: Any) -> Any:
        request = api.RespondWorkflowTaskFailedRequest(
            task_token=self.reply.task_token, identity="worker", failure=failure
        )
        return await self.workflow.world.attempt(request, label, **fields)

    async def answer_query(self, text: str = "answer", label: str = "", **fields: Any) -> Any:
        """Answer the query that this whole task is about."""
        request = api.RespondQueryTaskCompletedRequest(task_token=self.reply.task_token)
        wanted = {"completed_type": "QUERY_RESULT_TYPE_ANSWERED"} | fields
        if "error_message" not in fields:
            request.query_result.CopyFrom(payloads(text))
        return await self.workflow.world.attempt(request, label, **wanted)

    def query_results(self, **result: Any) -> dict[str, Any]:
        """The same answer to every query that came along with the task."""
        return {query_id: result for query_id in self.reply.queries}


class ActivityTask:
    def __init__(self, world: World, reply: Any) -> None:
        self.world = world
        self.reply = reply

    async def complete(self, result: str = "result", label: str = "", **fields: Any) -> Any:
        request = api.RespondActivityTaskCompletedRequest(
            task_token=self.reply.task_token, identity="activity worker", result=payloads(result)
        )
        return await self.world.attempt(request, label, **fields)

    async def fail(self, failure: Failure | None = None, label: str = "", **fields: Any) -> Any:
        request = api.RespondActivityTaskFailedRequest(
            task_token=self.reply.task_token, identity="activity worker", failure=failure
        )
        return await self.world.attempt(request, label, **fields)

    async def canceled(self, details: str = "details", label: str = "", **fields: Any) -> Any:
        request = api.RespondActivityTaskCanceledRequest(
            task_token=self.reply.task_token, identity="activity worker", details=payloads(details)
        )
        return await self.world.attempt(request, label, **fields)

    async def heartbeat(self, details: str = "progress", label: str = "", **fields: Any) -> Any:
        request = api.RecordActivityTaskHeartbeatRequest(
            task_token=self.reply.task_token, identity="activity worker", details=payloads(details)
        )
        return await self.world.attempt(request, label, **fields)

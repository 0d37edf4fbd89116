"""A worker that runs small programs by replaying history, over the same calls as a real one.

A program is a list of steps, one after the other. What a worker answers follows from the history that it is given and
from nothing else, so any worker may take any task. It loses answers, repeats them, and is sometimes too slow.
"""

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import CommandType, EventType, ParentClosePolicy
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.protocol.v1 import Message
from temporalio.api.query.v1 import WorkflowQueryResult
from temporalio.api.update.v1 import Acceptance, Request, Response
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
    PollActivityTaskQueueRequest,
    PollActivityTaskQueueResponse,
    PollWorkflowTaskQueueRequest,
    PollWorkflowTaskQueueResponse,
    RespondActivityTaskCompletedRequest,
    RespondActivityTaskFailedRequest,
    RespondQueryTaskCompletedRequest,
    RespondWorkflowTaskCompletedRequest,
    RespondWorkflowTaskCompletedResponse,
)

from perdure.core.errors import Code, Rejected

QUEUE = "programs"
NAMESPACE = "default"

TIMER, ONCE, RETRIED, SIGNAL, CHILD, CONTINUE = (
    "timer",
    "once",
    "retried",
    "signal",
    "child",
    "continue",
)
STEPS = (TIMER, ONCE, RETRIED, SIGNAL, CHILD, CONTINUE)

Sleep = Callable[[float], Awaitable[None]]


class Server(Protocol):
    """Whatever answers calls. Raises `Rejected`; a call that the network loses is UNAVAILABLE."""

    async def call(self, request: Any, timeout_s: float = 10.0) -> Any: ...


class Witness:
    """What all workers of a world have seen together."""

    def __init__(self) -> None:
        #: How often an activity that may be tried once was started, by (run id, activity id).
        self.started: Counter[tuple[str, str]] = Counter()


class ModelWorker:
    def __init__(
        self, name: str, server: Server, witness: Witness, randomness: random.Random, sleep: Sleep
    ) -> None:
        self._name = name
        self._server = server
        self._witness = witness
        self._random = randomness
        self._sleep = sleep
        #: What a worker would have in its cache, by run id: the events up to the last task that it completed.
        self._cache: dict[str, list[HistoryEvent]] = {}
        self.is_reliable = False

    @property
    def _sticky_queue(self) -> str:
        return f"{self._name}-sticky"

    async def run_workflow_tasks(self, *, sticky: bool) -> None:
        """Take tasks for ever, from the common queue or from this worker's own."""
        queue = self._sticky_queue if sticky else QUEUE
        while True:
            request = PollWorkflowTaskQueueRequest(namespace=NAMESPACE, identity=self._name)
            request.task_queue.name = queue
            try:
                task = await self._server.call(request, timeout_s=20.0)
                assert isinstance(task, PollWorkflowTaskQueueResponse)
                while task.task_token:
                    task = await self._work(task)
            except Rejected:
                await self._sleep(self._random.uniform(0.05, 1.0))

    async def _work(self, task: PollWorkflowTaskQueueResponse) -> PollWorkflowTaskQueueResponse:
        """Answer one task; return the next one if the server gives it at once."""
        nothing = PollWorkflowTaskQueueResponse()
        if self._misbehaves(0.05):
            self._cache.clear()
            return nothing  # The worker died with the task in its hand.
        events = await self._history(task)
        if task.HasField("query"):
            await self._answer_query(task, events)
            return nothing
        if events is None:
            await self._fail_cache_miss(task)
            return nothing
        await self._sleep(self._random.expovariate(1 / 0.01))
        if self._misbehaves(0.03):
            await self._sleep(self._random.uniform(1.0, 15.0))
        request = RespondWorkflowTaskCompletedRequest(
            namespace=NAMESPACE,
            task_token=task.task_token,
            identity=self._name,
            commands=decide(events),
            return_new_workflow_task=True,
        )
        request.capabilities.discard_speculative_workflow_task_with_events = True
        for message in task.messages:
            _answer_update(message, request)
        for query_id in task.queries:
            result = request.query_results[query_id]
            result.CopyFrom(_query_result(events))
        request.sticky_attributes.worker_task_queue.name = self._sticky_queue
        request.sticky_attributes.schedule_to_start_timeout.FromSeconds(5)
        reply = await self._completed(request)
        run_id = task.workflow_execution.run_id
        if reply.reset_history_event_id:
            del events[reply.reset_history_event_id :]
        self._cache[run_id] = events
        if self._misbehaves(0.05):
            await self._repeat(request)
        if self._misbehaves(0.05):
            self._cache.pop(run_id, None)
            return nothing  # The reply was lost, and with it the next task.
        return reply.workflow_task

    async def _completed(
        self, request: RespondWorkflowTaskCompletedRequest
    ) -> RespondWorkflowTaskCompletedResponse:
        for _ in range(5):
            try:
                reply = await self._server.call(request)
                assert isinstance(reply, RespondWorkflowTaskCompletedResponse)
                return reply
            except Rejected as refusal:
                if refusal.code is not Code.UNAVAILABLE:
                    raise
            await self._sleep(self._random.uniform(0.05, 0.5))
        raise Rejected(Code.UNAVAILABLE, "simulated: given up")

    async def _history(self, task: PollWorkflowTaskQueueResponse) -> list[HistoryEvent] | None:
        """Return the whole history; None if the task builds on a cache that this worker has lost."""
        run_id = task.workflow_execution.run_id
        events = list(task.history.events)
        token = task.next_page_token
        while token:
            request = GetWorkflowExecutionHistoryRequest(
                namespace=NAMESPACE, next_page_token=token, execution=task.workflow_execution
            )
            page = await self._server.call(request)
            assert isinstance(page, GetWorkflowExecutionHistoryResponse)
            events += page.history.events
            token = page.next_page_token
        first = events[0].event_id if events else task.previous_started_event_id + 1
        if first > 1:
            known = self._cache.get(run_id)
            if known is None or len(known) < first - 1:
                return None
            events = known[: first - 1] + events
        ids = [event.event_id for event in events]
        assert ids == list(range(1, len(ids) + 1)), f"{run_id}: a task's history has gaps: {ids}"
        return events

    async def _fail_cache_miss(self, task: PollWorkflowTaskQueueResponse) -> None:
        """Ask for everything, as a worker does that has lost its cache."""
        request = GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE, execution=task.workflow_execution
        )
        page = await self._server.call(request)
        events: list[HistoryEvent] = list(page.history.events)
        while page.next_page_token:
            request.next_page_token = page.next_page_token
            page = await self._server.call(request)
            events += page.history.events
        self._cache[task.workflow_execution.run_id] = events[: task.previous_started_event_id]
        full = PollWorkflowTaskQueueResponse()
        full.CopyFrom(task)
        await self._work_with(full)

    async def _work_with(self, task: PollWorkflowTaskQueueResponse) -> None:
        if await self._history(task) is not None:
            await self._work(task)

    async def _answer_query(
        self, task: PollWorkflowTaskQueueResponse, events: list[HistoryEvent] | None
    ) -> None:
        if events is None:
            return
        result = _query_result(events)
        await self._server.call(
            RespondQueryTaskCompletedRequest(
                namespace=NAMESPACE,
                task_token=task.task_token,
                completed_type=result.result_type,
                query_result=result.answer,
            )
        )

    async def run_activities(self) -> None:
        """Take activity tasks for ever."""
        while True:
            request = PollActivityTaskQueueRequest(namespace=NAMESPACE, identity=self._name)
            request.task_queue.name = QUEUE
            try:
                task = await self._server.call(request, timeout_s=20.0)
                assert isinstance(task, PollActivityTaskQueueResponse)
                if task.task_token:
                    await self._act(task)
            except Rejected:
                await self._sleep(self._random.uniform(0.05, 1.0))

    async def _act(self, task: PollActivityTaskQueueResponse) -> None:
        if task.activity_type.name == ONCE:
            self._witness.started[(task.workflow_execution.run_id, task.activity_id)] += 1
        if self._misbehaves(0.05):
            return
        await self._sleep(self._random.expovariate(1 / 0.05))
        request: Any
        if task.activity_type.name == RETRIED and task.attempt < 2:
            failure = Failure(message="not yet")
            failure.application_failure_info.type = "NotYet"
            request = RespondActivityTaskFailedRequest(
                namespace=NAMESPACE, task_token=task.task_token, failure=failure
            )
        else:
            request = RespondActivityTaskCompletedRequest(
                namespace=NAMESPACE, task_token=task.task_token
            )
            request.result.payloads.add(data=task.activity_id.encode())
        await self._insist(request)
        if self._misbehaves(0.05):
            await self._repeat(request)

    async def _insist(self, request: Any) -> None:
        for _ in range(20):
            try:
                await self._server.call(request)
                return
            except Rejected as refusal:
                if refusal.code is not Code.UNAVAILABLE:
                    return
            await self._sleep(self._random.uniform(0.05, 0.5))

    async def _repeat(self, request: Any) -> None:
        """An answer that comes twice must not count twice."""
        try:
            await self._server.call(request)
        except Rejected as refusal:
            if refusal.code not in (Code.NOT_FOUND, Code.UNAVAILABLE):
                raise AssertionError(f"an answer that came twice: {refusal.message}") from refusal

    def _misbehaves(self, rate: float) -> bool:
        return not self.is_reliable and self._random.random() < rate


def program_of(events: list[HistoryEvent]) -> list[str]:
    started = events[0].workflow_execution_started_event_attributes
    steps: list[str] = json.loads(started.input.payloads[0].data)
    return steps


def decide(events: list[HistoryEvent]) -> list[Command]:
    """Return the commands of a workflow that has seen `events`: the next step of its program, or its end."""
    program = program_of(events)
    begun, ended, signals = _progress(events)
    used_signals = 0
    for index, step in enumerate(program):
        if step == SIGNAL:
            used_signals += 1
            if signals < used_signals:
                return []
        elif step == CONTINUE:
            return [_continue(program[index + 1 :])]
        elif str(index) in ended:
            continue
        elif str(index) in begun:
            return []
        else:
            return [_begin(step, index, events)]
    done = Command(command_type=CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION)
    done.complete_workflow_execution_command_attributes.result.payloads.add(
        data=json.dumps(signals).encode()
    )
    return [done]


def _progress(events: list[HistoryEvent]) -> tuple[set[str], set[str], int]:
    """Return the steps that were begun and those that have ended, by index, and how many signals there were."""
    begun: dict[int, str] = {}
    ended: set[str] = set()
    signals = 0
    for event in events:
        kind = str(event.WhichOneof("attributes"))
        attributes = getattr(event, kind)
        if kind == "timer_started_event_attributes":
            begun[event.event_id] = attributes.timer_id
        elif kind == "activity_task_scheduled_event_attributes":
            begun[event.event_id] = attributes.activity_id
        elif kind == "start_child_workflow_execution_initiated_event_attributes":
            begun[event.event_id] = attributes.workflow_id.rpartition("/")[2]
        elif kind == "timer_fired_event_attributes":
            ended.add(attributes.timer_id)
        elif kind == "workflow_execution_signaled_event_attributes":
            signals += 1
        elif event.event_type in _ENDS:
            key = "scheduled_event_id" if "activity" in kind else "initiated_event_id"
            ended.add(begun[getattr(attributes, key)])
    return set(begun.values()), ended, signals


_ENDS = frozenset(
    getattr(EventType, f"EVENT_TYPE_{name}")
    for name in (
        "ACTIVITY_TASK_COMPLETED",
        "ACTIVITY_TASK_FAILED",
        "ACTIVITY_TASK_TIMED_OUT",
        "CHILD_WORKFLOW_EXECUTION_COMPLETED",
        "CHILD_WORKFLOW_EXECUTION_FAILED",
        "CHILD_WORKFLOW_EXECUTION_TIMED_OUT",
        "CHILD_WORKFLOW_EXECUTION_TERMINATED",
        "START_CHILD_WORKFLOW_EXECUTION_FAILED",
    )
)


def _begin(step: str, index: int, events: list[HistoryEvent]) -> Command:
    command = Command()
    if step == TIMER:
        command.command_type = CommandType.COMMAND_TYPE_START_TIMER
        timer = command.start_timer_command_attributes
        timer.timer_id = str(index)
        timer.start_to_fire_timeout.FromSeconds(1 + 7 * index)
    elif step == CHILD:
        command.command_type = CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION
        child = command.start_child_workflow_execution_command_attributes
        started = events[0].workflow_execution_started_event_attributes
        child.workflow_id = f"{started.workflow_id}/{started.original_execution_run_id}/{index}"
        child.workflow_type.name = "Program"
        child.task_queue.name = QUEUE
        child.parent_close_policy = ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE
        child.input.payloads.add(data=json.dumps([TIMER, ONCE]).encode())
    else:
        command.command_type = CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK
        activity = command.schedule_activity_task_command_attributes
        activity.activity_id = str(index)
        activity.activity_type.name = step
        activity.task_queue.name = QUEUE
        activity.start_to_close_timeout.FromSeconds(20)
        activity.retry_policy.maximum_attempts = 1 if step == ONCE else 0
    return command


def _continue(rest: list[str]) -> Command:
    command = Command(command_type=CommandType.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION)
    attributes = command.continue_as_new_workflow_execution_command_attributes
    attributes.input.payloads.add(data=json.dumps(rest).encode())
    return command


def _query_result(events: list[HistoryEvent]) -> WorkflowQueryResult:
    """Answer with what signals there were: a query must see every event before it."""
    names = [
        event.workflow_execution_signaled_event_attributes.signal_name
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    result = WorkflowQueryResult(result_type=1)  # type: ignore[arg-type]
    result.answer.payloads.add(data=json.dumps(names).encode())
    return result


def _answer_update(message: Message, request: RespondWorkflowTaskCompletedRequest) -> None:
    """Accept the update and complete it, both in this task."""
    update = Request.FromString(message.body.value)
    acceptance = Acceptance(
        accepted_request_message_id=message.id,
        accepted_request_sequencing_event_id=message.event_id,
        accepted_request=update,
    )
    response = Response(meta=update.meta)
    response.outcome.success.payloads.add(data=update.meta.update_id.encode())
    places = []
    for suffix, body in (("accept", acceptance), ("complete", response)):
        answer = request.messages.add(
            id=f"{message.protocol_instance_id}/{suffix}",
            protocol_instance_id=message.protocol_instance_id,
        )
        answer.body.Pack(body)
        place = Command(command_type=CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE)
        place.protocol_message_command_attributes.message_id = answer.id
        places.append(place)
    # Before the other commands: one of them may close the run.
    others = [*places, *request.commands]
    del request.commands[:]
    request.commands.extend(others)

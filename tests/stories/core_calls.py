"""Translate calls of the API into requests to the core, for `core_stage`: a function for each call that a story makes.

Nothing is checked here, and no default is filled in: the frontend does that, and the other two stages have one.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message
from temporalio.api.enums.v1 import EventType, HistoryEventFilterType
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes, HistoryEvent
from temporalio.api.query.v1 import QueryRejected, WorkflowQuery, WorkflowQueryResult
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from perdure.core.errors import Code, Rejected
from perdure.core.workflow.activities.attempts import (
    ActivityRef,
    CancelActivity,
    CompleteActivity,
    FailActivity,
    StartActivity,
)
from perdure.core.workflow.activities.heartbeats import HeartbeatActivity
from perdure.core.workflow.cancellation import RequestCancel
from perdure.core.workflow.completion import CompleteWorkflowTask
from perdure.core.workflow.effects import AnswerQuery, DispatchQuery
from perdure.core.workflow.lifecycle.close import RESETTER, Terminate
from perdure.core.workflow.lifecycle.pause import Pause, Unpause
from perdure.core.workflow.lifecycle.reset import NoteReset, Rebuild
from perdure.core.workflow.lifecycle.reset_prefix import Prefix
from perdure.core.workflow.lifecycle.start_policy import Start, started_attributes
from perdure.core.workflow.queries import Query
from perdure.core.workflow.signals import Signal
from perdure.core.workflow.tasks.fail import FailWorkflowTask
from perdure.core.workflow.tasks.start import StartWorkflowTask, TaskStarted, unrecorded
from perdure.core.workflow.updates import COMPLETED, AdmitUpdate, status
from tests.core.workflow.run import OneRun

if TYPE_CHECKING:
    from tests.stories.core_stage import CoreServer

NAMESPACE_ID = "ns-id"
CLOSE_EVENT = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
Answer = Callable[["CoreServer", Any], Awaitable[Message]]


def given(request: Message, name: str) -> Any:
    """Return a part of a request; None if it is not there."""
    return getattr(request, name) if request.HasField(name) else None


# Clients


async def start(server: "CoreServer", request: Any) -> Message:
    assert not server.runs[request.workflow_id], "no story is told of a second start yet"
    run_id = server.fresh_id()
    attributes = started_attributes(request, run_id, now_ns=server.now_ns, limits=server.limits)
    server.begin(
        Start(
            NAMESPACE_ID,
            request.namespace,
            request.workflow_id,
            run_id,
            attributes,
            request.request_id,
        )
    )
    return api.StartWorkflowExecutionResponse(run_id=run_id)


async def signal(server: "CoreServer", request: Any) -> Message:
    wanted = Signal(
        request.signal_name, given(request, "input"), request.identity, request.request_id
    )
    server.ask(server.run(request.workflow_execution), wanted)
    return api.SignalWorkflowExecutionResponse()


async def cancel(server: "CoreServer", request: Any) -> Message:
    first_run_id = request.first_execution_run_id
    wanted = RequestCancel(request.reason, request.identity, request.request_id, first_run_id)
    server.ask(server.run(request.workflow_execution, first_run_id), wanted)
    return api.RequestCancelWorkflowExecutionResponse()


async def terminate(server: "CoreServer", request: Any) -> Message:
    first_run_id = request.first_execution_run_id
    details = given(request, "details")
    wanted = Terminate(request.reason, details, request.identity, first_run_id)
    server.ask(server.run(request.workflow_execution, first_run_id), wanted)
    return api.TerminateWorkflowExecutionResponse()


async def pause(server: "CoreServer", request: Any) -> Message:
    wanted = Pause(request.identity, request.reason, request.request_id)
    server.ask(server.run(request), wanted)
    return api.PauseWorkflowExecutionResponse()


async def unpause(server: "CoreServer", request: Any) -> Message:
    wanted = Unpause(request.identity, request.reason, request.request_id)
    server.ask(server.run(request), wanted)
    return api.UnpauseWorkflowExecutionResponse()


async def reset(server: "CoreServer", request: Any) -> Message:
    base = server.run(request.workflow_execution)
    events = [HistoryEvent.FromString(each.SerializeToString()) for each in base.journal.events]
    length = request.workflow_task_finish_event_id - 1
    Prefix(events[:length]).check(ends_a_transition=False)
    run_id, state = server.fresh_id(), base.state
    server.ask(base, NoteReset(run_id, request.request_id))
    if state.is_open:
        server.ask(base, Terminate(request.reason, None, RESETTER))
    rebuild = Rebuild(
        namespace_id=state.namespace_id,
        namespace=state.namespace,
        workflow_id=state.workflow_id,
        run_id=run_id,
        base_run_id=state.run_id,
        earlier_run_ids=tuple(state.base_run_ids),
        prefix=events[:length],
        since=events[length:],
        excluded=frozenset(),
        start_request_id=state.start_request_id,
        request_id=request.request_id,
        reason=request.reason,
        after_task_id=state.last_task_id,
    )
    server.begin(rebuild)
    return api.ResetWorkflowExecutionResponse(run_id=run_id)


async def describe(server: "CoreServer", request: Any) -> Message:
    return server.run(request.execution).described()


async def history(server: "CoreServer", request: Any) -> Message:
    """Long polls end with what is new: the whole history is never a page too long."""
    run = server.run(request.execution)
    seen = int(request.next_page_token or b"0")

    def look() -> list[HistoryEvent] | None:
        events = [*run.journal.events, *unrecorded(run.run)]
        is_there = len(run.journal.events) > seen or not run.state.is_open
        return events[seen:] if is_there or not request.wait_new_event else None

    events = await server.until(look)
    response = api.GetWorkflowExecutionHistoryResponse()
    if request.wait_new_event and run.state.is_open:
        response.next_page_token = str(len(run.journal.events)).encode()
    only_the_last = request.history_event_filter_type == CLOSE_EVENT
    response.history.events.extend(_last(run, events) if only_the_last else events)
    return response


def _last(run: OneRun, events: list[HistoryEvent]) -> list[HistoryEvent]:
    return [] if run.state.is_open else events[-1:]


async def query(server: "CoreServer", request: Any) -> Message:
    query_id = server.fresh_id()
    wanted = Query(query_id, request.query, request.query_reject_condition)
    rejected = server.ask(server.run(request.execution), wanted)
    if isinstance(rejected, QueryRejected):
        return api.QueryWorkflowResponse(query_rejected=rejected)
    answer = await server.until(lambda: server.answers.get(query_id))
    if answer.refusal is not None:
        raise answer.refusal
    result = WorkflowQueryResult.FromString(answer.result or b"")
    return api.QueryWorkflowResponse(query_result=given(result, "answer"))


async def update(server: "CoreServer", request: Any) -> Message:
    run, wanted = server.run(request.workflow_execution), request.request
    update_id = wanted.meta.update_id
    server.updates.pop((run.state.run_id, update_id), None)
    server.ask(run, AdmitUpdate(update_id, wanted.SerializeToString()))
    return await _followed(
        server, run, update_id, request.wait_policy, api.UpdateWorkflowExecutionResponse()
    )


async def poll_update(server: "CoreServer", request: Any) -> Message:
    ref = request.update_ref
    run = server.run(ref.workflow_execution)
    if status(run.run, ref.update_id) is None:
        raise Rejected(Code.NOT_FOUND, f'update "{ref.update_id}" not found')
    return await _followed(
        server, run, ref.update_id, request.wait_policy, api.PollWorkflowExecutionUpdateResponse()
    )


async def _followed(
    server: "CoreServer", run: OneRun, update_id: str, wait_policy: Any, response: Any
) -> Message:
    """Wait until the update has come to the stage that the caller waits for."""
    is_poll = isinstance(response, api.PollWorkflowExecutionUpdateResponse)
    wanted = wait_policy.lifecycle_stage or (0 if is_poll else COMPLETED)

    def look() -> tuple[int, bytes] | None:
        effect = server.updates.get((run.state.run_id, update_id))
        if effect is not None and effect.refusal is not None:
            raise effect.refusal
        if effect is not None and effect.stage >= wanted:
            return effect.stage, effect.outcome
        known = status(run.run, update_id)
        return (known.stage, b"") if known is not None and known.stage >= wanted else None

    stage, outcome = await server.until(look)
    known = status(run.run, update_id)
    if known is not None and known.completed_event_id:
        outcome = run.event(known.completed_event_id).outcome.SerializeToString()
    response.stage = stage
    if outcome:
        response.outcome.MergeFromString(outcome)
    return response


# Workflow workers


async def poll_workflow_task(server: "CoreServer", request: Any) -> Message:
    while True:
        run, offer = await server.offer("workflow", request.task_queue.name)
        if isinstance(offer, DispatchQuery):
            return _query_task(server, run, offer)
        wanted = StartWorkflowTask(
            scheduled_event_id=offer.scheduled_event_id,
            attempt=offer.attempt,
            identity=request.identity,
            request_id=server.fresh_id(),
            nonce=server.fresh_nonce(),
            queue=request.task_queue.name,
        )
        try:
            task = server.ask(run, wanted)
        except Rejected:
            continue  # The offer was stale.
        return _workflow_task(server, run, task)


def _workflow_task(server: "CoreServer", run: OneRun, task: TaskStarted) -> Message:
    response = api.PollWorkflowTaskQueueResponse(
        task_token=server.token((run, task.ref)),
        previous_started_event_id=task.previous_started_event_id,
        started_event_id=task.started_event_id,
        attempt=task.ref.attempt,
        messages=task.messages,
    )
    response.workflow_execution.workflow_id = run.state.workflow_id
    response.workflow_execution.run_id = run.state.run_id
    response.history.events.extend([*run.journal.events, *task.events])
    for query_id, asked in task.queries.items():
        response.queries[query_id].MergeFromString(asked)
    return response


def _query_task(server: "CoreServer", run: OneRun, offer: DispatchQuery) -> Message:
    response = api.PollWorkflowTaskQueueResponse(
        task_token=server.token(offer.query_id), query=WorkflowQuery.FromString(offer.query)
    )
    response.workflow_execution.workflow_id = run.state.workflow_id
    response.workflow_execution.run_id = run.state.run_id
    return response


async def complete_workflow_task(server: "CoreServer", request: Any) -> Message:
    run, ref = server.of_token(request.task_token)
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    event.workflow_task_completed_event_attributes.identity = request.identity
    results = {key: result.SerializeToString() for key, result in request.query_results.items()}
    wanted = CompleteWorkflowTask(
        ref,
        event,
        request.commands,
        results,
        force_new_task=request.force_create_new_workflow_task,
        return_new_task_nonce=server.fresh_nonce() if request.return_new_workflow_task else 0,
        messages=request.messages,
        can_see_again=request.capabilities.discard_speculative_workflow_task_with_events,
    )
    completed = server.ask(run, wanted)
    response = api.RespondWorkflowTaskCompletedResponse(
        reset_history_event_id=completed.reset_to_event_id
    )
    if completed.new_task is not None:
        response.workflow_task.CopyFrom(_workflow_task(server, run, completed.new_task))
    return response


async def fail_workflow_task(server: "CoreServer", request: Any) -> Message:
    run, ref = server.of_token(request.task_token)
    failure = given(request, "failure")
    server.ask(run, FailWorkflowTask(ref, request.cause, failure, request.identity))
    return api.RespondWorkflowTaskFailedResponse()


async def answer_query(server: "CoreServer", request: Any) -> Message:
    query_id = server.of_token(request.task_token)
    result = WorkflowQueryResult(
        result_type=request.completed_type, answer=given(request, "query_result")
    )
    server.answer(AnswerQuery(query_id, result.SerializeToString()))
    return api.RespondQueryTaskCompletedResponse()


# Activity workers


async def poll_activity_task(server: "CoreServer", request: Any) -> Message:
    while True:
        run, offer = await server.offer("activity", request.task_queue.name)
        event_id, attempt = offer.scheduled_event_id, offer.attempt
        wanted = StartActivity(event_id, attempt, request.identity, server.fresh_id(), offer.stamp)
        try:
            task = server.ask(run, wanted)
        except Rejected:
            continue  # The offer was stale.
        scheduled = ActivityTaskScheduledEventAttributes.FromString(task.attributes)
        response = api.PollActivityTaskQueueResponse(
            task_token=server.token((run, ActivityRef(event_id, attempt))),
            activity_id=scheduled.activity_id,
            attempt=task.attempt,
        )
        if task.has_heartbeat_details:
            response.heartbeat_details.MergeFromString(task.heartbeat_details)
        return response


async def complete_activity(server: "CoreServer", request: Any) -> Message:
    run, ref = server.of_token(request.task_token)
    server.ask(run, CompleteActivity(ref, given(request, "result"), request.identity))
    return api.RespondActivityTaskCompletedResponse()


async def fail_activity(server: "CoreServer", request: Any) -> Message:
    run, ref = server.of_token(request.task_token)
    details = given(request, "last_heartbeat_details")
    server.ask(run, FailActivity(ref, given(request, "failure"), request.identity, details))
    return api.RespondActivityTaskFailedResponse()


async def cancel_activity(server: "CoreServer", request: Any) -> Message:
    run, ref = server.of_token(request.task_token)
    server.ask(run, CancelActivity(ref, given(request, "details"), request.identity))
    return api.RespondActivityTaskCanceledResponse()


async def heartbeat(server: "CoreServer", request: Any) -> Message:
    run, ref = server.of_token(request.task_token)
    reply = server.ask(run, HeartbeatActivity(ref, given(request, "details"), request.identity))
    return api.RecordActivityTaskHeartbeatResponse(cancel_requested=reply.cancel_requested)


CALLS: Mapping[type[Message], Answer] = {
    api.StartWorkflowExecutionRequest: start,
    api.SignalWorkflowExecutionRequest: signal,
    api.RequestCancelWorkflowExecutionRequest: cancel,
    api.TerminateWorkflowExecutionRequest: terminate,
    api.PauseWorkflowExecutionRequest: pause,
    api.UnpauseWorkflowExecutionRequest: unpause,
    api.ResetWorkflowExecutionRequest: reset,
    api.DescribeWorkflowExecutionRequest: describe,
    api.GetWorkflowExecutionHistoryRequest: history,
    api.QueryWorkflowRequest: query,
    api.UpdateWorkflowExecutionRequest: update,
    api.PollWorkflowExecutionUpdateRequest: poll_update,
    api.PollWorkflowTaskQueueRequest: poll_workflow_task,
    api.RespondWorkflowTaskCompletedRequest: complete_workflow_task,
    api.RespondWorkflowTaskFailedRequest: fail_workflow_task,
    api.RespondQueryTaskCompletedRequest: answer_query,
    api.PollActivityTaskQueueRequest: poll_activity_task,
    api.RespondActivityTaskCompletedRequest: complete_activity,
    api.RespondActivityTaskFailedRequest: fail_activity,
    api.RespondActivityTaskCanceledRequest: cancel_activity,
    api.RecordActivityTaskHeartbeatRequest: heartbeat,
}
#: Answers to polls that found nothing.
NOTHING_TO_DO: Mapping[type[Message], Callable[[], Message]] = {
    api.PollWorkflowTaskQueueRequest: api.PollWorkflowTaskQueueResponse,
    api.PollActivityTaskQueueRequest: api.PollActivityTaskQueueResponse,
}

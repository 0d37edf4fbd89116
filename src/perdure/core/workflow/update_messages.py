"""The messages of a completed workflow task: they accept, reject and complete updates, and callers learn it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import (
    EventType,
    WorkflowTaskFailedCause,
)
from temporalio.api.errordetails.v1 import WorkflowNotReadyFailure
from temporalio.api.failure.v1 import Failure
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import Acceptance, Outcome, Rejection, Response
from temporalio.api.update.v1 import Request as UpdateRequest

from perdure.core.errors import Code, Rejected
from perdure.core.workflow import callbacks, update_callbacks
from perdure.core.workflow.effects import AnswerUpdate
from perdure.core.workflow.events import new_event
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.records import UpdateDropped
from perdure.core.workflow.tasks.start import message_id
from perdure.core.workflow.updates import ACCEPTED, ADMITTED, COMPLETED

_CAUSE = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE
_PROTOCOL = "temporal.api.update.v1"

# What other concepts use


@dataclass(slots=True)
class News:
    """The news of updates in one completed workflow task: callers learn it when it is durable."""

    #: Update id → (stage, serialized outcome).
    results: dict[str, tuple[int, bytes]] = field(default_factory=dict)


def only_rejects(messages: Iterable[Message]) -> bool:
    return all(message.body.Is(Rejection.DESCRIPTOR) for message in messages)


class Inbox:
    """The messages of one completion. Each is taken once: by the command that names it, or at the end."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._left = {message.id: message for message in messages}
        self.news = News()

    def take(self, step: HistoryStep, command: Command) -> None:
        if not command.HasField("protocol_message_command_attributes"):
            raise BadCommand(
                _CAUSE, "ProtocolMessageCommandAttributes is not set on ProtocolMessageCommand."
            )
        wanted_id = command.protocol_message_command_attributes.message_id
        if not wanted_id:
            raise BadCommand(_CAUSE, "MessageID is not set on ProtocolMessageCommand.")
        message = self._left.pop(wanted_id, None)
        if message is None:
            raise BadCommand(
                _CAUSE, f"ProtocolMessageCommand referenced absent message ID {wanted_id}"
            )
        _handle(step, message, self.news)

    def take_rest(self, step: HistoryStep) -> None:
        for message in self._left.values():
            # Temporal: once the commands have closed the run, only a rejection counts: it leaves no event.
            if step.state.is_open or message.body.Is(Rejection.DESCRIPTOR):
                _handle(step, message, self.news)
        self._left.clear()


def conclude(step: HistoryStep, news: News, *, is_heartbeat: bool) -> None:
    """Tell the callers. Temporal: what was sent with the task and is not mentioned counts as rejected."""
    updates = step.in_flight.updates
    for update_id, (stage, outcome) in news.results.items():
        updates.pop(update_id, None)
        # An update that the end of the run leaves undone has failed: see `updates.on_close`.
        if stage == COMPLETED or step.state.is_open:
            step.emit(AnswerUpdate(update_id, stage, outcome))
    if is_heartbeat or not step.state.is_open:
        return
    for update_id in [each for each, update in updates.items() if update.is_sent]:
        del updates[update_id]
        step.emit(AnswerUpdate(update_id, COMPLETED, _UNPROCESSED))
    for update_id in list(step.state.admitted_updates):
        _drop(step, update_id, _UNPROCESSED)
        step.emit(AnswerUpdate(update_id, COMPLETED, _UNPROCESSED))


def task_failed(step: HistoryStep) -> None:
    """The worker's answer was refused. Temporal: what it had been sent is not tried again."""
    refusal = Rejected(
        Code.FAILED_PRECONDITION,
        "Unable to perform workflow execution update due to unexpected workflow task failure.",
        WorkflowNotReadyFailure(),
    )
    updates = step.in_flight.updates
    sent = [each for each, update in updates.items() if update.is_sent]
    for update_id in (*sent, *step.state.admitted_updates):
        updates.pop(update_id, None)
        step.emit(AnswerUpdate(update_id, ADMITTED, b"", refusal))


# What is recorded on the way


def _handle(step: HistoryStep, message: Message, news: News) -> None:
    kind = message.body.type_url.rpartition("/")[2]
    protocol = kind.rpartition(".")[0]
    if protocol != _PROTOCOL:
        raise BadCommand(_CAUSE, f"unsupported protocol type {protocol}")
    update_id = message.protocol_instance_id
    place = _place(step, update_id, news)
    try:
        if message.body.Is(Acceptance.DESCRIPTOR):
            _accept(step, update_id, place, Acceptance.FromString(message.body.value), news)
        elif message.body.Is(Rejection.DESCRIPTOR):
            _reject(step, update_id, place, Rejection.FromString(message.body.value), news)
        elif not place:
            raise _not_found(update_id)
        elif message.body.Is(Response.DESCRIPTOR):
            _complete(step, update_id, place, Response.FromString(message.body.value), news)
        else:
            name = kind.removeprefix(f"{_PROTOCOL}.")
            raise BadCommand(_CAUSE, f"Message type *update.{name} not supported")
    except DecodeError as error:
        message_text = "unable to unmarshal request: proto: cannot parse invalid wire-format data"
        raise BadCommand(_CAUSE, message_text) from error


def _place(step: HistoryStep, update_id: str, news: News) -> str:
    """Return how far the update is, in the words of Temporal's error texts; empty if it is not known."""
    if update_id in news.results:
        is_completed = news.results[update_id][0] == COMPLETED
        return "ProvisionallyCompleted" if is_completed else "ProvisionallyAccepted"
    accepted = step.state.updates.get(update_id)
    if accepted is not None:
        return "Completed" if accepted.completed_event_id else "Accepted"
    admitted = step.in_flight.updates.get(update_id)
    if admitted is not None:
        return "Sent" if admitted.is_sent else "Admitted"
    return "Sent" if update_id in step.state.admitted_updates else ""


def _check_place(update_id: str, place: str, kind: str, *allowed: str) -> None:
    if place not in allowed:
        raise BadCommand(
            _CAUSE,
            f"invalid state transition attempted for Update {update_id}:"
            f" received *update.{kind} message while in state {place}",
        )


def _check_set(kind: str, **fields: object) -> None:
    for name, value in fields.items():
        if not value:
            raise BadCommand(_CAUSE, f"invalid *update.{kind}: {name} is not set")


def _accept(
    step: HistoryStep, update_id: str, place: str, acceptance: Acceptance, news: News
) -> None:
    admitted = step.in_flight.updates.get(update_id)
    if place:
        _check_place(update_id, place, "Acceptance", "Sent", "Admitted")
        # An update that an event has admitted has its request there.
        request = None if admitted is None else UpdateRequest.FromString(admitted.request)
    elif acceptance.HasField("accepted_request"):
        # This server has lost it, in a crash as a rule; the worker brings it back.
        request = acceptance.accepted_request
    else:
        raise _not_found(update_id)
    _check_set(
        "Acceptance",
        accepted_request_sequencing_event_id=acceptance.accepted_request_sequencing_event_id,
        accepted_request_message_id=acceptance.accepted_request_message_id,
    )
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED)
    attributes = event.workflow_execution_update_accepted_event_attributes
    attributes.protocol_instance_id = update_id
    attributes.accepted_request_message_id = message_id(update_id)
    attributes.accepted_request_sequencing_event_id = (
        acceptance.accepted_request_sequencing_event_id
    )
    if request is not None:
        attributes.accepted_request.CopyFrom(request)
        event.links.extend(update_callbacks.links_of(request.completion_callbacks))
    step.record(event)
    if admitted is not None:
        update_callbacks.record_attached(step, update_id, admitted)
    news.results[update_id] = (ACCEPTED, b"")


def _complete(
    step: HistoryStep, update_id: str, place: str, response: Response, news: News
) -> None:
    _check_place(update_id, place, "Response", "Accepted", "ProvisionallyAccepted")
    _check_set("Response", meta=response.HasField("meta"))
    named_id = response.meta.update_id
    _check_set("Response", **{"meta.update_id": named_id})
    if named_id != update_id:
        raise BadCommand(_CAUSE, f"invalid *update.Response: meta.update_id != {update_id}")
    _check_set("Response", outcome=response.HasField("outcome"))
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED)
    attributes = event.workflow_execution_update_completed_event_attributes
    attributes.meta.CopyFrom(response.meta)
    attributes.accepted_event_id = step.state.updates[update_id].accepted_event_id
    attributes.outcome.CopyFrom(response.outcome)
    step.record(event)
    callbacks.tell_of_update(step, update_id)
    news.results[update_id] = (COMPLETED, response.outcome.SerializeToString(deterministic=True))


def _reject(
    step: HistoryStep, update_id: str, place: str, rejection: Rejection, news: News
) -> None:
    if place:
        _check_place(update_id, place, "Rejection", "Sent", "Admitted")
    elif not rejection.HasField("rejected_request"):
        raise _not_found(update_id)
    outcome = Outcome(failure=rejection.failure).SerializeToString(deterministic=True)
    if update_id in step.state.admitted_updates:
        _drop(step, update_id, outcome)
    news.results[update_id] = (COMPLETED, outcome)


def _drop(step: HistoryStep, update_id: str, outcome: bytes) -> None:
    """Give up an update that an event had admitted."""
    step.record_internal(UpdateDropped(update_id, outcome))
    callbacks.tell_of_update(step, update_id)


def _not_found(update_id: str) -> BadCommand:
    return BadCommand(
        _CAUSE,
        f"update {update_id} wasn't found on the server. This is most likely a transient error"
        " which will be resolved automatically by retries",
    )


def _server_failure(message: str, kind: str) -> bytes:
    failure = Failure(message=message, source="Server")
    failure.application_failure_info.type = kind
    failure.application_failure_info.non_retryable = True
    return Outcome(failure=failure).SerializeToString(deterministic=True)


_UNPROCESSED = _server_failure(
    "Workflow Update is rejected because it wasn't processed by worker."
    " Probably, Workflow Update is not supported by the worker.",
    "UnprocessedUpdate",
)

"""How the small programs answer queries and updates. Pure, as `program.py` is."""

import json
from collections.abc import Sequence

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import (
    CommandType,
    EventType,
    QueryResultType,
)
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.protocol.v1 import Message
from temporalio.api.query.v1 import WorkflowQueryResult
from temporalio.api.update.v1 import Acceptance, Request, Response
from temporalio.api.workflowservice.v1 import RespondWorkflowTaskCompletedRequest


def query_result(events: Sequence[HistoryEvent]) -> WorkflowQueryResult:
    """Answer with what signals there were: a query must see every event before it."""
    names = [
        event.workflow_execution_signaled_event_attributes.signal_name
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    result = WorkflowQueryResult(result_type=QueryResultType.QUERY_RESULT_TYPE_ANSWERED)
    result.answer.payloads.add(data=json.dumps(names).encode())
    return result


def answer_update(message: Message, request: RespondWorkflowTaskCompletedRequest) -> None:
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

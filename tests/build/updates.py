"""A worker's answers to updates: the messages, and the commands that say when each is due. Faults are up to the test."""

from collections.abc import Iterable
from typing import Any

from temporalio.api.command.v1 import Command
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import Acceptance, Meta, Outcome, Rejection, Request, Response

from tests.build.commands import failure, payloads, protocol_message


def message(asked: Message | str, body: Any, kind: str) -> Message:
    """Build a message about the update that `asked` is about, or that has this id."""
    update_id = asked if isinstance(asked, str) else asked.protocol_instance_id
    built = Message(id=f"{update_id}/{kind}", protocol_instance_id=update_id)
    built.body.Pack(body)
    return built


def update_messages(update_id: str, *bodies: Acceptance | Rejection | Response) -> list[Message]:
    """Build the messages about one update, with the ids "update_id/0", "update_id/1", …"""
    return [message(update_id, body, str(number)) for number, body in enumerate(bodies)]


def request_of(asked: Message) -> Request:
    request = Request()
    assert asked.body.Unpack(request)
    return request


def accepts(asked: Message) -> Message:
    body = Acceptance(
        accepted_request_message_id=asked.id,
        accepted_request_sequencing_event_id=asked.event_id,
        accepted_request=request_of(asked),
    )
    return message(asked, body, "accept")


def rejects(asked: Message, why: str = "no") -> Message:
    body = Rejection(
        rejected_request_message_id=asked.id,
        rejected_request_sequencing_event_id=asked.event_id,
        rejected_request=request_of(asked),
        failure=failure(why),
    )
    return message(asked, body, "reject")


def completes(asked: Message | str, result: str = "done") -> Message:
    return message(asked, _response(asked, Outcome(success=payloads(result))), "complete")


def fails(asked: Message | str, why: str = "failed") -> Message:
    return message(asked, _response(asked, Outcome(failure=failure(why))), "complete")


def _response(asked: Message | str, outcome: Outcome) -> Response:
    update_id = asked if isinstance(asked, str) else asked.protocol_instance_id
    return Response(meta=Meta(update_id=update_id, identity="client"), outcome=outcome)


def message_commands(messages: Iterable[Message]) -> list[Command]:
    """Build the commands that say when each of the messages is due; a rejection has none."""
    return [
        protocol_message(message.id)
        for message in messages
        if not message.body.Is(Rejection.DESCRIPTOR)
    ]

"""The answers of a server, step by step, in the order in which the steps were taken."""

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import History
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryResponse

from tests.differential.wire import Refusal


@dataclass(slots=True)
class Step:
    """One thing the script did. A call takes its place when it is made and gets its outcome when it is answered."""

    label: str
    #: Plain data: what `normalise` and `compare` work on.
    outcome: Any = "(never answered)"


@dataclass(slots=True)
class Transcript:
    steps: list[Step] = field(default_factory=list)

    def begin(self, label: str) -> Step:
        step = Step(f"{len(self.steps) + 1:02d} {label}")
        self.steps.append(step)
        return step

    def note(self, label: str, value: object) -> None:
        """Write down what a script worked out itself, to be compared too."""
        self.begin(label).outcome = value


def plain(reply: Message | Refusal | bytes) -> Any:
    """Turn an answer into plain data."""
    if isinstance(reply, Refusal):
        late = reply.code == "DEADLINE_EXCEEDED"
        return {
            "refused": reply.code,
            # Client and server race to notice a deadline, each with words of its own.
            "message": "<late>" if late else reply.message,
            "details": [
                {name: _fields(value) if isinstance(value, Message) else value.hex()}
                for name, value in reply.details
            ],
        }
    if isinstance(reply, bytes):
        return reply.hex()
    return _fields(reply)


def _fields(message: Message) -> Any:
    fields = MessageToDict(message, preserving_proto_field_name=True)
    if isinstance(message, GetWorkflowExecutionHistoryResponse) and message.raw_history:
        fields["raw_history"] = raw_events(message)
    return fields


def raw_events(response: GetWorkflowExecutionHistoryResponse) -> list[Any]:
    """Return the events of a history that came in serialized pieces. Where it is cut is a server's own business."""
    return [
        MessageToDict(event, preserving_proto_field_name=True)
        for blob in response.raw_history
        for event in History.FromString(blob.data).events
    ]


def told_after(trailers: list[tuple[str, str | bytes]]) -> dict[str, Any]:
    """Return what a server says of the workflow that a call was about."""
    shown: dict[str, Any] = {
        name: value
        for name, value in trailers
        if name.startswith(("contextmetadata-", "workflow-")) and not name.endswith("-bin")
    }
    for name, value in trailers:
        if name == "contextmetadata-bin" and isinstance(value, bytes):
            # A map of strings, as the metadata of a payload are.
            entries = Payload.FromString(value).metadata
            shown[name] = {key: text.decode() for key, text in sorted(entries.items())}
    return shown

"""What a server answered, step by step, in the order in which the steps were taken."""

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

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
    return MessageToDict(message, preserving_proto_field_name=True)

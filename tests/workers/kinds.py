"""Kinds of request that SDKs send: told apart by which fields are populated, kept as text, one file for each method.

Values that differ from run to run (tokens, ids, names of queues) become a word in capitals: a file then differs only when an
SDK sends something else, and a replay knows what to fill in. This module does not know what a kind means.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2 as _health
from temporalio.api.operatorservice.v1 import service_pb2 as _operatorservice
from temporalio.api.update.v1 import message_pb2 as _update
from temporalio.api.workflowservice.v1 import service_pb2 as _workflowservice

#: Imported so that their messages, and those inside `Any`, can be read.
_KNOWN = (_health, _operatorservice, _update, _workflowservice)

CAPTURED = Path(__file__).parent / "captured"
HEADERS = "headers.json"
_BETWEEN = "# " + "-" * 60

TASK_TOKEN = "TASK TOKEN"
TASK_QUEUE = "TASK QUEUE"
STICKY_QUEUE = "STICKY QUEUE"
WORKFLOW_ID = "WORKFLOW ID"
RUN_ID = "RUN ID"
UPDATE_ID = "UPDATE ID"
QUERY_ID = "QUERY ID"
PAGE_TOKEN = "PAGE TOKEN"
#: Field → what stands for its value, wherever in the request that value turns up.
_WORDS = {
    "task_token": TASK_TOKEN,
    "next_page_token": PAGE_TOKEN,
    "workflow_id": WORKFLOW_ID,
    "run_id": RUN_ID,
    "protocol_instance_id": UPDATE_ID,
    "update_id": UPDATE_ID,
    "task_queue": TASK_QUEUE,
    "normal_name": TASK_QUEUE,
    "sticky_task_queue": STICKY_QUEUE,
    "worker_control_task_queue": "CONTROL QUEUE",
    "identity": "IDENTITY",
    "worker_identity": "IDENTITY",
    "request_id": "REQUEST ID",
    "binary_checksum": "BUILD ID",
    "build_id": "BUILD ID",
    "stack_trace": "STACK TRACE",
    "worker_instance_key": "INSTANCE",
    "worker_grouping_key": "GROUP",
    "host_name": "HOST",
    "process_id": "PROCESS",
    "process_key": "PROCESS KEY",
}
_STICKY = 2
_LONG = 6
#: Not looked into: the contents of the one are the user's, those of the other are statistics.
_WHOLE = ("Payload", "WorkerHeartbeat")

Paths = frozenset[str]


def populated(message: Message, prefix: str = "") -> Iterator[str]:
    """Give the paths of the fields that are set."""
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if field.message_type is None or field.message_type.name in _WHOLE:
            yield path
            continue
        if field.message_type.GetOptions().map_entry:
            path += "{}"
        yield path
        for child in _children(field, value):
            if child.DESCRIPTOR.name not in _WHOLE:
                yield from populated(opened(child), f"{path}.")


def opened(message: Message) -> Message:
    """Return what an `Any` holds, and everything else as it is."""
    if not isinstance(message, any_pb2.Any):
        return message
    inside = message_of(message.TypeName())
    message.Unpack(inside)
    return inside


@cache
def _class_of(type_name: str) -> type[Message]:
    descriptor = descriptor_pool.Default().FindMessageTypeByName(type_name)
    return message_factory.GetMessageClass(descriptor)


def message_of(type_name: str) -> Message:
    return _class_of(type_name)()


def request_of(method: str) -> Message:
    """Return an empty request of a method: "/package.Service/Method"."""
    service, _, name = method.lstrip("/").partition("/")
    descriptor = descriptor_pool.Default().FindServiceByName(service)
    return message_of(descriptor.methods_by_name[name].input_type.full_name)


def without_run_specifics(request: Message) -> None:
    """Put words in capitals in the place of what differs from run to run."""
    put_in_place(request, dict(_run_specifics(request)))


def _run_specifics(message: Message) -> Iterator[tuple[str | bytes, str]]:
    """Give (value, the word for it)."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            if field.name == "query_results":
                yield from ((key, QUERY_ID) for key in value)
            for child in _children(field, value):
                yield from _run_specifics(opened(child))
        elif field.name in _WORDS and isinstance(value, str | bytes):
            yield value, _WORDS[field.name]
        elif field.name == "resource_id":
            yield value.partition(":")[2], WORKFLOW_ID
        elif field.name == "name" and message.DESCRIPTOR.name == "TaskQueue":
            yield value, STICKY_QUEUE if getattr(message, "kind", 0) == _STICKY else TASK_QUEUE


def put_in_place(message: Message, words: Mapping[str | bytes, str | bytes]) -> None:
    """Replace in every text, and in whole bytes, what `words` maps."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            if field.name == "query_results":
                for key in list(value):
                    if key in words:
                        value[str(words[key])].CopyFrom(value[key])
                        del value[key]
            for child in _children(field, value):
                if isinstance(child, any_pb2.Any):
                    inside = opened(child)
                    put_in_place(inside, words)
                    child.Pack(inside)
                else:
                    put_in_place(child, words)
        elif isinstance(value, bytes):
            word = words.get(value, value)
            setattr(message, field.name, word.encode() if isinstance(word, str) else word)
        elif isinstance(value, str):
            setattr(message, field.name, _replaced(value, words))
        elif isinstance(value, Sequence) and field.type == FieldDescriptor.TYPE_STRING:
            value[:] = [_replaced(text, words) for text in value]


def _replaced(text: str, words: Mapping[str | bytes, str | bytes]) -> str:
    """Replace what is long enough not to be there by chance, or is all of the text."""
    for old, new in sorted(words.items(), key=lambda pair: len(pair[0]), reverse=True):
        if isinstance(old, str) and isinstance(new, str) and (text == old or len(old) >= _LONG):
            text = text.replace(old, new)
    return text


def _children(field: FieldDescriptor, value: Any) -> list[Message]:
    """Return the messages in a field's value, but payloads."""
    if field.message_type.GetOptions().map_entry:
        children = [value[key] for key in value]
    else:
        children = list(value) if field.is_repeated else [value]
    return [
        child
        for child in children
        if isinstance(child, Message) and child.DESCRIPTOR.name != "Payload"
    ]


@dataclass(frozen=True, slots=True)
class Captured:
    """One request that an SDK sent."""

    method: str
    request: Message


def write(folder: Path, method: str, requests: Iterable[Message]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    texts = [text_format.MessageToString(request) for request in requests]
    path = folder / f"{method.rpartition('/')[2]}.txtpb"
    path.write_text(f"# {method}\n" + f"{_BETWEEN}\n".join(texts))


def read(folder: Path) -> Iterator[Captured]:
    for path in sorted(folder.glob("*.txtpb")):
        first, _, rest = path.read_text().partition("\n")
        method = first.removeprefix("# ")
        for text in rest.split(f"{_BETWEEN}\n"):
            yield Captured(method, text_format.Parse(text, request_of(method)))


def write_headers(folder: Path, headers: dict[str, str]) -> None:
    (folder / HEADERS).write_text(json.dumps(headers, indent=2, sort_keys=True) + "\n")


def read_headers(folder: Path) -> dict[str, str]:
    headers: dict[str, str] = json.loads((folder / HEADERS).read_text())
    return headers

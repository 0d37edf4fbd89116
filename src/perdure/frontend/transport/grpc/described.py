"""Messages of gRPC's own services, made from descriptors.

The packages that have them need the gRPC library. They live in a pool of their own, so that those packages can be
imported beside this one, as tests do.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_TYPES = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int32": FieldDescriptorProto.TYPE_INT32,
}

POOL = DescriptorPool()


def add_file(
    name: str,
    package: str,
    messages: Mapping[str, Iterable[str]],
    service: str,
    methods: Iterable[str],
) -> None:
    """Add a file with one service to the pool.

    A message is a list of fields, as `TYPE NAME NUMBER` with `repeated` or `oneof` before it; the fields in `oneof` are
    the one choice of their message. A line `enum NAME VALUES` describes an enum in it. A method is `NAME REQUEST
    RESPONSE`, with `stream` before a type of which there are many.
    """
    file = FileDescriptorProto(name=name, package=package, syntax="proto3")
    for message, fields in messages.items():
        described = file.message_type.add(name=message)
        for text in fields:
            _add_field(described, package, text.split())
    serving = file.service.add(name=service)
    for text in methods:
        words = text.split()
        streams = [index for index, word in enumerate(words) if word == "stream"]
        method, request, response = (word for word in words if word != "stream")
        serving.method.add(
            name=method,
            input_type=f".{package}.{request}",
            output_type=f".{package}.{response}",
            client_streaming=1 in streams,
            server_streaming=bool(streams) and streams[-1] > 1,
        )
    POOL.Add(file)


def _add_field(described: DescriptorProto, package: str, words: list[str]) -> None:
    if words[0] == "enum":
        enum = described.enum_type.add(name=words[1])
        for number, value in enumerate(words[2:]):
            enum.value.add(name=value, number=number)
        return
    *labels, kind, name, number_text = words
    field = described.field.add(name=name, number=int(number_text))
    is_repeated = "repeated" in labels
    field.label = (
        FieldDescriptorProto.LABEL_REPEATED if is_repeated else FieldDescriptorProto.LABEL_OPTIONAL
    )
    if kind in _TYPES:
        field.type = _TYPES[kind]
    else:
        field.type_name = f".{package}.{kind}"
    if "oneof" in labels:
        if not described.oneof_decl:
            described.oneof_decl.add(name="choice")
        field.oneof_index = 0


def message(full_name: str) -> Any:
    """Return the class of a message of the pool."""
    return GetMessageClass(POOL.FindMessageTypeByName(full_name))

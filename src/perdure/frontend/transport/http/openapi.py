"""The document that describes the HTTP API, made from the same descriptors as the API itself.

OpenAPI 3 and its predecessor, Swagger 2, say the same with other words; both are written as JSON, which YAML includes.
Imported when somebody asks for a document: few do.
"""

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from temporalio.api.common.v1 import GrpcStatus, Payload, Payloads

from perdure.frontend.client_versions import SERVER_VERSION
from perdure.frontend.transport.http.json_text import write
from perdure.frontend.transport.http.protojson import enum_type, is_map, message_type
from perdure.frontend.transport.http.routes import Route, routes

F = FieldDescriptor
_SCALARS: dict[int, dict[str, Any]] = {
    F.TYPE_STRING: {"type": "string"},
    F.TYPE_BYTES: {"type": "string", "format": "byte"},
    F.TYPE_BOOL: {"type": "boolean"},
    F.TYPE_DOUBLE: {"type": "number", "format": "double"},
    F.TYPE_FLOAT: {"type": "number", "format": "float"},
    **{
        kind: {"type": "integer", "format": "int32"}
        for kind in (F.TYPE_INT32, F.TYPE_SINT32, F.TYPE_SFIXED32)
    },
    **{kind: {"type": "integer", "format": "int64"} for kind in (F.TYPE_UINT32, F.TYPE_FIXED32)},
    **{
        kind: {"type": "string"}
        for kind in (F.TYPE_INT64, F.TYPE_SINT64, F.TYPE_SFIXED64, F.TYPE_UINT64, F.TYPE_FIXED64)
    },
}
_WELL_KNOWN: dict[str, dict[str, Any]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": r"^-?(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,9})?s$",
    },
    "google.protobuf.FieldMask": {"type": "string", "format": "field-mask"},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "additionalProperties": True,
    },
    "google.protobuf.BoolValue": {"type": "boolean"},
    "google.protobuf.BytesValue": {"type": "string", "format": "byte"},
    "google.protobuf.DoubleValue": {"type": "number", "format": "double"},
    "google.protobuf.FloatValue": {"type": "number", "format": "float"},
    "google.protobuf.Int32Value": {"type": "integer", "format": "int32"},
    "google.protobuf.Int64Value": {"type": "string"},
    "google.protobuf.StringValue": {"type": "string"},
    "google.protobuf.UInt32Value": {"type": "integer", "format": "int64"},
    "google.protobuf.UInt64Value": {"type": "string"},
    # In shorthand, a payload is any value, and payloads are a list.
    Payload.DESCRIPTOR.full_name: {},
    Payloads.DESCRIPTOR.full_name: {"type": "array", "items": {}},
}
#: Messages inside of messages have query parameters down to this depth: some contain themselves.
_DEPTH_MAX = 4


def document(version: str) -> bytes:
    """Return the document of OpenAPI "3" or Swagger "2"."""
    return write(_Document(version).whole(), pretty=True).encode()


class _Document:
    def __init__(self, version: str) -> None:
        self._is_2 = version == "2"
        self._where = "#/definitions/" if self._is_2 else "#/components/schemas/"
        self._schemas: dict[str, Any] = {}
        self._descriptors: dict[str, str] = {}

    def whole(self) -> dict[str, Any]:
        paths: dict[str, Any] = {}
        seen: dict[str, int] = {}
        for route in routes():
            name = route.method.name
            seen[name] = seen.get(name, 0) + 1
            operation_id = name if seen[name] == 1 else f"{name}{seen[name]}"
            paths.setdefault(route.template, {})[route.verb.lower()] = self._operation(
                route, operation_id
            )
        info = {"title": "Temporal's HTTP API, as perdure serves it", "version": SERVER_VERSION}
        schemas = dict(sorted(self._schemas.items()))
        if self._is_2:
            json = ["application/json"]
            head = {"swagger": "2.0", "info": info, "consumes": json, "produces": json}
            return {**head, "paths": dict(sorted(paths.items())), "definitions": schemas}
        return {
            "openapi": "3.0.3",
            "info": info,
            "paths": dict(sorted(paths.items())),
            "components": {"schemas": schemas},
        }

    def _operation(self, route: Route, operation_id: str) -> dict[str, Any]:
        request = route.method.input_type
        parameters = [self._in("path", name, {"type": "string"}) for name in route.fields]
        operation: dict[str, Any] = {
            "tags": [route.method.containing_service.name],
            "operationId": operation_id,
            "parameters": parameters,
        }
        if not route.has_body:
            parameters += [
                self._in("query", name, schema)
                for name, schema in self._query(request, "", 0)
                if name not in {_camel(field) for field in route.fields}
            ]
        elif self._is_2:
            body = {"name": "body", "in": "body", "required": True, "schema": self._ref(request)}
            parameters.append(body)
        else:
            operation["requestBody"] = {"required": True, **self._content(request)}
        operation["responses"] = {
            "200": self._answer("OK", route.method.output_type),
            "default": self._answer("An error", GrpcStatus.DESCRIPTOR),
        }
        return operation

    def _in(self, where: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        head: dict[str, Any] = {"name": name, "in": where}
        if where == "path":
            head["required"] = True
        if self._is_2:
            several = {"collectionFormat": "multi"} if schema.get("type") == "array" else {}
            return {**head, **schema, **several}
        return {**head, "schema": schema}

    def _query(
        self, descriptor: Descriptor, prefix: str, depth: int
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for field in descriptor.fields:
            name = prefix + field.json_name
            if field.type != F.TYPE_MESSAGE:
                yield name, self._field(field)
            elif field.is_repeated:
                continue  # Maps and lists of messages cannot be written as parameters.
            elif message_type(field).full_name in _WELL_KNOWN:
                schema = _WELL_KNOWN[message_type(field).full_name]
                if schema.get("type") == "string":
                    yield name, schema
            elif depth < _DEPTH_MAX:
                yield from self._query(message_type(field), f"{name}.", depth + 1)

    def _answer(self, description: str, descriptor: Descriptor) -> dict[str, Any]:
        if self._is_2:
            return {"description": description, "schema": self._ref(descriptor)}
        return {"description": description, **self._content(descriptor)}

    def _content(self, descriptor: Descriptor) -> dict[str, Any]:
        return {"content": {"application/json": {"schema": self._ref(descriptor)}}}

    def _ref(self, descriptor: Descriptor) -> dict[str, Any]:
        known = _WELL_KNOWN.get(descriptor.full_name)
        if known is not None:
            return known
        name = self._descriptors.get(descriptor.full_name) or self._add(descriptor)
        return {"$ref": self._where + name}

    def _add(self, descriptor: Descriptor) -> str:
        name = descriptor.full_name.removeprefix(f"{descriptor.file.package}.").replace(".", "_")
        if name in self._schemas:  # Two packages have a message of this name.
            name = descriptor.full_name.replace(".", "_")
        self._descriptors[descriptor.full_name] = name
        self._schemas[name] = schema = {"type": "object"}
        fields = {field.json_name: self._field(field) for field in descriptor.fields}
        if fields:
            schema["properties"] = fields  # type: ignore[assignment]
        return name

    def _field(self, field: FieldDescriptor) -> dict[str, Any]:
        if is_map(field):
            of = message_type(field).fields_by_name["value"]
            return {"type": "object", "additionalProperties": self._one(of)}
        if field.is_repeated:
            return {"type": "array", "items": self._one(field)}
        return self._one(field)

    def _one(self, field: FieldDescriptor) -> dict[str, Any]:
        if field.type == F.TYPE_MESSAGE:
            return self._ref(message_type(field))
        if field.type == F.TYPE_ENUM:
            return {"type": "string", "enum": [value.name for value in enum_type(field).values]}
        return _SCALARS[field.type]


def _camel(path: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), path)

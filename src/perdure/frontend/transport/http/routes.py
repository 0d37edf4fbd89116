"""Finds the RPC for a method and a path, by the `google.api.http` annotations of the API.

A template is made of literal segments and of fields that take one segment. That is all the API uses; a template with
anything else is refused when the table is made.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor

from perdure.frontend.registry import SERVICES

_TEMPLATE = re.compile(r"(/([\w.-]+|\{[\w.]+\}))+", re.ASCII)


class Route(NamedTuple):
    verb: str
    template: str
    method: MethodDescriptor
    #: If true, the body has all fields that the path does not set; otherwise the query has them.
    has_body: bool

    @property
    def segments(self) -> list[str]:
        return self.template[1:].split("/")

    @property
    def fields(self) -> list[str]:
        """The paths of the fields that the path sets, as in "execution.workflow_id"."""
        return [segment[1:-1] for segment in self.segments if segment[0] == "{"]

    @property
    def has_parameters(self) -> bool:
        """Whether there is a field of the request that the path does not set."""
        return any(field.name not in self.fields for field in self.method.input_type.fields)


class MethodNotAllowed(Exception):
    """The path exists, for other methods only."""


def routes() -> Iterator[Route]:
    """Yield a route for each binding of each RPC, in the order of the descriptors."""
    for service in SERVICES:
        for method in service.methods:
            rule = method.GetOptions().Extensions[annotations_pb2.http]
            for binding in (rule, *rule.additional_bindings):
                kind = binding.WhichOneof("pattern")
                if kind is None:
                    continue
                template = getattr(binding, kind)
                if not _TEMPLATE.fullmatch(template) or binding.body not in ("", "*"):
                    raise ValueError(f"{method.full_name}: cannot be served: {binding}")
                yield Route(kind.upper(), template, method, binding.body == "*")


class RouteTable:
    def __init__(self) -> None:
        #: By number of segments, in the order in which they are tried.
        self._routes: dict[int, list[tuple[Route, list[str]]]] = {}
        # Temporal: if two routes fit, the later one of the descriptors is taken.
        for route in reversed(list(routes())):
            segments = route.segments
            self._routes.setdefault(len(segments), []).append((route, segments))

    def find(self, verb: str, raw_path: str) -> tuple[Route, Mapping[str, str]] | None:
        """Return the route and the fields that a path sets; None if nothing is there. Its escapes are good ones.

        It is split as it came: an escaped slash is a part of an id. (The real server takes it for a slash of the path,
        so such ids cannot be reached there.) Raises `MethodNotAllowed`.
        """
        wanted = [unquote_to_bytes(segment).decode() for segment in raw_path[1:].split("/")]
        is_there = False
        for route, segments in self._routes.get(len(wanted), ()):
            fields = _match(segments, wanted)
            if fields is None:
                continue
            if route.verb == verb:
                return route, fields
            is_there = True
        if is_there:
            raise MethodNotAllowed
        return None


def _match(segments: list[str], wanted: list[str]) -> Mapping[str, str] | None:
    fields = {}
    for segment, text in zip(segments, wanted, strict=True):
        if segment[0] == "{":
            fields[segment[1:-1]] = text
        elif segment != text:
            return None
    return fields

"""Turns an HTTP request into a call, and its answer into a response: JSON, as the real server's gateway writes it."""

import asyncio
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, unquote_to_bytes

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from temporalio.api.common.v1 import GrpcStatus

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.frontend.call import Call
from perdure.frontend.dispatch import Dispatcher
from perdure.frontend.registry import full_name
from perdure.frontend.transport.http import json_text, parameters, protojson
from perdure.frontend.transport.http.metadata import deadline_s, metadata_of
from perdure.frontend.transport.http.routes import MethodNotAllowed, Route, RouteTable
from perdure.metrics.registry import Registry

_STATUSES = {
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
}
#: Larger JSON is read and written on another thread: a megabyte can take seconds.
_ASIDE_BYTES = 64 * 1024
#: No call is answered in a shorter time.
_SHORTEST_S = 1e-6
_PLAIN = ("Content-Type", "text/plain; charset=utf-8")
_FORM = "application/x-www-form-urlencoded"


T = TypeVar("T")


class HttpRequest(NamedTuple):
    verb: str
    target: str
    #: Their names are in lower case.
    headers: Sequence[tuple[str, str]]
    #: None if the body is too large.
    body: bytes | None
    peer_ip: str

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


class Response(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    closes: bool = False


class Format(NamedTuple):
    """One way to write messages, under the content type that asks for it."""

    content_type: str
    pretty: bool
    shorthand: bool


#: Temporal: an unknown content type means the usual format, whose answers name no content type.
_USUAL = Format("*", pretty=False, shorthand=True)
_FORMATS = {
    each.content_type: each
    for each in (
        _USUAL,
        Format("application/json+pretty", pretty=True, shorthand=True),
        Format("application/json+no-payload-shorthand", pretty=False, shorthand=False),
        Format("application/json+pretty+no-payload-shorthand", pretty=True, shorthand=False),
    )
}


class BadRequest(Exception):
    """The request cannot be answered, and the connection has to be closed."""


class HttpApi:
    def __init__(
        self, dispatcher: Dispatcher, metrics: Registry, allows_host: Callable[[str], bool]
    ) -> None:
        self._dispatcher = dispatcher
        self._allows_host = allows_host
        self._routes = RouteTable()
        self._documents: dict[str, bytes] = {}
        self._requests = metrics.counter("http_service_requests", "namespace", "operation")

    async def respond(self, request: HttpRequest) -> Response:
        """Answer one request. Raises `BadRequest`."""
        if request.target == "*" and request.verb == "OPTIONS":
            return Response(200, [], b"")
        target = re.sub("^https?://[^/?]*", "", request.target) or "/"
        raw_path, _, query = target.partition("?")
        path = _unquoted(raw_path)
        # Temporal: an escaped dot or slash is part of a name.
        clean = _clean(raw_path)
        if clean != raw_path:
            location = quote(clean.encode("latin-1"), safe="%/:@!$&'()*+,;=-._~") + (
                f"?{query}" if query else ""
            )
            return Response(301, [("Location", location)], b"")
        if request.verb == "GET" and path.startswith(("/swagger.json", "/openapi.yaml")):
            return self._document(path)
        reads, writes = _formats(request, query)
        try:
            route, reply = await self._reply(request, raw_path, query, reads)
            size = len(reply) if isinstance(reply, bytes) else reply.ByteSize()
            return await _aside(size, lambda: _answered(route, reply, writes, request))
        except Rejected as refusal:
            return _refused(refusal, writes, closes=request.body is None)
        except _Forbidden:
            return Response(403, [_PLAIN], b'{"code": 7, "message": "Host not allowed"}')

    async def _reply(
        self, request: HttpRequest, raw_path: str, query: str, reads: Format
    ) -> tuple[Route, Message | bytes]:
        route, fields = self._find(request, raw_path)
        if not self._allows_host(request.header("host")):
            raise _Forbidden
        metadata = metadata_of(request.headers, request.peer_ip)
        timeout_s = deadline_s(request.header("grpc-timeout"))
        message = await _aside(
            len(request.body or b""), lambda: _request(route, fields, request, query, reads)
        )
        name = full_name(route.method)
        label = self._dispatcher.metrics.namespace_label(getattr(message, "namespace", ""))
        self._requests.add((label, name))
        return route, await self._answer(name, message, metadata, timeout_s)

    async def _answer(
        self, name: str, message: Message, metadata: Mapping[str, str], timeout_s: float | None
    ) -> Message | bytes:
        if timeout_s is None:
            return await self._dispatcher.answer_message(name, message, Call(None, metadata))
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            if timeout_s < _SHORTEST_S:
                raise TimeoutError
            async with asyncio.timeout_at(deadline):
                call = Call(deadline, metadata)
                return await self._dispatcher.answer_message(name, message, call)
        except TimeoutError:
            raise Rejected(Code.DEADLINE_EXCEEDED, "context deadline exceeded") from None

    def _find(self, request: HttpRequest, raw_path: str) -> tuple[Route, Mapping[str, str]]:
        verb = request.verb
        is_form = verb == "POST" and request.header("content-type") == _FORM
        if is_form and request.header("x-http-method-override"):
            verb = request.header("x-http-method-override").upper()
        try:
            found = self._routes.find(verb, raw_path)
        except MethodNotAllowed:
            # Temporal: a form posted to a path that only has GET is a query that is too long for the path.
            try:
                found = self._routes.find("GET", raw_path) if is_form else None
            except MethodNotAllowed:
                found = None
            if found is None:
                raise Rejected(Code.UNIMPLEMENTED, "Method Not Allowed") from None
        if found is None:
            raise _NotFound()
        return found

    def _document(self, path: str) -> Response:
        from perdure.frontend.transport.http import openapi

        version = "2" if path.startswith("/swagger.json") else "3"
        if version not in self._documents:
            self._documents[version] = openapi.document(version)
        # Temporal: the documents have the content type of plain text.
        return Response(200, [_PLAIN], self._documents[version])


class _Forbidden(Exception):
    """The Host header names a host that an operator does not allow."""


class _NotFound(Rejected):
    """The path does not exist. Temporal: unlike all other NOT_FOUND refusals, this one has no detail."""

    def __init__(self) -> None:
        super().__init__(Code.NOT_FOUND, "Not Found")
        self.detail = None


async def _aside(size: int, work: Callable[[], T]) -> T:
    """Do work on another thread if its input is large, so that the event loop goes on."""
    return await asyncio.to_thread(work) if size > _ASIDE_BYTES else work()


def _unquoted(raw: str) -> str:
    if not raw.startswith("/") or re.search("%(?![0-9a-fA-F]{2})", raw):
        raise BadRequest
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise BadRequest from None


def _clean(path: str) -> str:
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _formats(request: HttpRequest, query: str) -> tuple[Format, Format]:
    """Return the formats of the body and of the answer."""
    names = set(parameters.readable(query))
    suffix = "+pretty" if "pretty" in names else ""
    suffix += "+no-payload-shorthand" if "noPayloadShorthand" in names else ""
    content_type = request.header("content-type").partition(";")[0].strip().lower()
    reads = _FORMATS.get(content_type, _USUAL)
    if suffix:
        return reads, _FORMATS[f"application/json{suffix}"]
    wanted = (_FORMATS.get(value) for key, value in request.headers if key == "accept")
    return reads, next(filter(None, wanted), reads)


def _request(
    route: Route, fields: Mapping[str, str], request: HttpRequest, query: str, reads: Format
) -> Message:
    message: Message = GetMessageClass(route.method.input_type)()
    try:
        if route.has_body:
            if request.body is None:
                raise invalid_argument("http: request body too large")
            if request.body.strip():
                protojson.decode(json_text.read(request.body), message, shorthand=reads.shorthand)
        for name, value in fields.items():
            parameters.set_field(message, name.split("."), [value])
        if not route.has_body and route.has_parameters:
            parameters.populate(message, _parameters(request, query), route.fields)
    except (json_text.BadJson, parameters.BadParameter) as error:
        raise invalid_argument(str(error)) from error
    return message


def _parameters(request: HttpRequest, query: str) -> dict[str, list[str]]:
    given = parameters.parse(query)
    if request.verb == "POST" and request.body:
        for name, values in parameters.parse(request.body.decode(errors="replace")).items():
            given[name] = values + given.get(name, [])
    return given


def _answered(
    route: Route, reply: Message | bytes, writes: Format, request: HttpRequest
) -> Response:
    if isinstance(reply, bytes):
        reply = GetMessageClass(route.method.output_type).FromString(reply)
    return _response(200, reply, writes, closes=request.body is None)


def _response(status: int, message: Message, writes: Format, *, closes: bool) -> Response:
    value = protojson.encode(message, shorthand=writes.shorthand)
    text = json_text.write(value, pretty=writes.pretty)
    return Response(
        status, [("Content-Type", writes.content_type)], json_text.encoded(text), closes
    )


def _refused(refusal: Rejected, writes: Format, *, closes: bool) -> Response:
    status = GrpcStatus(code=refusal.code, message=refusal.message)
    if refusal.detail is not None:
        status.details.add().Pack(refusal.detail)
    return _response(_STATUSES[refusal.code], status, writes, closes=closes)


def host_rule(patterns: Sequence[Any]) -> Callable[[str], bool]:
    """Return a check of a Host header against the patterns, in which `*` stands for any text. No patterns: all fit."""
    if not patterns:
        return lambda host: True
    parts = [".*".join(re.escape(part) for part in str(each).split("*")) for each in patterns]
    allowed = re.compile("|".join(parts))
    return lambda host: allowed.fullmatch(host) is not None

"""The gRPC server, and the only module that imports gRPC.

The `Dispatcher` answers each call: bytes in, bytes out. A `Rejected` becomes a status with its detail.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection
from temporalio.api.common.v1 import Payload

from perdure.core.errors import Rejected, going
from perdure.frontend.call import Call
from perdure.frontend.dispatch import Dispatcher
from perdure.frontend.registry import OPERATOR_SERVICE, WORKFLOW_SERVICE
from perdure.frontend.transport.status import status_of
from perdure.runtime.call_notes import NOTES, TASK_QUEUE, WORKFLOW_TYPE

#: The library takes requests up to this size. The dispatcher refuses smaller ones, with the real server's text.
MESSAGE_BYTES_MAX = 128 * 1024 * 1024
#: A call may have headers up to this size. The library's default is too little for some access tokens.
METADATA_BYTES_MAX = 16 * 1024 * 1024
#: Calls that may wait until a handler takes them: more than any burst. By default the library cancels some calls while
#: a thousand wait, and clients do not retry a cancelled call.
WAITING_CALLS_MAX = 1_000_000
#: The library cancels a call that has waited for longer. Clients' deadlines are earlier.
WAITING_CALL_MAX_S = 600
#: A server that stops waits until no call has come for this long, and at most for the maximum.
QUIET_S = 0.05
QUIET_MAX_S = 1.0
_ADMIN_SERVICE = "temporal.api.adminservice.v1.AdminService"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.server.max_pending_requests", WAITING_CALLS_MAX),
    ("grpc.server.max_pending_requests_hard_limit", WAITING_CALLS_MAX),
    ("grpc.server_max_unrequested_time_in_server", WAITING_CALL_MAX_S),
    ("grpc.so_reuseport", 0),
    # Workers keep their connections alive by pings while they poll.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
]
#: Services with handlers of their own.
_ELSEWHERE = (HEALTH, reflection.SERVICE_NAME, "grpc.reflection.v1.ServerReflection")
#: The name of the library's logger.
_LIBRARY = "grpc._cython.cygrpc"
_CODES = {code.value[0]: code for code in grpc.StatusCode}

Trailers = tuple[tuple[str, str | bytes], ...]
Method = Callable[[bytes, Any], Awaitable[bytes]]


class CannotListen(Exception):
    """The address is in use, or not ours."""


class GrpcServer:
    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        is_serving: Callable[[], bool],
        adds_trailers: bool = False,
    ) -> None:
        """`is_serving` returns the health that load balancers ask for.

        `adds_trailers`: the trailers of each answer name the workflow that the call was about.
        """
        self._adds_trailers = adds_trailers
        self._is_serving = is_serving
        self._dispatcher = dispatcher
        self._health_names = (
            "",
            WORKFLOW_SERVICE.full_name,
            OPERATOR_SERVICE.full_name,
            _ADMIN_SERVICE,
        )
        self._is_draining = False
        self._last_call_at = 0.0
        logging.getLogger(_LIBRARY).addFilter(_is_worth_a_line)
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers((_MethodTable(self._methods(), self._method),))
        reflection.enable_server_reflection(
            (
                WORKFLOW_SERVICE.full_name,
                OPERATOR_SERVICE.full_name,
                HEALTH,
                reflection.SERVICE_NAME,
            ),
            self._server,
        )

    async def start(self, ip: str, port: int) -> int:
        """Listen; return the port. Raises `CannotListen`."""
        host = f"[{ip}]" if ":" in ip else ip
        try:
            bound = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise CannotListen(f"cannot listen on {host}:{port}") from error
        await self._server.start()
        return bound

    def drain(self) -> None:
        """Refuse new calls, so that clients try another server, and report no health to load balancers."""
        self._is_draining = True
        self._last_call_at = asyncio.get_running_loop().time()

    async def stop(self, grace_s: float) -> None:
        """Wait for the calls under way, for up to `grace_s`, and close the connections.

        When grpcio stops, it cancels the calls that it has received and not yet passed on, and clients do not retry a
        cancelled call. So this waits for a moment without new calls.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + min(grace_s, QUIET_MAX_S)
        while loop.time() < min(until, quiet_at := self._last_call_at + QUIET_S):  # noqa: ASYNC110
            await asyncio.sleep(min(until, quiet_at) - loop.time())
        await self._server.stop(grace_s)

    async def _check(self, encoded: bytes, context: Any) -> bytes:
        try:
            service = health_pb2.HealthCheckRequest.FromString(encoded).service
        except DecodeError:
            await context.abort(grpc.StatusCode.INTERNAL, "cannot decode the request")
        if service not in self._health_names:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        serves = self._is_serving() and not self._is_draining
        status = _SERVING if serves else _NOT_SERVING
        reply: bytes = health_pb2.HealthCheckResponse(status=status).SerializeToString()
        return reply

    def _methods(self) -> Mapping[str, Method]:
        methods = {name: self._method(name) for name in self._dispatcher.names}
        return {**methods, f"/{HEALTH}/Check": self._check}

    def _method(self, name: str) -> Method:
        dispatcher, adds_trailers = self._dispatcher, self._adds_trailers

        async def answer(encoded: bytes, context: Any) -> bytes:
            if self._is_draining:
                self._last_call_at = asyncio.get_running_loop().time()
                return await _abort(context, going())
            call = _call(context)
            notes: dict[str, str] = {}
            if adds_trailers:
                NOTES.set(notes)
            try:
                response = await dispatcher.answer(name, encoded, call)
            except Rejected as refusal:
                return await _abort(context, refusal, _trailers(notes))
            if notes:
                context.set_trailing_metadata(_trailers(notes))
            if call.task_returns:
                asyncio.get_running_loop().call_soon(_watch, asyncio.current_task(), call)
            return response

        return answer


class _MethodTable(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Finds the method for the name of a call."""

    def __init__(
        self, methods: Mapping[str, Method], unknown_method: Callable[[str], Method]
    ) -> None:
        self._handlers = {
            name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()
        }
        self._unknown_method = unknown_method

    def service(self, call_details: Any) -> Any:
        name: str = call_details.method
        handler = self._handlers.get(name)
        if handler is not None:
            return handler
        if name.removeprefix("/").rpartition("/")[0] in _ELSEWHERE:
            return None
        return grpc.unary_unary_rpc_method_handler(self._unknown_method(name))


def _call(context: Any) -> Call:
    left = context.time_remaining()
    deadline = None if left is None else asyncio.get_running_loop().time() + left
    metadata: Sequence[tuple[str, Any]] = context.invocation_metadata() or ()
    return Call(deadline, dict(metadata))


def _watch(task: Any, call: Call) -> None:
    """Return what an answer hands over if the answer cannot be sent, for example because the client has just gone.

    This runs when the library has begun to send the answer. The library reports no failure; but the call's task waits
    for the library's future, which fails.
    """
    sending = task._fut_waiter
    if sending is not None:
        sending.add_done_callback(lambda done: _sent(done, call))
    elif task.done():  # The library could not even begin to send it.
        call.return_tasks()


def _sent(sending: Any, call: Call) -> None:
    if sending.cancelled() or sending.exception() is not None:
        call.return_tasks()


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Return False for the error that the library logs when a client leaves before it has its answer."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__name__ != "ExecuteBatchError"


def _trailers(notes: Mapping[str, str]) -> Trailers:
    """Temporal: one binary header has all notes; a note that fits into a text header has one of its own, too."""
    if not notes:
        return ()
    # The metadata of a payload is a map of strings, too: it has the same bytes.
    encoded = Payload(metadata={key: value.encode() for key, value in notes.items()})
    trailers: list[tuple[str, str | bytes]] = [
        ("contextmetadata-bin", encoded.SerializeToString(deterministic=True))
    ]
    for key, value in notes.items():
        # The library takes no more than that. Other servers also send tabs and letters beyond ASCII.
        if value.isascii() and value.isprintable():
            trailers.append((f"contextmetadata-{key}", value))
            if key in (WORKFLOW_TYPE, TASK_QUEUE):
                trailers.append((key, value))
    return tuple(trailers)


async def _abort(context: Any, refusal: Rejected, trailers: Trailers = ()) -> NoReturn:
    code, words, details = status_of(refusal)
    if details:
        trailers = (*trailers, ("grpc-status-details-bin", details))
    await context.abort(_CODES[code], words, trailers)
    raise AssertionError("abort returns")

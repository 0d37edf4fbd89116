"""Call one server by request message, and tell a refusal apart from a reply.

Raw messages over gRPC on purpose: an SDK's client would retry, fill in defaults and translate errors. Nothing here knows
what a call means.
"""

from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from temporalio.api.errordetails.v1 import message_pb2 as _errordetails
from temporalio.api.operatorservice.v1 import service_pb2 as operatorservice
from temporalio.api.workflowservice.v1 import service_pb2 as workflowservice

#: Details of an error can only be read if their messages are in the descriptor pool.
_KNOWN_DETAILS = _errordetails.DESCRIPTOR

_SERVICES = (
    workflowservice.DESCRIPTOR.services_by_name["WorkflowService"],
    operatorservice.DESCRIPTOR.services_by_name["OperatorService"],
)
_METHODS: dict[str, MethodDescriptor] = {
    method.input_type.full_name: method for service in _SERVICES for method in service.methods
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status that is not OK, as the client sees it."""

    code: str
    message: str
    #: (type name, message) of each detail in grpc-status-details-bin.
    details: tuple[tuple[str, Message | bytes], ...]


class Refused(Exception):
    """A step that the script needs was refused; the rest of the script makes no sense."""

    def __init__(self, method: str, refusal: Refusal) -> None:
        super().__init__(f"{method}: {refusal.code} {refusal.message}")
        self.refusal = refusal


def method_name(request: Message) -> str:
    """The RPC that takes this message."""
    return _METHODS[request.DESCRIPTOR.full_name].name


class Wire:
    """One connection to one server."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = grpc.aio.insecure_channel(address)

    async def close(self) -> None:
        await self._channel.close(grace=None)

    async def call(
        self,
        request: Message,
        *,
        timeout: float | None,
        metadata: tuple[tuple[str, str], ...] = (),
        trailers: list[tuple[str, str | bytes]] | None = None,
    ) -> Any:
        """Return the reply message, or a `Refusal`; add what comes after it to `trailers`."""
        method = _METHODS[request.DESCRIPTOR.full_name]
        response_type = message_factory.GetMessageClass(method.output_type)
        path = f"/{method.containing_service.full_name}/{method.name}"
        stub = self._channel.unary_unary(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_type.FromString,
        )
        call = stub(request, timeout=timeout, metadata=metadata)
        try:
            reply = await call
        except grpc.aio.AioRpcError as error:
            reply = _refusal(error)
        if trailers is not None:
            trailers.extend(await call.trailing_metadata() or ())
        return reply

    async def call_path(
        self,
        path: str,
        body: bytes,
        *,
        timeout: float,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> bytes | Refusal:
        """Send `body` as it is: for methods and messages that do not exist."""
        try:
            reply: bytes = await self._channel.unary_unary(
                path, request_serializer=bytes, response_deserializer=bytes
            )(body, timeout=timeout, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            return _refusal(error)
        return reply


def _refusal(error: grpc.aio.AioRpcError) -> Refusal:
    details: list[tuple[str, Message | bytes]] = []
    metadata: Any = error.trailing_metadata()
    for key, value in metadata or ():
        if key != "grpc-status-details-bin":
            continue
        raw = value if isinstance(value, bytes) else value.encode()
        for packed in Status.FromString(raw).details:
            details.append(_detail(packed.TypeName(), packed.value))
    return Refusal(error.code().name, error.details() or "", tuple(details))


def _detail(name: str, value: bytes) -> tuple[str, Message | bytes]:
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        return name, value
    return name, message_factory.GetMessageClass(descriptor).FromString(value)

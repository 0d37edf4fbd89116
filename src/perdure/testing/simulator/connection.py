"""The connection of one client or worker: calls go out as bytes, to any node, and get lost on the way there or back.

A node answers as a gRPC client sees it: with the bytes of a response, or with a status. The connection checks what SDKs
rely on: a refusal has the detail by which they know what it means, and a call is refused for its version if, and only
if, its sender is too new.
"""

import asyncio
import random
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any, Protocol

from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from temporalio.api.common.v1 import GrpcStatus
from temporalio.api.enums.v1 import ResourceExhaustedCause
from temporalio.api.errordetails.v1 import (
    ClientVersionNotSupportedFailure,
    MultiOperationExecutionFailure,
    NamespaceNotFoundFailure,
    NotFoundFailure,
    ResourceExhaustedFailure,
)

from perdure.core.errors import Code, Rejected
from perdure.frontend.registry import SERVICES, full_name
from perdure.testing.simulator.simulated_node import Reply, SimulatedNode

#: Headers by which SDKs name themselves in every call: the newest releases, and those of two years ago.
SDKS: tuple[Mapping[str, str], ...] = (
    {
        "client-name": "temporal-go",
        "client-version": "1.30.1",
        "supported-server-versions": ">=1.0.0 <2.0.0",
    },
    {
        "client-name": "temporal-go",
        "client-version": "1.51.0",
        "supported-server-versions": ">=1.0.0 <2.0.0",
    },
    {
        "client-name": "temporal-java",
        "client-version": "1.39.0",
        "supported-server-versions": ">=0.31.0 <2.0.0",
    },
    {"client-name": "temporal-typescript", "client-version": "1.24.0"},
    {"client-name": "temporal-python", "client-version": "1.9.0"},
)
#: A client of a time to come, which no server of today works with.
TOO_NEW = {"client-name": "temporal-go", "client-version": "2.0.0"}
#: How often a node learns that its answer was lost.
_NOTICED = 0.5
#: The refusals that SDKs tell apart by their details. Every one of these codes has it.
_DETAILS: dict[Code, tuple[type[Message], ...]] = {
    Code.NOT_FOUND: (NotFoundFailure, NamespaceNotFoundFailure, MultiOperationExecutionFailure),
    Code.RESOURCE_EXHAUSTED: (ResourceExhaustedFailure, MultiOperationExecutionFailure),
}
_LIMITS = (
    ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT,
    ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT,
)
#: A call that the server has no answer to, or a bug in it: a world that sees one has found something.
_NEVER = (Code.INTERNAL, Code.UNKNOWN, Code.UNIMPLEMENTED)
#: By the type of the request: the RPC's full name, and the type of its response.
METHODS = {
    GetMessageClass(method.input_type): (full_name(method), GetMessageClass(method.output_type))
    for service in SERVICES
    for method in service.methods
}


class Network(Protocol):
    """The network between clients and nodes."""

    random: random.Random
    nodes: list[SimulatedNode]
    #: Whether nodes may refuse calls because there are too many.
    has_limits: bool

    def note(self, who: str, what: str, more: object = "") -> None: ...

    def answered(self, rpc: str) -> None:
        """A node has answered the RPC, be it with a refusal."""

    def loses_a_message(self) -> bool: ...


class ClientConnection:
    """A `witness.Server` for one caller."""

    def __init__(self, network: Network, metadata: Mapping[str, str]) -> None:
        self._network = network
        self._metadata = metadata

    async def call(self, request: Any, timeout_s: float = 10.0) -> Any:
        """Return the response. Raises `Rejected`; a call that the network loses is UNAVAILABLE."""
        network, draw = self._network, self._network.random
        name, response_type = METHODS[type(request)]
        rpc = name.rpartition("/")[2]
        node = self._any_node()
        await asyncio.sleep(draw.expovariate(1 / 0.003))
        if network.loses_a_message():
            raise Rejected(Code.UNAVAILABLE, "simulated: request lost")
        reply = await node.call(name, request.SerializeToString(), self._metadata, timeout_s)
        await asyncio.sleep(draw.expovariate(1 / 0.001))
        if network.loses_a_message():
            if draw.random() < _NOTICED:
                reply.give_back()
            raise Rejected(Code.UNAVAILABLE, "simulated: reply lost")
        if reply.code:
            refusal = self._refusal(reply)
            if refusal.code is not Code.UNAVAILABLE:
                network.answered(rpc)
                network.note(node.name, rpc, f"{request} → {refusal.code.name} {refusal.message}")
            raise refusal
        assert self._metadata != TOO_NEW, "a client of another age was answered"
        network.answered(rpc)
        response: Any = response_type.FromString(reply.body)
        is_poll = rpc in ("PollWorkflowTaskQueue", "PollActivityTaskQueue")
        if not is_poll or response.task_token:
            network.note(node.name, rpc, response if is_poll else request)
        return response

    def _any_node(self) -> SimulatedNode:
        """Return a node as a load balancer does: it asks nodes for their health, and is not always up to date."""
        nodes, draw = self._network.nodes, self._network.random
        serving = [node for node in nodes if node.is_serving]
        return draw.choice(serving if serving and draw.random() < 0.9 else nodes[-4:])

    def _refusal(self, reply: Reply) -> Rejected:
        refusal = refusal_of(reply)
        code, detail = refusal.code, refusal.detail
        assert code not in _NEVER, f"{code.name}: {reply.words}"
        wanted = _DETAILS.get(code)
        assert wanted is None or isinstance(detail, wanted), f"{code.name} {reply.words}: {detail}"
        if isinstance(detail, ResourceExhaustedFailure) and detail.cause in _LIMITS:
            assert self._network.has_limits, f"nothing is limited any more: {reply.words}"
        is_too_new = isinstance(detail, ClientVersionNotSupportedFailure)
        assert not is_too_new or self._metadata == TOO_NEW, f"{self._metadata}: {reply.words}"
        return refusal


def refusal_of(reply: Reply) -> Rejected:
    """Return what a client makes of a status."""
    refusal = Rejected(Code(reply.code), reply.words)
    refusal.detail = _detail(reply, refusal.code)
    return refusal


def _detail(reply: Reply, code: Code) -> Message | None:
    if not reply.body:
        return None
    status = GrpcStatus.FromString(reply.body)
    assert (status.code, status.message) == (code, reply.words), "status and details differ"
    [packed] = status.details
    detail = GetMessageClass(Default().FindMessageTypeByName(packed.TypeName()))()
    assert packed.Unpack(detail)
    return detail


def sdks(randomness: random.Random) -> Iterator[Mapping[str, str]]:
    """Yield what one SDK after the other says of itself, for ever."""
    return cycle(randomness.sample(SDKS, len(SDKS)))

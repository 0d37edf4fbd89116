"""A simulated node answers as a server does over gRPC: bytes in, bytes or a status out."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from temporalio.api.common.v1 import GrpcStatus
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeNamespaceResponse,
    GetSystemInfoRequest,
)

from perdure.core.errors import Code
from perdure.testing.simulator.connection import TOO_NEW
from perdure.testing.simulator.faulty_store import Faults
from perdure.testing.simulator.range_store import RangeStore
from perdure.testing.simulator.receivers import Receivers
from perdure.testing.simulator.simulated_node import OK, Reply, SimulatedNode
from perdure.testing.simulator.virtual_loop import VirtualClock, VirtualLoop

SERVICE = "/temporal.api.workflowservice.v1.WorkflowService"
Call = Callable[..., Awaitable[Reply]]


class Watchman:
    def node_ended(self, node: SimulatedNode) -> None:
        raise AssertionError("the node must not end")


@pytest.fixture
def play():
    """Return what runs a coroutine with the `call` of a node that serves, in a world of its own."""

    def run(work: Callable[[Call], Awaitable[None]], limits: dict[str, Any] | None = None) -> None:
        loop = VirtualLoop(random.Random(1))
        loop.run_until_complete(_with_node(loop, work, limits or {}))
        loop.end_tasks()
        loop.close()

    return run


async def _with_node(loop, work, limits) -> None:
    store = RangeStore(VirtualClock(loop).now_ns, 1, random.Random(1))
    receivers = Receivers(random.Random(1), lambda delivery: None)
    node = SimulatedNode(
        "node",
        loop,
        store,
        Faults(random.Random(1)),
        second=None,
        receivers=receivers,
        randomness=random.Random(1),
        watchman=Watchman(),
        limits=limits,
    )
    await node._starting

    async def call(rpc: str, encoded: bytes, metadata: Any = ()) -> Reply:
        return await node.call(f"{SERVICE}/{rpc}", encoded, dict(metadata), 5.0)

    await work(call)


def detail_of(reply: Reply) -> str:
    return GrpcStatus.FromString(reply.body).details[0].type_url.rpartition(".")[2]


def test_an_answer_is_bytes(play):
    async def work(call: Call) -> None:
        request = DescribeNamespaceRequest(namespace="default")
        reply = await call("DescribeNamespace", request.SerializeToString())
        assert reply.code == OK
        response = DescribeNamespaceResponse.FromString(reply.body)
        assert response.namespace_info.name == "default"

    play(work)


def test_a_refusal_is_a_status_with_its_detail(play):
    async def work(call: Call) -> None:
        request = DescribeNamespaceRequest(namespace="nowhere")
        reply = await call("DescribeNamespace", request.SerializeToString())
        assert (reply.code, detail_of(reply)) == (Code.NOT_FOUND, "NamespaceNotFoundFailure")

    play(work)


def test_bytes_that_are_no_request_are_refused(play):
    async def work(call: Call) -> None:
        assert (await call("DescribeNamespace", b"\xff")).code == Code.INTERNAL

    play(work)


def test_an_rpc_that_is_not_served_is_refused(play):
    async def work(call: Call) -> None:
        assert (await call("Nothing", b"")).code == Code.UNIMPLEMENTED

    play(work)


def test_a_client_that_is_too_new_is_refused(play):
    async def work(call: Call) -> None:
        reply = await call("GetSystemInfo", b"", TOO_NEW)
        assert reply.code == Code.FAILED_PRECONDITION
        assert detail_of(reply) == "ClientVersionNotSupportedFailure"

    play(work)


def test_too_many_calls_are_refused(play):
    async def work(call: Call) -> None:
        encoded = GetSystemInfoRequest().SerializeToString()
        replies = [await call("GetSystemInfo", encoded) for _ in range(20)]
        codes = {reply.code for reply in replies}
        assert codes == {OK, Code.RESOURCE_EXHAUSTED}

    play(work, {"frontend.rps": 5})

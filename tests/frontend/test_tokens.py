"""Page tokens come back as they were sent, or from another call, or as anything at all: each is used or refused by name.

The table is every call that takes a page token times every token: of each such call, and garbage.
"""

from typing import Any

import grpc
import msgspec
import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from perdure.frontend.registry import SERVICES
from tests.build.requests import start_request
from tests.served import channel_to, register

#: They list the same things in the same order, so a token says the same to each of them.
LISTS = (
    "ListWorkflowExecutions",
    "ListOpenWorkflowExecutions",
    "ScanWorkflowExecutions",
)
OTHERS = (
    "ListClosedWorkflowExecutions",
    "ListNamespaces",
    "GetWorkflowExecutionHistory",
    "GetWorkflowExecutionHistoryReverse",
)
NO_TOKENS = ("ListClusters",)
#: There is no archive: they are refused, whatever their token is.
NOTHING_TO_LIST = {"UNIMPLEMENTED", "INVALID_ARGUMENT"}
LARGE = 2**63
GARBAGE = {
    "text": b"junk",
    "zero": b"\0",
    "high bits": b"\xff" * 8,
    "deep": b"\x91" * 100_000,
    "list: large": msgspec.msgpack.encode(["l", 0, LARGE, "run"]),
    "list: larger": msgspec.msgpack.encode(["l", 2 * LARGE - 1, 0, "run"]),
    "list: negative": msgspec.msgpack.encode(["l", -1, 0, "run"]),
    "list: NUL": msgspec.msgpack.encode(["l", 0, 0, "a\0b"]),
    "list: no run": msgspec.msgpack.encode(["l", 0, 0, ""]),
    "history: large": msgspec.msgpack.encode(["h", "run", LARGE]),
    "history: negative": msgspec.msgpack.encode(["h", "run", -1]),
    "history: NUL": msgspec.msgpack.encode(["h", "a\0b", 1]),
    "history: unknown tag": msgspec.msgpack.encode(["x", "run", 1]),
    "reverse: large": msgspec.msgpack.encode(["r", "run", 1, LARGE]),
    "namespaces: NUL": msgspec.msgpack.encode(["n", "a\0b"]),
    "namespaces: long": msgspec.msgpack.encode(["n", "a" * 100_000]),
}


def paged() -> dict[str, Any]:
    """Return every call that takes a page token, with its method."""
    return {
        method.name: (service.full_name, method)
        for service in SERVICES
        for method in service.methods
        if "next_page_token" in method.input_type.fields_by_name
    }


class Caller:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def ask(self, name: str, token: bytes) -> Any:
        """Return the answer, or the code of the refusal."""
        service, method = paged()[name]
        message = method.input_type._concrete_class(next_page_token=token)
        known = message.DESCRIPTOR.fields_by_name
        if "namespace" in known:
            message.namespace = "ns"
        if "execution" in known:
            message.execution.workflow_id = "w"
        for size in ("page_size", "maximum_page_size"):
            if size in known:
                setattr(message, size, 1)
        rpc = self._channel.unary_unary(
            f"/{service}/{name}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=method.output_type._concrete_class.FromString,
        )
        try:
            return await rpc(message, timeout=20)
        except grpc.aio.AioRpcError as error:
            return error.code().name


@pytest.fixture
async def caller(server, stub):
    for workflow_id in ("w", "w1", "w2", "closed1", "closed2"):
        await stub.StartWorkflowExecution(start_request(workflow_id))
        if workflow_id.startswith("closed"):
            ended = api.TerminateWorkflowExecutionRequest(namespace="ns")
            ended.workflow_execution.workflow_id = workflow_id
            await stub.TerminateWorkflowExecution(ended)
    await register(stub, "second")
    async with channel_to(server) as channel:
        yield Caller(channel)


async def test_every_call_uses_its_own_tokens_and_refuses_all_others(caller):
    tokens: dict[str, bytes] = {}
    for name in paged():
        answer = await caller.ask(name, b"")
        if isinstance(answer, str) and answer in NOTHING_TO_LIST:
            continue
        assert not isinstance(answer, str), (name, answer)
        tokens[name] = answer.next_page_token
        assert bool(tokens[name]) == (name not in NO_TOKENS), name
    assert set(tokens) == {*LISTS, *OTHERS, *NO_TOKENS}
    family = dict.fromkeys((*LISTS, "ListClosedWorkflowExecutions"), "list")
    for name in tokens:
        for source, token in tokens.items():
            if not token:
                continue
            answer = await caller.ask(name, token)
            is_own = family.get(name, name) == family.get(source, source)
            if is_own:
                assert not isinstance(answer, str), (name, source, answer)
            else:
                assert answer == "INVALID_ARGUMENT", (name, source, answer)


@pytest.mark.parametrize("name", sorted({*LISTS, *OTHERS, *NO_TOKENS}))
async def test_garbage_is_refused(caller, name):
    own = getattr(await caller.ask(name, b""), "next_page_token", b"")
    broken = {"cut": own[:-1], "longer": own + b"\0"} if own else {}
    for label, token in (GARBAGE | broken).items():
        assert await caller.ask(name, token) == "INVALID_ARGUMENT", label


async def test_a_place_far_beyond_the_end_is_no_fault_of_the_server(caller):
    for name, tag in (
        ("GetWorkflowExecutionHistory", "h"),
        ("GetWorkflowExecutionHistoryReverse", "r"),
    ):
        own = (await caller.ask(name, b"")).next_page_token
        run_id = msgspec.msgpack.decode(own)[1]
        for numbers in ((LARGE - 1,), (LARGE - 1, LARGE - 1), (1, LARGE - 1), (0,), (0, 0)):
            answer = await caller.ask(name, msgspec.msgpack.encode([tag, run_id, *numbers]))
            assert answer not in ("INTERNAL", "UNKNOWN", "UNAVAILABLE"), (name, numbers)

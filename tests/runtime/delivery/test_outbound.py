"""Callbacks over real sockets: whom they reach, and what the node makes of those who do not answer."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy

from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.lifecycle.close import Terminate
from perdure.core.workflow.state import CompletionCallback
from perdure.dynamic_config import DynamicConfig
from perdure.runtime.clock import SystemClock
from perdure.runtime.delivery.http_client import PostFailed, post
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.store.memory import MemoryStore
from tests.build.requests import start_request
from tests.differential.receiver import Receiver, callbacks, receiving
from tests.ports import free_port
from tests.runtime.nodes import begin

PATIENCE_S = 60
ALLOW = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
FAIL = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL
CONFIG = {
    "callback.retryPolicy.initialInterval": "10ms",
    "callback.request.timeout": "60s",
    "history.outboundQueue.circuitBreakerSettings": {"Timeout": "10ms"},
}
#: For receivers that do not answer. One that does may take longer on a busy machine, and would be told again.
IMPATIENT = CONFIG | {"callback.request.timeout": "200ms"}


@asynccontextmanager
async def serving(store: MemoryStore, config: dict[str, Any] = CONFIG) -> Iterator[Node]:
    node = Node(store, SystemClock(), ConfiguredLimits(DynamicConfig(config)), owner="node")
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


async def ended(node: Node, *urls: str) -> ExecutionKey:
    """Start a run with these callbacks, and end it."""
    request = start_request(completion_callbacks=callbacks(*urls))
    reply = await begin(node, "ns-id", request, reuse=ALLOW, conflict=FAIL)
    key = node.executions.key("ns-id", "w", reply.run_id)
    await node.executions.ask(key, Terminate("", None, ""))
    return key


async def known(node: Node, key: ExecutionKey) -> list[CompletionCallback]:
    live = await node.engine.get(key)
    return live.execution.state.callbacks


async def until(node: Node, key: ExecutionKey, condition: Any) -> CompletionCallback:
    """Return the run's callback when `condition` holds of it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            [callback] = await known(node, key)
            if condition(callback):
                return callback
            await asyncio.sleep(0.01)


async def test_it_is_told_until_it_listens():
    async with receiving() as receiver, serving(MemoryStore()) as node:
        key = await ended(node, receiver.url("late/500/503/200"))
        callback = await until(node, key, lambda each: each.is_done)
        assert (callback.attempt, callback.last_failure) == (3, b"")
        requests = await receiver.received("late/500/503/200", 3)
        assert requests[0] == requests[2]
        assert requests[0]["body"]["message"] == "operation terminated"


async def test_it_is_given_up():
    async with receiving() as receiver, serving(MemoryStore()) as node:
        key = await ended(node, receiver.url("never/400"))
        callback = await until(node, key, lambda each: each.is_done)
        assert b"handler error (BAD_REQUEST)" in callback.last_failure


async def test_it_goes_where_it_is_sent():
    async with receiving() as receiver, serving(MemoryStore()) as node:
        key = await ended(node, receiver.url("moved/302"))
        callback = await until(node, key, lambda each: each.is_done)
        assert callback.last_failure == b""
        [there] = await receiver.received("moved-redirected")
        assert (there["method"], there["body"]) == ("GET", "")
        assert there["headers"]["nexus-operation-state"] == "failed"


async def test_who_does_not_answer_is_not_waited_for():
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server, serving(MemoryStore(), IMPATIENT) as node:
        port = server.sockets[0].getsockname()[1]
        key = await ended(node, f"http://127.0.0.1:{port}/")
        callback = await until(node, key, lambda each: each.attempt)
        assert b"context deadline exceeded" in callback.last_failure


@pytest.mark.parametrize("url", ["temporal://system", "temporal://internal"])
async def test_the_server_itself_knows_no_token(url: str):
    async with serving(MemoryStore()) as node:
        key = await ended(node, url)
        callback = await until(node, key, lambda each: each.is_done)
        assert b"invalid callback token" in callback.last_failure


async def test_a_restart_goes_on_telling():
    store = MemoryStore()
    port = free_port()
    async with serving(store) as node:
        key = await ended(node, f"http://127.0.0.1:{port}/end")
        before = await until(node, key, lambda each: each.attempt)
        assert b"connection refused" in before.last_failure
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    async with server, serving(store) as node:
        # Nobody has asked for the run: the node knows by itself that it owes something.
        await receiver.received("end")
        after = await until(node, key, lambda each: each.is_done)
        assert after.attempt > 1


async def test_many_are_told_beside_one_another():
    async with receiving() as receiver, serving(MemoryStore()) as node:
        key = await ended(node, *(receiver.url(f"end-{number}") for number in range(100)))
        for number in range(100):
            await receiver.received(f"end-{number}")
        async with asyncio.timeout(PATIENCE_S):
            while not all(callback.is_done for callback in await known(node, key)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def test_nothing_but_http_is_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with pytest.raises(PostFailed):
        post(secret.as_uri(), {}, b"", 1)


async def test_who_stops_in_the_middle_of_an_answer_is_told_again():
    async def stop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Later\r\nContent-Length: 100\r\n\r\nNot")
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(stop, "127.0.0.1", 0)
    async with server, serving(MemoryStore(), IMPATIENT) as node:
        port = server.sockets[0].getsockname()[1]
        key = await ended(node, f"http://127.0.0.1:{port}/")
        callback = await until(node, key, lambda each: each.attempt > 1)
        assert b"context deadline exceeded" in callback.last_failure

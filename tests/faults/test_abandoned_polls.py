"""Polls are given up in the very moment in which they are answered: no task is lost with them.

The polls go through a proxy, which sees what the server has sent. A task that was sent to a client that had just gone is
out of the server's reach, and waits for its timeout. Every other one goes to the next worker at once.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2

from tests.build.commands import schedule_activity
from tests.perdure_server import PerdureServer

SERVICE = "/temporal.api.workflowservice.v1.WorkflowService/"
TASK_COUNT = 120
POLLER_COUNT = 6
#: So long at most a poll of the storm waits, and so long a client makes no task.
PATIENCE_S, PAUSE_S = 0.05, 0.012
WORKFLOW, ACTIVITY, QUERY = "workflow", "activity", "query"
NEW_CHANNEL = [("grpc.use_local_subchannel_pool", 1)]


@pytest.fixture(params=["memory", "file"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PerdureServer]:
    url = f"sqlite:///{tmp_path / 'perdure.db'}" if request.param == "file" else None
    server = PerdureServer(tmp_path, url)
    server.start()
    try:
        yield server
    finally:
        server.kill()


async def call(channel: grpc.aio.Channel, name: str, timeout_s: float = 20, **fields: Any) -> Any:
    return await begin(channel, name, timeout_s, **fields)


def begin(channel: grpc.aio.Channel, name: str, timeout_s: float, **fields: Any) -> Any:
    request = getattr(request_response_pb2, f"{name}Request")(namespace="default", **fields)
    response = getattr(request_response_pb2, f"{name}Response")
    rpc = channel.unary_unary(
        SERVICE + name,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=response.FromString,
    )
    return rpc(request, timeout=timeout_s)


class Proxy:
    """Passes bytes on between clients and the server, and remembers those of the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sent: list[bytearray] = []
        self._connections: set[asyncio.Task[None]] = set()
        self.address = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with listener:
            yield self
            await asyncio.gather(*self._connections)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._pass_on(reader, writer))
        self._connections.add(connection)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        sent = bytearray()
        self._sent.append(sent)
        await asyncio.gather(_up(reader, to_server), _down(from_server, writer, sent))
        for each in (writer, to_server):
            each.close()
            with contextlib.suppress(OSError):
                await each.wait_closed()

    def has_sent(self, name: str) -> bool:
        """Whether an answer with this name in it has left the server."""
        return any(name.encode() in sent for sent in self._sent)


async def _up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    # The client is gone. The test still sees what the server sends.
    with contextlib.suppress(OSError):
        writer.write_eof()


async def _down(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytearray
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            sent += data
            writer.write(data)
    writer.close()


class Storm:
    """Pollers that give up at random, and what they got nonetheless."""

    def __init__(self, proxy: Proxy, kind: str, *, closes: bool) -> None:
        self._proxy = proxy
        self._rpc = "PollActivityTaskQueue" if kind == ACTIVITY else "PollWorkflowTaskQueue"
        self._name = _NAMES[kind]
        self._closes = closes
        self._random = random.Random(5)
        self._is_over = False
        self.got: set[str] = set()
        self.answer: Callable[[Any], Any] = lambda task: asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def raging(self) -> AsyncIterator[None]:
        pollers = [asyncio.create_task(self._poll_for_ever()) for _ in range(POLLER_COUNT)]
        yield
        self._is_over = True
        await asyncio.gather(*pollers)

    async def _poll_for_ever(self) -> None:
        channel = grpc.aio.insecure_channel(self._proxy.address, options=NEW_CHANNEL)
        while not self._is_over:
            poll = begin(channel, self._rpc, 20, task_queue={"name": "q"}, identity="storm")
            done, _ = await asyncio.wait(
                [asyncio.ensure_future(_outcome(poll))],
                timeout=self._random.uniform(0, PATIENCE_S),
            )
            task = done.pop().result() if done else None
            if task is not None and task.task_token:
                self.got.add(self._name(task))
                await self.answer(task)
            elif self._closes:
                await channel.close()
                channel = grpc.aio.insecure_channel(self._proxy.address, options=NEW_CHANNEL)
            else:
                poll.cancel()
        await channel.close()

    def on_its_way(self, names: list[str]) -> set[str]:
        """Return what the server has sent to somebody who had just gone."""
        return {name for name in names if self._proxy.has_sent(name)} - self.got

    async def drain(self, channel: grpc.aio.Channel, names: list[str]) -> None:
        """Take what is left, with patience, until nothing comes."""
        while set(names) - self.got - self.on_its_way(names):
            fields = {"task_queue": {"name": "q"}, "identity": "patient"}
            task = await call(channel, self._rpc, 8, **fields)
            if not task.task_token:
                return
            assert task.attempt == 1
            self.got.add(self._name(task))
            await self.answer(task)


async def _outcome(poll: Any) -> Any:
    try:
        return await poll
    except (grpc.aio.AioRpcError, asyncio.CancelledError):
        return None


_NAMES: dict[str, Callable[[Any], str]] = {
    WORKFLOW: lambda task: str(task.workflow_execution.workflow_id),
    ACTIVITY: lambda task: str(task.activity_id),
    QUERY: lambda task: str(task.query.query_type),
}


async def start(channel: grpc.aio.Channel, workflow_id: str) -> None:
    await call(
        channel,
        "StartWorkflowExecution",
        workflow_id=workflow_id,
        workflow_type={"name": "T"},
        task_queue={"name": "q"},
        request_id=workflow_id,
        workflow_task_timeout={"seconds": 100},
    )


async def work(channel: grpc.aio.Channel, commands: Any = ()) -> None:
    task = await call(channel, "PollWorkflowTaskQueue", task_queue={"name": "q"})
    await call(
        channel, "RespondWorkflowTaskCompleted", task_token=task.task_token, commands=commands
    )


async def pause(rnd: random.Random) -> None:
    """Let the storm rage: tasks have to come in all moments of a poll."""
    await asyncio.sleep(rnd.uniform(0, PAUSE_S))


@pytest.mark.parametrize("closes", [False, True], ids=["cancelled calls", "closed connections"])
@pytest.mark.parametrize("kind", [WORKFLOW, ACTIVITY])
async def test_no_task_is_lost_with_a_poll_that_is_given_up(
    server: PerdureServer, kind: str, closes: bool
) -> None:
    rnd, names = random.Random(7), [f"task-{number:04}" for number in range(TASK_COUNT)]
    async with (
        grpc.aio.insecure_channel(server.address) as channel,
        Proxy(server.port).running() as proxy,
    ):
        storm = Storm(proxy, kind, closes=closes)
        if kind == ACTIVITY:
            await asyncio.gather(*(start(channel, f"w{number}") for number in range(TASK_COUNT)))
        async with storm.raging():
            for name in names:
                if kind == WORKFLOW:
                    await start(channel, name)
                else:
                    await work(
                        channel, [schedule_activity(name, "q", start_to_close_timeout="100s")]
                    )
                await pause(rnd)
        await storm.drain(channel, names)
        assert set(names) - storm.got - storm.on_its_way(names) == set()
    assert "ERROR" not in server.log()


@pytest.mark.parametrize("closes", [False, True], ids=["cancelled calls", "closed connections"])
async def test_no_query_is_lost_with_a_poll_that_is_given_up(
    server: PerdureServer, closes: bool
) -> None:
    rnd, names = random.Random(7), [f"query-{number:04}" for number in range(TASK_COUNT)]
    async with (
        grpc.aio.insecure_channel(server.address) as channel,
        Proxy(server.port).running() as proxy,
    ):
        await start(channel, "w")
        await work(channel)
        storm = Storm(proxy, QUERY, closes=closes)

        async def answer(task: Any) -> None:
            await call(
                channel,
                "RespondQueryTaskCompleted",
                task_token=task.task_token,
                completed_type=1,
            )

        async def ask(name: str) -> None:
            await call(
                channel,
                "QueryWorkflow",
                timeout_s=15,
                execution={"workflow_id": "w"},
                query={"query_type": name},
            )

        storm.answer = answer
        asked = {}
        async with storm.raging():
            for name in names:
                asked[name] = asyncio.create_task(ask(name))
                await pause(rnd)
        await storm.drain(channel, names)
        for name in storm.on_its_way(names):
            asked.pop(name).cancel()
        await asyncio.gather(*asked.values())
    assert "ERROR" not in server.log()

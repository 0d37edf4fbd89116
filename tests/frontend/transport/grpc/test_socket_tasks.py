"""A connection that breaks returns the started tasks of answers that did not leave, and no others."""

import asyncio
import random
from typing import Any

import pytest

from perdure.frontend.transport.grpc.methods import Methods
from perdure.frontend.transport.grpc.socket import Socket
from perdure.frontend.transport.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    SETTINGS_WINDOW,
    frame,
    settings_of,
)
from perdure.frontend.transport.http2.header_writer import field
from perdure.testing.simulator.virtual_loop import VirtualLoop

ANSWER = b"task" * 100
CALL = {
    ":method": b"POST",
    ":scheme": b"http",
    ":path": b"/some.Service/Poll",
    "content-type": b"application/grpc",
}


class Dispatcher:
    """Its one answer brings a started task."""

    def __init__(self) -> None:
        self.returned = 0

    async def answer(self, name, encoded, call) -> bytes:
        call.task_returns.append(self._return)
        return ANSWER

    def _return(self) -> None:
        self.returned += 1


class Transport(asyncio.Transport):
    """It keeps what is written until somebody reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = b""
        self.is_broken = False

    def write(self, data: Any) -> None:
        self.kept += data

    def is_closing(self) -> bool:
        return self.is_broken

    def get_write_buffer_size(self) -> int:
        return len(self.kept)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Connection:
    def __init__(self) -> None:
        self.dispatcher = Dispatcher()
        methods: Any = Methods(self.dispatcher, lambda: True)
        self.socket = Socket(methods, set())
        self.transport = Transport()
        self.socket.connection_made(self.transport)

    def poll(self, window: int = 1 << 16) -> None:
        settings = settings_of.pack(SETTINGS_WINDOW, window)
        block = b"".join(field(name, value) for name, value in CALL.items())
        parts = (
            PREFACE,
            frame(SETTINGS, 0, 0, settings),
            frame(HEADERS, END_HEADERS, 1, block),
            frame(DATA, END_STREAM, 1, bytes(5)),
        )
        self.socket.data_received(b"".join(parts))

    async def answered(self) -> None:
        while self.socket.call_count:  # noqa: ASYNC110
            await asyncio.sleep(0)

    def breaks(self) -> None:
        self.transport.is_broken = True
        self.socket.connection_lost(None)


@pytest.fixture
async def connection() -> Connection:
    return Connection()


async def test_a_client_that_has_its_task_keeps_it(connection):
    """It got the answer from a buffer that was full for a moment, and nothing was sent since."""
    connection.poll()
    await connection.answered()
    await asyncio.sleep(0)
    assert ANSWER in connection.transport.kept
    connection.transport.kept = b""
    connection.breaks()
    assert connection.dispatcher.returned == 0


async def test_a_task_that_waits_for_the_window_is_returned(connection):
    connection.poll(window=16)
    await connection.answered()
    await asyncio.sleep(0)
    connection.breaks()
    assert connection.dispatcher.returned == 1


async def test_a_task_that_was_not_written_is_returned(connection):
    connection.poll()
    connection.socket.pause_writing()
    await connection.answered()
    connection.breaks()
    assert connection.dispatcher.returned == 1


async def test_a_call_that_meets_a_bug_ends(connection):
    async def fail(name, encoded, call) -> bytes:
        raise ValueError("a bug")

    connection.socket._methods._answer = fail
    connection.poll()
    await connection.answered()
    await asyncio.sleep(0)
    assert field("grpc-status", b"13") in connection.transport.kept
    assert not connection.socket.http.streams


def test_a_port_that_stops_waits_without_spinning_for_a_client_that_does_not_read():
    """The loop of this test raises an error when it makes thousands of turns while no time goes by."""

    async def stop() -> None:
        connection = Connection()
        connection.socket.pause_writing()
        connection.poll()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.socket.finish(), 10)

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(random.Random(1))) as runner:
        runner.run(stop())

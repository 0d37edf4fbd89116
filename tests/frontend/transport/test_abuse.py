"""Hostile clients of a whole port: its memory stays bounded, and other clients go on being served."""

import asyncio
from contextlib import asynccontextmanager

import psutil
import pytest

from tests.frontend.transport.clients.ways import echo_process
from tests.frontend.transport.echo_server import SERVICE
from tests.frontend.transport.http2.attacks import ATTACKS
from tests.frontend.transport.http2.wire import PREFACE, call, reset, settings, with_

pytestmark = pytest.mark.slow

#: One connection may hold so much by its limits, requests and answers, with room for what Python does with it.
GROWTH_BYTES_MAX = 500 << 20
#: So much is sent of an attack at most.
SENT_BYTES_MAX = 16 << 20
PATIENCE_S = 60
ECHO, SIZED = (with_((":path", SERVICE + name)) for name in ("Echo", "Sized"))


@asynccontextmanager
async def connected(port: int):
    """Connect; yield the reader and the writer. The reader keeps little of what is not read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
    writer.write(PREFACE + settings())
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def send(writer, data: bytes) -> bool:
    """Send what the server takes within a moment. Return whether it takes more."""
    writer.write(data)
    try:
        async with asyncio.timeout(0.5):
            await writer.drain()
    except (TimeoutError, ConnectionError):
        return False
    return not writer.is_closing()


async def is_served(port: int) -> None:
    async with connected(port) as (reader, writer), asyncio.timeout(PATIENCE_S):
        writer.write(call(1, b"is anybody there?", ECHO))
        await reader.readuntil(b"is anybody there?")


async def test_others_are_served_during_and_after_each_attack():
    with echo_process() as (process, port):
        server = psutil.Process(process.pid)
        await is_served(port)
        before = server.memory_info().rss
        for name, attack in ATTACKS.items():
            async with connected(port) as (_, writer):
                sent = 0
                for _, piece in zip(range(attack.count), attack.pieces(), strict=False):
                    sent += len(piece)
                    if sent > SENT_BYTES_MAX or not await send(writer, piece):
                        break
                await is_served(port)
            growth = server.memory_info().rss - before
            assert growth < GROWTH_BYTES_MAX, f"{name}: {growth >> 20} MiB"
        await is_served(port)


@pytest.mark.parametrize("reads", [0, 100])
async def test_a_client_that_reads_nothing_or_little_of_30_000_large_answers(reads):
    with echo_process() as (process, port):
        server = psutil.Process(process.pid)
        await is_served(port)
        before = server.memory_info().rss
        async with connected(port) as (reader, writer):
            # As much as may be granted: the windows hold nothing back.
            writer.write(
                settings((4, (1 << 31) - 1)) + bytes.fromhex("000004080000000000") + b"\x7f\xff\0\0"
            )
            for id in range(1, 60_000, 2):
                if id % 1000 == 1 and reads:
                    await reader.read(reads)
                if not await send(writer, call(id, b"20000", SIZED)):
                    break
            await is_served(port)
            growth = server.memory_info().rss - before
        assert growth < GROWTH_BYTES_MAX, f"{growth >> 20} MiB"
        await is_served(port)


async def test_requests_that_are_cancelled_while_nothing_is_read_leave_nothing():
    """The calls wait for their turn, which does not come while the client reads nothing."""
    with echo_process() as (process, port):
        server = psutil.Process(process.pid)
        async with connected(port) as (_, writer):
            writer.write(
                settings((4, (1 << 31) - 1)) + bytes.fromhex("000004080000000000") + b"\x7f\xff\0\0"
            )
            for id in range(1, 4_000, 2):
                writer.write(call(id, b"20000", SIZED))
            await send(writer, b"")
            before = server.memory_info().rss
            for id in range(4_001, 24_000, 2):
                if not await send(writer, call(id, b"20000", SIZED) + reset(id)):
                    break
            await is_served(port)
            growth = server.memory_info().rss - before
        assert growth < 50 << 20, f"{growth >> 20} MiB"

"""A gRPC client that tries a server's transport: see ../README.md."""

import asyncio
import os
import sys
from pathlib import Path

import grpc
from grpc.aio import insecure_channel, secure_channel

SERVICE = "/perdure.test.Echo/"
REFUSAL = "no: grüß dich, 100 %"
PATIENCE_S = 60
#: A message of 4 MiB as Temporal counts, and a few bytes to spare.
LARGE = (4 << 20) - 100
_OPTIONS = [
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
]


def number(name: str) -> int:
    return int(os.environ[name])


def file(name: str) -> bytes | None:
    path = os.environ.get(name)
    return Path(path).read_bytes() if path else None


def channel() -> grpc.aio.Channel:
    address = os.environ["ADDRESS"]
    if not os.environ.get("CA"):
        return insecure_channel(address, _OPTIONS)
    security = grpc.ssl_channel_credentials(file("CA"), file("KEY"), file("CERTIFICATE"))
    return secure_channel(address, security, _OPTIONS)


class Client:
    def __init__(self, by: grpc.aio.Channel) -> None:
        self._by = by

    def ask(self, method: str, request: bytes, timeout_s: float = PATIENCE_S, **options):
        """Begin a call; awaited, it gives the answer."""
        return self._by.unary_unary(SERVICE + method)(request, timeout=timeout_s, **options)

    async def expect(self, method: str, request: bytes, wanted: bytes, **options) -> None:
        answer = await self.ask(method, request, **options)
        assert answer == wanted, f"{method}: {len(answer)} bytes came, {len(wanted)} were wanted"

    async def status(self, call: grpc.aio.UnaryUnaryCall) -> tuple[grpc.StatusCode, str]:
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details()
        except asyncio.CancelledError:
            return grpc.StatusCode.CANCELLED, ""
        return grpc.StatusCode.OK, ""

    async def basics(self) -> None:
        for size in map(int, os.environ["SIZES"].split()):
            await self.expect("Echo", b"m" * size, b"m" * size)
        metadata = (("some-header", "its value"),)
        await self.expect("Header", b"some-header", b"its value", metadata=metadata)

    async def refused(self) -> None:
        code, words = await self.status(self.ask("Refuse", b""))
        assert (code, words) == (grpc.StatusCode.FAILED_PRECONDITION, REFUSAL), f"{code}: {words}"
        code, words = await self.status(self.ask("Missing", b""))
        assert code == grpc.StatusCode.UNIMPLEMENTED, f"an unknown method: {code}"

    async def gzipped(self) -> None:
        message = b"compress me " * 50_000
        await self.expect("Echo", message, message, compression=grpc.Compression.Gzip)

    async def largest(self) -> None:
        await self.expect("Echo", b"l" * LARGE, b"l" * LARGE)

    def at_once(self, method: str, count: int):
        return asyncio.gather(
            *(self.expect(method, b"%d" % each, b"%d" % each) for each in range(count))
        )

    async def burst(self) -> None:
        await self.at_once("Later", number("BURST"))

    async def polls(self) -> None:
        polls = self.at_once("Wait", number("POLLS"))
        await self.until_waiting(number("POLLS"))
        await self.ask("Release", b"")
        await polls

    async def until_waiting(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            # The server is another process.
            while (await self.ask("Counts", b"")).split()[0] != b"%d" % count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def cancelled(self) -> None:
        calls = [self.ask("Wait", b"") for _ in range(100)]
        await self.until_waiting(100)
        for call in calls:
            call.cancel()
        codes = {code for code, _ in [await self.status(call) for call in calls]}
        assert codes == {grpc.StatusCode.CANCELLED}, f"cancelled calls: {codes}"
        await self.until_waiting(0)

    async def late(self) -> None:
        code, _ = await self.status(self.ask("Wait", b"", timeout_s=0.2))
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED, f"a call that is late: {code}"
        await self.until_waiting(0)

    async def idle(self) -> None:
        """Keep a call open while nothing comes but pings; the client gives up a connection that does not answer them."""
        call = self.ask("Wait", b"idle")
        done, _ = await asyncio.wait([asyncio.ensure_future(call)], timeout=number("IDLE_S"))
        assert not done, "it ended early"
        await self.ask("Release", b"")
        assert await call == b"idle"


async def main() -> int:
    async with channel() as by:
        client = Client(by)
        for name in os.environ["TRIALS"].split():
            try:
                await getattr(client, name)()
            except Exception as error:
                print(name, repr(error))
                return 1
            print(name, "ok", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

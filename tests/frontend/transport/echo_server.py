"""A gRPC server without Temporal behind it, for tests of the transport: the real dispatcher, with a few simple methods.

`python -m tests.frontend.transport.echo_server [CERTIFICATE KEY CA]` prints the port, and serves until its standard input ends.
CA may be empty: then any client may come.
"""

import asyncio
import ssl
import sys
from contextlib import asynccontextmanager

import uvloop

from perdure.core.errors import Code, Rejected
from perdure.frontend.call import Call
from perdure.frontend.dispatch import Dispatcher
from perdure.frontend.registry import Rpc
from perdure.frontend.transport.grpc.methods import Methods
from perdure.frontend.transport.grpc.server import GrpcServer
from perdure.frontend.transport.tls import context_of
from perdure.metrics.registry import Registry

SERVICE = "/perdure.test.Echo/"
#: The words of a refusal: they need the encoding that gRPC has for them.
REFUSAL = "no: grüß dich, 100 %"


class Raw(bytes):
    """A message that is its own encoding."""

    @staticmethod
    def FromString(encoded: bytes) -> bytes:
        return encoded


class Echo:
    """The methods. A call of `Wait` stays open until `Release`, or until the client gives it up."""

    def __init__(self) -> None:
        self.waiting: set[asyncio.Future[None]] = set()
        self.cancelled_count = 0
        #: The messages that `Later` has answered with, in order.
        self.answered: list[bytes] = []

    async def Echo(self, request: bytes, call: Call) -> bytes:
        """Answer with the request."""
        return request

    async def Later(self, request: bytes, call: Call) -> bytes:
        """Answer with the request, some turns of the event loop later, as a commit does."""
        for _ in range(3):
            await asyncio.sleep(0)
        self.answered.append(request)
        return request

    async def Header(self, request: bytes, call: Call) -> bytes:
        """Answer with the value of the header that the request names."""
        value = call.metadata.get(request.decode(), "(none)")
        return value if isinstance(value, bytes) else value.encode()

    async def Sized(self, request: bytes, call: Call) -> bytes:
        """Answer with as many bytes as the request says."""
        return b"x" * int(request)

    async def Wait(self, request: bytes, call: Call) -> bytes:
        waiter = asyncio.get_running_loop().create_future()
        self.waiting.add(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            self.cancelled_count += 1
            raise
        finally:
            self.waiting.discard(waiter)
        return request

    async def Release(self, request: bytes, call: Call) -> bytes:
        """Let all that wait answer; say how many."""
        count = len(self.waiting)
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(None)
        return b"%d" % count

    async def Counts(self, request: bytes, call: Call) -> bytes:
        """Say how many wait now, and how many were given up."""
        return b"%d %d" % (len(self.waiting), self.cancelled_count)

    async def Refuse(self, request: bytes, call: Call) -> bytes:
        raise Rejected(Code.FAILED_PRECONDITION, REFUSAL)


def dispatcher_of(echo: Echo) -> Dispatcher:
    methods = ("Echo", "Later", "Header", "Sized", "Wait", "Release", "Counts", "Refuse")
    table = {SERVICE + name: Rpc(name, Raw, getattr(echo, name)) for name in methods}
    return Dispatcher(table, Registry(), lambda name: None)


def methods_of(echo: Echo) -> Methods:
    names = ("Echo", "Later", "Header", "Sized", "Wait", "Release", "Counts", "Refuse")
    table = {SERVICE + name: Rpc(name, Raw, getattr(echo, name)) for name in names}
    dispatcher = Dispatcher(table, Registry(), lambda name: None)
    dispatcher.open()
    return Methods(dispatcher, lambda: True)


@asynccontextmanager
async def serving(echo: Echo, tls: ssl.SSLContext | None = None):
    """Serve in this process; yield the server and its port."""
    server = GrpcServer(methods_of(echo), tls)
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.stop(0)


async def main(*tls: str) -> None:
    context = context_of(*tls, ["h2"]) if tls else None
    async with serving(Echo(), context) as (_, port):
        print(port, flush=True)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))

"""A proxy that writes down which kinds of request workers send: `make captures` runs the suite's workers through it.

    python -m tests.workers.record SERVER FOLDER

It prints its address, passes every call on to SERVER, and, when it is terminated, writes one request of each kind to
FOLDER/<sdk>-<version>. Files of the same SDK and version are replaced. Kinds are told apart in `kinds.py`.
"""

import asyncio
import shutil
import signal
import sys
from collections import defaultdict
from pathlib import Path

import grpc
import grpc.aio
from google.protobuf.message import Message

from tests.workers.kinds import (
    Paths,
    populated,
    request_of,
    without_run_specifics,
    write,
    write_headers,
)

#: Headers that gRPC itself adds, and those that belong to one call.
_NOT_KEPT = ("user-agent", "grpc-", "traceparent", "temporal-resource-id")


class Recorder(grpc.GenericRpcHandler):
    """Passes calls on, as bytes, and keeps their requests."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._kinds: dict[str, dict[str, dict[Paths, Message]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self._headers: dict[str, dict[str, str]] = defaultdict(dict)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = details.method

        async def pass_on(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            metadata = tuple(context.invocation_metadata() or ())
            self._keep(method, dict(metadata), request)
            call = self._channel.unary_unary(method)(
                request,
                metadata=[(name, value) for name, value in metadata if name != "user-agent"],
                timeout=context.time_remaining(),
            )
            try:
                reply: bytes = await call
            except grpc.aio.AioRpcError as error:
                context.set_trailing_metadata(tuple(error.trailing_metadata() or ()))
                await context.abort(error.code(), error.details() or "")
            return reply

        return grpc.unary_unary_rpc_method_handler(pass_on)

    def _keep(self, method: str, metadata: dict[str, str], request: bytes) -> None:
        sdk = f"{metadata.get('client-name', '')}-{metadata.get('client-version', '')}"
        message = request_of(method)
        message.ParseFromString(request)
        self._kinds[sdk][method].setdefault(frozenset(populated(message)), message)
        self._headers[sdk] |= {
            name: value for name, value in metadata.items() if not name.startswith(_NOT_KEPT)
        }

    def write(self, folder: Path) -> None:
        for sdk, methods in self._kinds.items():
            place = folder / sdk.removeprefix("temporal-")
            shutil.rmtree(place, ignore_errors=True)
            for method, kinds in methods.items():
                for message in kinds.values():
                    without_run_specifics(message)
                write(place, method, [kinds[paths] for paths in sorted(kinds, key=sorted)])
            write_headers(place, self._headers[sdk])


async def main(upstream: str, folder: Path) -> None:
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    server = grpc.aio.server()
    async with grpc.aio.insecure_channel(upstream) as channel:
        recorder = Recorder(channel)
        server.add_generic_rpc_handlers((recorder,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(f"127.0.0.1:{port}", flush=True)
        await terminated.wait()
        await server.stop(grace=None)
        recorder.write(folder)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))

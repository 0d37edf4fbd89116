"""Start the real server and perdure, each as its own process on a free port, and stop them again."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.ports import free_port

_READY_WITHIN_S = 90.0
_STOPPED_WITHIN_S = 10.0
_TRIES = 3
_SERVICE = "temporal.api.workflowservice.v1.WorkflowService"

#: The servers that a script can run against.
REAL = "real"
MEMORY = "memory"
FILE = "file"

#: Dynamic configuration of a server.
Settings = tuple[str, ...]
#: Closed workflows are kept for seconds where a script wants that, and go on time. The real server's limit of calls that
#: change namespaces is far below what the scripts make.
_DYNAMIC_CONFIG = (
    'system.namespaceMinRetentionLocal="2s"',
    'history.retentionTimerJitterDuration="0s"',
    "frontend.rps.namespaceReplicationInducingAPIs=100000",
    "frontend.namespaceRPS.namespaceReplicationInducingAPIs=100000",
    # Where completion callbacks may lead.
    'callback.allowedAddresses=[{"Pattern":"127.0.0.1:*","AllowInsecure":true},{"Pattern":"127.*"}]',
)


def _command(kind: str, port: int, directory: Path, settings: Settings) -> list[str]:
    flags = ["server", "start-dev", "--headless", "--port", str(port), "--log-level", "error"]
    for setting in (*_DYNAMIC_CONFIG, *settings):
        flags += ["--dynamic-config-value", setting]
    if kind == REAL:
        binary = shutil.which("temporal", path=str(Path(sys.executable).parent))
        assert binary, "the official `temporal` is not installed beside this Python"
        return [binary, *flags]
    command = [sys.executable, "-m", "perdure", *flags]
    if kind == FILE:
        command += ["--db-filename", str(directory / "perdure.db")]
    return command


@asynccontextmanager
async def running(kind: str, settings: Settings = ()) -> AsyncIterator[str]:
    """Run a server for as long as the body takes; gives its address. `settings` are "key=JSON"."""
    with tempfile.TemporaryDirectory(prefix="differential-") as name:
        process, address = await _started(kind, settings, Path(name))
        try:
            yield address
        finally:
            await _stop(process)


async def _started(
    kind: str, settings: Settings, directory: Path
) -> tuple[asyncio.subprocess.Process, str]:
    """Start a server, and again if it ends: the real one finds more ports by itself, and others may be faster to take them."""
    log = directory / "log"
    for tries_left in reversed(range(_TRIES)):
        port = free_port()
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *_command(kind, port, directory, settings), stdout=output, stderr=output
            )
        try:
            await _ready(process, f"127.0.0.1:{port}", log)
        except BaseException as error:
            has_ended = isinstance(error, AssertionError) and process.returncode is not None
            await _stop(process)
            if not (has_ended and tries_left):
                raise
        else:
            return process, f"127.0.0.1:{port}"
    raise AssertionError


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOPPED_WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _ready(process: asyncio.subprocess.Process, address: str, log: Path) -> None:
    """Wait until the server says that it serves."""
    request = health_pb2.HealthCheckRequest(service=_SERVICE)
    try:
        async with (
            asyncio.timeout(_READY_WITHIN_S),
            grpc.aio.insecure_channel(address) as channel,
        ):
            health = health_pb2_grpc.HealthStub(channel)
            while process.returncode is None:
                try:
                    reply = await health.Check(request, timeout=1)
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.1)
                    continue
                if reply.status == health_pb2.HealthCheckResponse.SERVING:
                    return
    except TimeoutError:
        pass
    raise AssertionError(f"the server does not serve:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text()[-2000:]

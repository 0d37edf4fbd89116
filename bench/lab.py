"""Where measurements are made: a directory on a disk, a PostgreSQL if one is needed, and processes for the clients.

Every mode of the benchmark runs in a `Lab`, and every load comes from a client process that is started here and
speaks JSON: an order on its standard input, one result a line on its standard output.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

import msgspec

from bench.cores import Cores, pin
from bench.database import Postgres, postgres
from bench.servers import Kind, Launch

OrderT = TypeVar("OrderT", bound=msgspec.Struct)


class Lab(NamedTuple):
    """Where the servers run."""

    #: An empty directory, on a disk.
    place: Path
    cores: Cores
    #: For the kinds that need it.
    database: Postgres | None
    #: KEY=VALUE settings of the real server's dynamic configuration.
    temporal_config: tuple[str, ...]

    def launch(
        self, kind: Kind, name: str, wrapper: Sequence[str] = (), program: Path | None = None
    ) -> Launch:
        """How to start a server of this kind with a directory, and if it needs one a database, of its own.

        `program` is another perdure than the one of this environment.
        """
        if kind.needs_postgres:
            assert self.database is not None
            url, pid = self.database.new_database(program), self.database.pid
        else:
            url, pid = "", None
        return Launch(
            kind=kind,
            directory=self.place / name,
            cores=self.cores.server,
            database_url=url,
            database_pid=pid,
            dynamic_config=() if kind.is_perdure else self.temporal_config,
            wrapper=tuple(wrapper),
            program=program,
        )


class ClientFailed(Exception):
    """A client process ended with an error, which it has printed."""


@contextmanager
def laboratory(
    parent: Path, cores: Cores, kinds: Sequence[Kind], temporal_config: Sequence[str] = ()
) -> Iterator[Lab]:
    """A lab in a new directory under `parent`, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-", dir=parent) as name:
        place = Path(name)
        # PostgreSQL may run as another user.
        place.chmod(0o755)
        if any(kind.needs_postgres for kind in kinds):
            with postgres(place, cores.server) as database:
                yield Lab(place, cores, database, tuple(temporal_config))
        else:
            yield Lab(place, cores, None, tuple(temporal_config))


def client_lines(module: str, order: msgspec.Struct, cores: tuple[int, ...]) -> Sequence[bytes]:
    """Run a module of this package as a process of its own, on these cores, and return its output's lines."""
    done = subprocess.run(
        [sys.executable, "-m", module, *(str(core) for core in cores)],
        input=msgspec.json.encode(order),
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:
        raise ClientFailed(f"{module} ended with {done.returncode}")
    return done.stdout.splitlines()


def run_client(
    order_type: type[OrderT], carry_out: Callable[[OrderT], Awaitable[None]]
) -> NoReturn:
    """Be a client process: read the order, carry it out, leave."""
    pin(tuple(int(core) for core in sys.argv[1:]))
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=order_type)
    # The SDK's native part complains on standard output, whatever Python does with it: results go past it.
    sys.stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    async def main() -> None:
        await carry_out(order)

    asyncio.run(main())
    sys.stdout.flush()
    # The SDK's native threads may call into Python while the interpreter is being taken down, which aborts the
    # process now and then. Everything is printed and the workers have shut down: leave without the taking down.
    os._exit(0)


def give(result: msgspec.Struct) -> None:
    """In a client process: print one result."""
    print(msgspec.json.encode(result).decode(), flush=True)


def progress(text: str) -> None:
    """Say on standard error what goes on: standard output is for results."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def fsync_ms(place: Path) -> float:
    """The median cost of making one small write durable in this directory."""
    found = []
    with (place / "fsync").open("wb") as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            found.append(time.perf_counter() - began)
    return sorted(found)[len(found) // 2] * 1e3

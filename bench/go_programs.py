"""Builds the Go programs that measurements need: the raw driver, and the real server for PostgreSQL.

Why it exists: the official CLI's server keeps its data in memory or in a file only, and an SDK's worker costs more CPU
than a server that is measured. Each program is built once on a machine, into the user's cache, from sources that are
pinned: the driver's folder with its lock file, and a version of the module `go.temporal.io/server`.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.lab import progress
from bench.real_on_postgres import RealServer

DRIVER_SOURCES = Path(__file__).parent / "driver"
REAL_SERVER = "go.temporal.io/server@v1.32.1"
#: It has the server's tables for PostgreSQL 12 and later.
_SCHEMA = Path("schema") / "postgresql" / "v12"


class BuildFailed(Exception):
    """A program cannot be built on this machine."""


def can_build() -> bool:
    """Say whether this machine has Go."""
    return shutil.which("go") is not None


def driver() -> Path:
    """Return the raw driver's executable file; build it, if this machine has none of these sources.

    Raises `BuildFailed` without Go, or if the compiler refuses.
    """
    with _building() as cache:
        program = cache / f"driver-{_digest(DRIVER_SOURCES)}"
        if not program.exists():
            progress("building the raw driver")
            _build(program, ["-mod=readonly", "."], DRIVER_SOURCES)
    return program


def real_server() -> RealServer:
    """Return the real server for PostgreSQL; build it, which takes minutes, if this machine has none of this version.

    Raises `BuildFailed` without Go, or if the module cannot be downloaded or compiled.
    """
    with _building() as cache:
        found = _go(["mod", "download", "-json", REAL_SERVER], cache)
        sources = Path(msgspec.json.decode(found, type=dict[str, object])["Dir"])  # type: ignore[arg-type]
        version = REAL_SERVER.rpartition("@")[2]
        server = cache / f"temporal-server-{version}"
        sql_tool = cache / f"temporal-sql-tool-{version}"
        for program, package in ((server, "./cmd/server"), (sql_tool, "./cmd/tools/sql")):
            if not program.exists():
                progress(f"building {program.name}, which takes minutes")
                _build(program, [package], sources)
    return RealServer(server, sql_tool, sources / _SCHEMA)


def _build(program: Path, arguments: Sequence[str], sources: Path) -> None:
    unfinished = program.with_suffix(".unfinished")
    _go(["build", "-buildvcs=false", "-trimpath", "-o", str(unfinished), *arguments], sources)
    unfinished.replace(program)


def _go(arguments: Sequence[str], folder: Path) -> bytes:
    if not can_build():
        raise BuildFailed("the raw driver needs Go 1.21 or newer, which is not on the PATH")
    done = subprocess.run(
        ["go", *arguments],
        cwd=folder,
        # An older Go gets the one that `go.mod` asks for; no C compiler is needed.
        env=os.environ | {"GOTOOLCHAIN": "auto", "CGO_ENABLED": "0"},
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildFailed(f"go {' '.join(arguments)}:\n{done.stderr.decode()[-3000:]}")
    return done.stdout


@contextmanager
def _building() -> Iterator[Path]:
    """Give the folder of built programs, to one process at a time."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(home) / "perdure" / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield cache


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

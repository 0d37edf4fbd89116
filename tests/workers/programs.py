"""Worker programs of other SDKs: each built once on a machine, then started and ended by tests. README.md says what they do."""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
#: The tools that a program's `build` needs.
_TOOLS = {
    "go": ("go",),
    "java": ("javac", "mvn"),
    "javascript": ("node", "npm"),
    "typescript": ("node", "npm"),
    "python": ("uv",),
}
NEWEST, OLDER = "newest", "older"
#: Building gets packages over the network and compiles them on a machine that may do much else.
_BUILT_WITHIN_S = 840
#: A build that nobody has used for so long is of other sources.
_KEPT_FOR_S = 30 * 24 * 3600
PATIENCE_S = 60
#: The `uv` that is meant is this project's own.
_ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@dataclass(frozen=True, slots=True)
class Program:
    """One language's program, with one release of that language's SDK, or one of the programs of another folder."""

    language: str
    release: str
    #: The folder that has those of the languages.
    home: Path = _HERE

    def __str__(self) -> str:
        return f"{self.language}-{self.release}"

    def built(self) -> Path:
        """Return the executable file; build it, if this machine has none of these sources."""
        if not self.can_be_built():
            pytest.skip(f"{self} cannot be built without {self._missing_tools()}")
        place = _cache() / f"{self}-{self._sources()}"
        done = place.with_name(f"{place.name}.done")
        with _alone(_cache() / f"{self.language}.lock"):
            if not done.exists():
                _forget_unused(self)
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                self._build(place)
            done.touch()
        return place / "run"

    def can_be_built(self) -> bool:
        """Say whether this machine has its tools; one that tests for everybody must have them."""
        missing = self._missing_tools()
        if missing and os.environ.get("CI"):
            pytest.fail(f"{self} cannot be built without {missing}: .ci/run installs what lacks")
        return not missing

    def _missing_tools(self) -> str:
        path = _ENVIRONMENT["PATH"]
        tools = _TOOLS[self.language]
        return ", ".join(tool for tool in tools if shutil.which(tool, path=path) is None)

    def _sources(self) -> str:
        """Name what the program is made of: its folder's contents, lock files included."""
        digest = hashlib.sha256()
        folder = self.home / self.language
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]

    def _build(self, place: Path) -> None:
        done = subprocess.run(
            [self.home / self.language / "build", self.release, place],
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_BUILT_WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, f"{self} cannot be built:\n{done.stdout[-4000:]}"
        assert os.access(place / "run", os.X_OK), f"{self} has no `run` after its build"


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = Path(home) / "perdure" / "workers"
    place.mkdir(parents=True, exist_ok=True)
    return place


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock `path`: package clients do not like to share their caches."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _forget_unused(program: Program) -> None:
    for done in _cache().glob(f"{program}-*.done"):
        if done.stat().st_mtime < time.time() - _KEPT_FOR_S:
            shutil.rmtree(done.with_suffix(""), ignore_errors=True)
            done.unlink()


class WorkerProcess:
    """A program at work on one task queue, which can be ended and started again."""

    def __init__(self, program: Program, address: str, queue: str, log: Path) -> None:
        self.program = program
        self._run = program.built()
        self._address = address
        self.queue = queue
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def start(self, max_cached: int | None = None) -> None:
        """Return when it says that it is ready. `max_cached`: how many workflows it keeps; None: as many as its SDK likes."""
        assert self._process is None
        cached = [] if max_cached is None else [str(max_cached)]
        with self._log.open("a") as log:
            process = subprocess.Popen(
                [self._run, self._address, "default", self.queue, *cached],
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._process = process
        assert self._says("ready", process), f"the worker is not ready: {self.log()}"

    def stop(self) -> None:
        """End it gracefully; it must say so, and exit with 0."""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(signal.SIGTERM)
        says_so = self._says("stopped", process)
        code = _ended(process)
        assert says_so, f"the worker ended with {code} and did not say `stopped`: {self.log()}"
        assert code == 0, self.log()

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            _ended(process)

    def _says(self, word: str, process: subprocess.Popen[str]) -> bool:
        """Read its output up to the line `word`; False if it ends before, or is too slow and is killed for it."""
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            return any(line.strip() == word for line in process.stdout)
        finally:
            watchdog.cancel()

    def log(self) -> str:
        return self._log.read_text()[-4000:]


def _ended(process: subprocess.Popen[str]) -> int:
    code = process.wait(PATIENCE_S)
    assert process.stdout is not None
    process.stdout.close()
    return code

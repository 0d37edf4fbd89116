"""The servers of a measurement in turns: this perdure, perhaps another one beside it, and the real server.

Why it exists: on a shared machine "before" and "after" mean something only as pairs of one run. So another checkout's
perdure can take part under a name of its own (`--beside before=PATH-OF-ITS-EXECUTABLE`).
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench import go_programs, real_on_postgres
from bench.go_programs import BuildFailed
from bench.lab import Lab, progress
from bench.servers import Kind, Launch, available

#: The first three are perdure's, each with the real server's kind that it is compared with.
STORES = {
    "memory": (Kind.PERDURE_MEMORY, Kind.TEMPORAL_MEMORY),
    "file": (Kind.PERDURE_FILE, Kind.TEMPORAL_FILE),
    "postgres": (Kind.PERDURE_POSTGRES, Kind.TEMPORAL_POSTGRES),
}
#: The real server refuses calls beyond a rate, and polls beyond a number, which is no property of its speed.
UNLIMITED = (
    "frontend.namespaceRPS=100000",
    "frontend.rps=100000",
    "frontend.namespaceCount=100000",
)
PERDURE, REAL = "perdure", "temporal"


class Beside(NamedTuple):
    """Another perdure."""

    name: str
    program: Path

    @classmethod
    def parse(cls, text: str) -> "Beside":
        """Read `NAME=PATH`, or `PATH` alone. Raises `ValueError` for a path without a file."""
        name, equals, path = text.partition("=")
        found = cls(name, Path(path)) if equals else cls("beside", Path(text))
        if not found.program.is_file():
            raise ValueError(f"{found.program} is not perdure's executable")
        return found


class Contender(NamedTuple):
    """A server that takes part."""

    #: `perdure`, `temporal`, or the name of the perdure beside.
    product: str
    #: One of `STORES`.
    store: str
    kind: Kind
    program: Path | None = None

    @property
    def name(self) -> str:
        """The name in tables."""
        return f"{self.product}-{self.store}"

    def launch(self, lab: Lab, folder: str, dynamic_config: Sequence[str] = ()) -> Launch:
        """How to start this server with a folder, and if it needs one a database, of its own."""
        settings = (*(() if self.kind.is_perdure else UNLIMITED), *dynamic_config)
        if self.kind is not Kind.TEMPORAL_POSTGRES:
            launch = lab.launch(self.kind, folder, program=self.program)
            return launch._replace(dynamic_config=settings)
        assert lab.database is not None
        real = go_programs.real_server()
        url = lab.database.new_url()
        real_on_postgres.make_tables(real, url)
        return Launch(
            kind=self.kind,
            directory=lab.place / folder,
            cores=lab.cores.server,
            database_url=url,
            database_pid=lab.database.pid,
            dynamic_config=settings,
            program=real.program,
        )


def contenders(
    stores: Iterable[str], beside: Sequence[Beside], *, has_real: bool
) -> Iterator[Contender]:
    """Give for each store: what is beside, this perdure, the real server if it is wanted and there."""
    for store in stores:
        perdure, real = STORES[store]
        for other in beside:
            yield Contender(other.name, store, perdure, other.program)
        yield Contender(PERDURE, store, perdure)
        if has_real and _is_there(real):
            yield Contender(REAL, store, real)


def _is_there(kind: Kind) -> bool:
    if kind is not Kind.TEMPORAL_POSTGRES:
        return available(kind)
    try:
        go_programs.real_server()
    except BuildFailed as error:
        progress(f"left out {kind.value}: {error}")
        return False
    return True

"""Every test that asks for a `database` or a `store` runs over all stores."""

import asyncio
from dataclasses import dataclass, field

import pytest

from perdure.store import schema
from perdure.store.memory import MemoryStore
from perdure.store.open import SQLITE_MEMORY, open_store
from perdure.store.port import Store
from tests.postgres import Postgres, postgres

__all__ = ["postgres"]

KINDS = (
    "memory",
    "sqlite-memory",
    "sqlite-file",
    pytest.param("postgresql", marks=pytest.mark.slow),
)
LASTING = KINDS[2:]


@dataclass
class Database:
    """Where a store keeps its rows. `open` opens another store on the same rows."""

    kind: str
    url: str
    opened: list[Store] = field(default_factory=list)

    async def open(self) -> Store:
        store = MemoryStore() if self.kind == "memory" else open_store(self.url)
        await store.open()
        self.opened.append(store)
        return store

    async def close(self) -> None:
        while self.opened:
            await self.opened.pop().close()

    async def reopen(self) -> Store:
        """As after a restart of the process."""
        await self.close()
        return await self.open()

    @property
    def is_shared(self) -> bool:
        """Whether several nodes may use it at once."""
        return self.kind == "postgresql"


@pytest.fixture(scope="session")
def template_url(postgres: Postgres) -> str:
    """Return a database with tables and no rows, to be copied."""
    url = postgres.new_database()
    asyncio.run(schema.upgrade(url))
    return url


@pytest.fixture
def postgres_url(postgres: Postgres, template_url: str):
    url = postgres.new_database(like=template_url)
    yield url
    postgres.drop_database(url)


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest, tmp_path) -> str:
    if kind == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'perdure.db'}" if kind == "sqlite-file" else SQLITE_MEMORY


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def database(kind: str, url: str):
    database = Database(kind, url)
    yield database
    await database.close()


@pytest.fixture
async def store(database: Database) -> Store:
    return await database.open()


@pytest.fixture
async def leases(store: Store):
    return await store.claim("node-1", 60 * 10**9)

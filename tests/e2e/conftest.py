"""One server of each kind for all tests here, and a client of it."""

import uuid

import pytest
import pytest_asyncio
from temporalio.client import Client

from tests.perdure_server import PerdureServer
from tests.postgres import running_postgres

MEMORY, FILE, POSTGRES = "memory", "file", "postgres"


@pytest.fixture(scope="session", params=[MEMORY, FILE, POSTGRES])
def server(request, tmp_path_factory):
    place = tmp_path_factory.mktemp(request.param)
    if request.param == POSTGRES:
        with running_postgres() as postgres:
            yield from _running(place, postgres.new_database())
    elif request.param == FILE:
        yield from _running(place, f"sqlite:///{place / 'perdure.db'}")
    else:
        yield from _running(place, None)


def _running(place, url):
    server = PerdureServer(place, url)
    server.set_up()
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest_asyncio.fixture
async def client(server):
    return await Client.connect(server.address)


@pytest.fixture
def queue():
    """A task queue of this test's own."""
    return f"queue-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def name():
    """Makes workflow ids of this test's own."""
    prefix = uuid.uuid4().hex[:12]
    return lambda suffix: f"{prefix}-{suffix}"

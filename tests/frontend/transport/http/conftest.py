"""One perdure for all tests of its HTTP API."""

from collections.abc import Iterator

import pytest

from tests.frontend.transport.http.client import Client
from tests.perdure_server import PerdureServer


@pytest.fixture(scope="session")
def perdure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PerdureServer]:
    server = PerdureServer(tmp_path_factory.mktemp("perdure"), None)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(perdure: PerdureServer) -> Iterator[Client]:
    client = Client(perdure.http_port)
    yield client
    client.close()

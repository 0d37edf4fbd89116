"""One server of each kind and one worker process of each parameter, for all tests here."""

import os
import subprocess
import sys
import uuid
from contextlib import ExitStack
from functools import cache

import grpc
import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.operatorservice.v1.service_pb2_grpc import OperatorServiceStub
from temporalio.client import Client

from tests.perdure_server import PerdureServer
from tests.postgres import running_postgres
from tests.workers.programs import PATIENCE_S, WorkerProcess

MEMORY, FILE, POSTGRES = "memory", "file", "postgres"


@pytest.fixture(scope="session")
def server_on(tmp_path_factory):
    """Gives the session's server with a store, by the store's name."""
    with ExitStack() as stack:

        @cache
        def server(store):
            place = tmp_path_factory.mktemp(store)
            url = None
            if store == POSTGRES:
                url = stack.enter_context(running_postgres()).new_database()
            elif store == FILE:
                url = f"sqlite:///{place / 'perdure.db'}"
            server = PerdureServer(place, url)
            server.set_up()
            stack.callback(server.kill)
            server.start()
            register_search_attribute(server.address)
            return server

        yield server


def register_search_attribute(address):
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    request = AddSearchAttributesRequest(namespace="default", search_attributes={"Spoken": keyword})
    with grpc.insecure_channel(address) as channel:
        OperatorServiceStub(channel).AddSearchAttributes(request, timeout=PATIENCE_S)


@pytest.fixture(scope="session")
def way_to(request):
    """Gives the address at which a worker reaches a server: the server's own, or, to record, a proxy's."""
    folder = os.environ.get("PERDURE_RECORD")
    with ExitStack() as stack:

        @cache
        def way(address):
            if folder is None:
                return address
            proxy = subprocess.Popen(
                [sys.executable, "-m", "tests.workers.record", address, folder],
                cwd=request.config.rootpath,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(proxy)
            stack.callback(proxy.terminate)
            return proxy.stdout.readline().strip()

        yield way


@pytest.fixture(scope="session")
def new_worker(server_on, way_to, tmp_path_factory):
    """Makes a worker process of a program, not yet started, for a store's server."""
    with ExitStack() as stack:

        def worker(program, store):
            queue = f"{program}-{store}-{uuid.uuid4().hex[:8]}"
            log = tmp_path_factory.mktemp("worker") / "log"
            process = WorkerProcess(program, way_to(server_on(store).address), queue, log)
            stack.callback(process.kill)
            return process

        yield worker


@pytest.fixture(scope="session")
def worker(request, new_worker):
    """The process that all tests with one program and one store share; it is running before and after each."""
    program, store = request.param
    process = new_worker(program, store)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def store(request):
    return request.node.callspec.params["worker"][1]


@pytest_asyncio.fixture
async def client(server_on, store):
    return await Client.connect(server_on(store).address)

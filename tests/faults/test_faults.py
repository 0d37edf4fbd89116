"""The server, or its database, dies again and again under a load."""

import asyncio
import random

import pytest
from temporalio.client import Client

from tests.faults.load import Load
from tests.perdure_server import PerdureServer
from tests.postgres import running_postgres

pytestmark = pytest.mark.slow
KILLS = 10
RESTARTS = 5


async def break_it(load, times, strike):
    """Strike at random moments; go on until the load is through."""
    # The moments are drawn anew in every run: what is found is told by the seed.
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    running = asyncio.create_task(load.run())
    for _ in range(times):
        await asyncio.sleep(moments.uniform(0.2, 0.9))
        await asyncio.to_thread(strike)
    await running


@pytest.mark.parametrize("kind", ["file", "postgres"])
async def test_kill_the_server(kind, tmp_path):
    if kind == "file":
        await killed(PerdureServer(tmp_path, f"sqlite:///{tmp_path / 'perdure.db'}"))
        return
    with running_postgres() as postgres:
        await killed(PerdureServer(tmp_path, postgres.new_database()))


async def killed(server):
    server.set_up()
    server.start()

    def strike():
        server.kill()
        server.start()

    try:
        load = Load(await Client.connect(server.address))
        await break_it(load, KILLS, strike)
    finally:
        server.kill()


async def test_restart_postgres(tmp_path):
    with running_postgres() as postgres:
        server = PerdureServer(tmp_path, postgres.new_database())
        server.set_up()
        server.start()

        def strike():
            postgres.stop("immediate")
            postgres.start()

        try:
            load = Load(await Client.connect(server.address))
            await break_it(load, RESTARTS, strike)
        finally:
            server.kill()

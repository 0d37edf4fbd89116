"""Every query of the corpus is answered, or refused, by perdure on its databases as by the real server."""

import grpc.aio
import pytest

from tests.differential.servers import FILE, REAL, running
from tests.perdure_server import PerdureServer
from tests.postgres import Postgres, postgres
from tests.visibility.asking import Asked
from tests.visibility.corpus import GENERATED_COUNT, executions, queries

__all__ = ["postgres"]
EXECUTIONS_COUNT = 300
FAST = ("frontend.namespaceRPS.visibility=100000", "frontend.namespaceBurstRatio.visibility=10.0")


async def answers(address: str, count: int) -> dict[str, object]:
    async with grpc.aio.insecure_channel(address) as channel:
        asked = Asked(channel)
        await asked.write(executions(count))
        return {query: await asked.answer(query) for query in queries()}


def differences(real: dict[str, object], ours: dict[str, object]) -> dict[str, object]:
    return {query: (real[query], ours[query]) for query in real if real[query] != ours[query]}


def test_the_corpus_is_large_and_says_something():
    found = queries()
    assert len(set(found)) == len(found) >= 200
    assert found[-GENERATED_COUNT:] == queries()[-GENERATED_COUNT:]


@pytest.mark.slow
async def test_every_answer_is_the_real_servers(tmp_path, postgres: Postgres):
    async with running(REAL, FAST) as address:
        real = await answers(address, EXECUTIONS_COUNT)
    async with running(FILE) as address:
        assert differences(real, await answers(address, EXECUTIONS_COUNT)) == {}
    server = PerdureServer(tmp_path, postgres.new_database())
    server.set_up()
    server.start()
    try:
        assert differences(real, await answers(server.address, EXECUTIONS_COUNT)) == {}
    finally:
        server.stop()
    # That all find nothing, or everything, would prove little.
    found = [len(answer[0]) for answer in real.values() if isinstance(answer, list)]
    assert sum(0 < count < EXECUTIONS_COUNT for count in found) > len(found) / 2

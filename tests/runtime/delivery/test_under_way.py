"""A delivery under way goes on until it is recorded, once at a time, and no longer than memory."""

import asyncio

import pytest

from perdure.core.errors import Code, Rejected
from perdure.runtime.delivery import under_way
from perdure.runtime.delivery.under_way import UnderWay
from perdure.store.memory import MemoryStore
from tests.runtime.nodes import SetClock, started_node

EFFECT = "the effect"


@pytest.fixture
async def node(monkeypatch):
    monkeypatch.setattr(under_way, "RETRY_S", 0.001)
    node = await started_node(MemoryStore(), SetClock())
    yield node
    await node.stop()


@pytest.fixture
def executions(node):
    return node.executions


@pytest.fixture
def key(executions):
    return executions.key("ns", "w", "run")


class Answers:
    """Gives these answers one after the other; each is an exception or None."""

    def __init__(self, *answers: Exception | None) -> None:
        self.left = list(answers)

    async def __call__(self) -> None:
        answer = self.left.pop(0)
        if answer is not None:
            raise answer


def rejected(code: Code) -> Rejected:
    return Rejected(code, "on purpose")


async def test_what_has_one_name_is_under_way_once(node, executions):
    deliveries, begun = UnderWay(executions), []

    async def work(generation: int) -> None:
        begun.append(generation)
        await asyncio.Event().wait()

    name = ("run", 1)
    for _ in range(2):
        deliveries.begin(name, work)
    await asyncio.sleep(0)
    assert begun == [executions.generation]
    assert name in deliveries
    node.engine.commit_failed([], RuntimeError("on purpose"))
    assert name not in deliveries, "what began before memory was thrown away does not count"
    deliveries.begin(name, work)
    await asyncio.sleep(0)
    assert begun == [executions.generation - 1, executions.generation]
    await deliveries.stop()
    assert name not in deliveries


@pytest.mark.parametrize(
    "error", [*map(rejected, (Code.UNAVAILABLE, Code.INTERNAL)), RuntimeError("a bug")], ids=str
)
async def test_it_is_repeated_until_it_is_recorded(executions, key, error):
    answers = Answers(error, error, None, None)
    await UnderWay(executions).until_recorded(key, EFFECT, executions.generation, answers)
    assert answers.left == [None]


async def test_it_ends_when_the_execution_is_gone(executions, key):
    answers = Answers(rejected(Code.NOT_FOUND), None)
    await UnderWay(executions).until_recorded(key, EFFECT, executions.generation, answers)
    assert answers.left == [None]


async def test_it_ends_when_memory_is_thrown_away(node, executions, key):
    async def record() -> None:
        node.engine.commit_failed([], RuntimeError("on purpose"))
        raise rejected(Code.UNAVAILABLE)

    async with asyncio.timeout(5):
        await UnderWay(executions).until_recorded(key, EFFECT, executions.generation, record)

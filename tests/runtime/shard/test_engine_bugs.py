"""A bug that one run brings to light: whoever asks for it is told at once, and the others go on."""

import asyncio

import pytest

from perdure.core.errors import Code, Rejected
from perdure.core.workflow import machine
from perdure.core.workflow.effects import AskChild, DispatchWorkflowTask
from perdure.core.workflow.lifecycle.start_policy import Start
from perdure.core.workflow.signals import Signal
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.runtime.shard import loading, writing
from perdure.store.memory import MemoryStore
from perdure.store.port import JournalRow
from tests.runtime.nodes import SetClock, close, is_there, rows, start, started_node, until


class Store(MemoryStore):
    """Gives back nonsense for some runs."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()
        self.histories_left = 0

    async def load(self, keys):
        found = await super().load(keys)
        return [
            each._replace(journal=[each.journal[0]._replace(events=b"nonsense")])
            if each is not None and each.row.run_id in self.broken
            else each
            for each in found
        ]

    async def history(self, *arguments, **options) -> list[JournalRow]:
        self.histories_left -= 1
        if self.histories_left >= 0:
            raise RuntimeError("on purpose")
        return await super().history(*arguments, **options)


@pytest.fixture
async def store():
    return Store()


@pytest.fixture
async def node(store):
    node = await started_node(store, SetClock())
    yield node
    await node.stop()


def signal(name: str) -> Signal:
    return Signal(name=name, input=None, identity="", request_id=name)


def fail_on(monkeypatch, is_broken):
    """Let steps with certain requests end in a bug."""
    right = machine.transition

    def transition(run, request, **environment):
        if is_broken(request):
            raise RuntimeError("on purpose")
        return right(run, request, **environment)

    monkeypatch.setattr(machine, "transition", transition)


async def test_a_run_that_cannot_be_read_is_refused_and_others_are_read(store):
    first = await started_node(store, SetClock())
    good, bad = [await start(first, "ns", name) for name in ("good", "bad")]
    await first.stop()
    store.broken = {bad.run_id}
    node = await started_node(store, SetClock())
    assert node.engine.cache.peek(good) is not None, "it is due"
    async with asyncio.timeout(60):
        there, refused = await asyncio.gather(
            node.engine.find(good), node.engine.find(bad), return_exceptions=True
        )
        assert there is not None
        assert isinstance(refused, Rejected)
        assert refused.code is Code.INTERNAL
        # Once it can be read it is there.
        store.broken.clear()
        assert await is_there(node, bad)
    await node.stop()


async def test_a_run_that_cannot_be_read_can_be_deleted(store):
    first = await started_node(store, SetClock())
    good, bad = [await start(first, "ns", name) for name in ("good", "bad")]
    await first.stop()
    store.broken = {bad.run_id}
    node = await started_node(store, SetClock())
    await node.executions.delete(bad)
    assert rows(store, bad.run_id) == (False, False, False)
    assert not await is_there(node, node.executions.key("ns", "bad"))
    assert await is_there(node, good)
    await node.stop()


async def test_a_run_that_has_met_a_bug_goes_on_by_itself(node, monkeypatch):
    monkeypatch.setattr(loading, "RELOAD_S", 0.01)
    key = await start(node, "ns", "w")
    fail_on(monkeypatch, lambda request: isinstance(request, Signal) and request.name == "bad")
    with pytest.raises(Rejected, match="on purpose"):
        await node.executions.ask(key, signal("bad"))
    assert node.engine.cache.peek(key) is None

    async def is_back() -> bool:
        return node.engine.cache.peek(key) is not None

    await until(is_back)
    await node.executions.ask(key, signal("good"))


async def test_a_run_that_cannot_be_parked_does_not_keep_the_others(store, monkeypatch):
    clock = SetClock()
    node = Node(store, clock, ConfiguredLimits(), owner="node-1", executions_max=0)
    await node.start()
    bad, good = [await start(node, "ns", name) for name in ("bad", "good")]
    right = machine.pending_effects

    def pending_effects(run, now_ns):
        if run.state.workflow_id == "bad":
            raise OverflowError("on purpose")
        return right(run, now_ns)

    monkeypatch.setattr(machine, "pending_effects", pending_effects)
    clock.go_on(10)
    node.engine.eviction.make_room()
    assert node.engine.cache.peek(bad) is not None
    assert node.engine.cache.peek(good) is None
    await node.stop()


async def test_a_start_that_meets_a_bug_leaves_nothing(node, store, monkeypatch):
    fail_on(monkeypatch, lambda request: isinstance(request, Start))
    with pytest.raises(Rejected, match="on purpose"):
        await start(node, "ns", "w")
    monkeypatch.undo()
    await start(node, "ns", "another")
    assert [row.business_id for row in store.rows()] == ["another"]
    assert not await is_there(node, node.executions.key("ns", "w"))


async def test_an_outcome_that_meets_a_bug_is_not_written_in_part(node, store, monkeypatch):
    key = await start(node, "ns", "w")
    before = len(store.journal(key.run_id))

    def fail(*_, **__):
        raise RuntimeError("on purpose")

    with monkeypatch.context() as broken:
        broken.setattr(writing, "visibility_row", fail)
        with pytest.raises(Rejected, match="on purpose"):
            await close(node, key)

    async def is_back() -> bool:
        return node.engine.is_serving

    await until(is_back)
    assert (await node.engine.get(key)).execution.state.is_open
    assert len(store.journal(key.run_id)) == before
    await close(node, key)


async def test_an_effect_that_meets_a_bug_does_not_stop_commits(node, monkeypatch):
    failed = []

    def fail(*_):
        failed.append(1)
        raise RuntimeError("on purpose")

    with monkeypatch.context() as broken:
        broken.setitem(node._deliverers, DispatchWorkflowTask, fail)
        await start(node, "ns", "w")
    assert failed
    async with asyncio.timeout(60):
        await start(node, "ns", "another")


async def test_an_errand_that_meets_a_bug_is_tried_again(node, store):
    parent, child = [await start(node, "ns", name) for name in ("parent", "child")]
    await close(node, child)
    store.histories_left = 2
    node.outgoing_requests.deliver(parent, AskChild(5, "child", child.run_id))

    async def is_through() -> bool:
        return store.histories_left < 0

    await until(is_through)


async def test_of_a_run_that_is_gone_there_are_no_last_events(node, store):
    key = await start(node, "ns", "w")
    assert len(await node.executions.last_transition(key)) == 2
    await node.executions.delete(key)
    assert rows(store, key.run_id) == (False, False, False)
    assert await node.executions.last_transition(key) == []

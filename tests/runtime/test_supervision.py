"""Background work goes on for ever: a bug in it does not end it unseen."""

import asyncio

import msgspec
import pytest

from perdure.core.errors import Code, Rejected
from perdure.core.workflow import machine
from perdure.core.workflow.signals import Signal
from perdure.runtime import namespaces, supervision
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.runtime.shard import engine, loading, ownership
from perdure.store.memory import MemoryStore
from perdure.store.port import Batch, NamespaceRow, Unavailable
from tests.runtime.nodes import SetClock, start, started_node, until


class Store(MemoryStore):
    """Meets a bug in the next calls of certain methods."""

    def __init__(self) -> None:
        super().__init__()
        self.bugs_left: dict[str, int] = {}
        self.is_full = False

    def _meet(self, name: str) -> None:
        if self.bugs_left.get(name, 0) > 0:
            self.bugs_left[name] -= 1
            raise RuntimeError("on purpose")

    async def namespaces(self):
        self._meet("namespaces")
        return await super().namespaces()

    async def due(self, *arguments):
        self._meet("due")
        return await super().due(*arguments)

    async def renew(self, *arguments):
        self._meet("renew")
        return await super().renew(*arguments)

    async def commit(self, batch: Batch) -> None:
        if self.is_full:
            raise Unavailable("failed on purpose")
        await super().commit(batch)


@pytest.fixture
async def store(monkeypatch):
    monkeypatch.setattr(supervision, "PAUSE_S", 0.001)
    monkeypatch.setattr(ownership, "RETRY_S", 0.001)
    return Store()


def signal(name: str) -> Signal:
    return Signal(name=name, input=None, identity="", request_id=name)


async def is_through(store: Store) -> bool:
    return not any(store.bugs_left.values())


async def serves(node: Node) -> None:
    async def is_serving() -> bool:
        return node.engine.is_serving

    await until(is_serving)


async def test_loops_go_on_after_a_bug(store, monkeypatch):
    monkeypatch.setattr(namespaces, "REFRESH_EVERY_S", 0.001)
    monkeypatch.setattr(loading, "LOOK_AHEAD_EVERY_S", 0.001)
    monkeypatch.setattr("perdure.runtime.shard.renewal.RENEW_EVERY_S", 0.001)
    clock = SetClock()
    node = await started_node(store, clock)
    store.bugs_left = {"namespaces": 2, "due": 2, "renew": 2}

    async def time_goes_on() -> bool:
        clock.go_on(0.001)
        return await is_through(store)

    await until(time_goes_on)
    store.bugs_left = {"namespaces": 1, "due": 1, "renew": 1}
    await until(time_goes_on)
    await node.stop()


async def test_a_bug_while_a_node_recovers_does_not_keep_it_from_serving(store):
    node = await started_node(store, SetClock())
    key = await start(node, "ns", "w")
    store.bugs_left = {"namespaces": 2, "due": 2}
    store.is_full = True
    with pytest.raises(Rejected):
        await node.executions.ask(key, signal("s"))
    store.is_full = False
    await until(lambda: is_through(store))
    await serves(node)
    await node.executions.ask(key, signal("s"))
    await node.stop()


async def test_a_bug_while_runs_are_taken_over_does_not_end_the_server(store):
    store.bugs_left = {"due": 1}
    node = await started_node(store, SetClock())
    await until(lambda: is_through(store))
    await serves(node)
    await start(node, "ns", "w")
    await node.stop()


async def test_a_bug_after_a_commit_does_not_stop_commits(store, monkeypatch):
    node = await started_node(store, SetClock())
    key = await start(node, "ns", "w")

    def fail(*_):
        raise RuntimeError("on purpose")

    with monkeypatch.context() as broken:
        broken.setattr(node.engine.cache, "committed", fail)
        await node.executions.ask(key, signal("written"))
        await asyncio.sleep(0)
    await serves(node)
    async with asyncio.timeout(60):
        await node.executions.ask(key, signal("s"))
    await node.stop()


async def test_a_namespace_that_cannot_be_read_does_not_hide_the_others(store):
    first = await started_node(store, SetClock())
    await first.namespaces.register(namespaces.Namespace(id="good", name="good"))
    await first.stop()
    await store.put_namespace(NamespaceRow("bad", "bad", b"nonsense", 1))
    node = Node(store, SetClock(), ConfiguredLimits(), owner="node-1")
    await node.start()
    assert node.namespaces.get("good").id == "good"
    with pytest.raises(Rejected):
        node.namespaces.get("bad")
    await node.stop()


async def test_a_node_stops_though_its_runs_go_on_by_themselves(store, monkeypatch):
    node = await started_node(store, SetClock())
    live = await node.engine.get(await start(node, "ns", "w"))
    right, written = machine.transition, store.commit

    def transition(run, request, **environment):
        if isinstance(request, engine.Timer):
            request = signal(node.fresh_id())
        return right(run, request, **environment)

    async def commit(batch: Batch) -> None:
        await asyncio.sleep(0)
        node.engine._fire(live, engine.Timer(0, 1, 1, 1))
        await written(batch)

    monkeypatch.setattr(machine, "transition", transition)
    monkeypatch.setattr(store, "commit", commit)
    async with asyncio.timeout(60):
        going_on = asyncio.create_task(node.executions.ask(live.key, signal("first")))
        await asyncio.sleep(0)
        await node.stop()
        await going_on


async def test_a_node_that_recovers_does_not_serve_again_while_it_stops(store, monkeypatch):
    """Its last commit takes long; meanwhile it could have its lease back."""
    node = await started_node(store, SetClock())
    await start(node, "ns", "w")
    may_end, served = asyncio.Event(), []

    async def drain() -> None:
        await asyncio.sleep(0.05)
        served.append(node.engine.is_serving)
        await may_end.wait()

    monkeypatch.setattr(node.engine.commits, "drain", drain)
    node.engine.commit_failed([], Unavailable("failed on purpose"))
    stopping = asyncio.create_task(node.engine.stop())
    await until(lambda: asyncio.sleep(0, served))
    node.engine.commit_failed([], Unavailable("failed on purpose"))
    await asyncio.sleep(0.05)
    served.append(node.engine.is_serving)
    may_end.set()
    await stopping
    assert served == [False, False]
    await node.stop()


async def test_a_namespace_that_cannot_be_changed_is_not_tried_for_ever(store, monkeypatch):
    """A row that nobody can read has the name."""
    node = await started_node(store, SetClock())
    await node.namespaces.register(namespaces.Namespace(id="good", name="good"))
    await store.put_namespace(NamespaceRow("bad", "taken", b"nonsense", 1))
    with pytest.raises(Rejected) as refused:
        async with asyncio.timeout(60):
            await node.namespaces.update(
                "good", lambda old: msgspec.structs.replace(old, name="taken")
            )
    assert refused.value.code is Code.UNAVAILABLE
    await node.stop()

"""A node keeps its leases while its event loop or its store is busy, and loses them when somebody takes them."""

import asyncio
import threading
from contextlib import asynccontextmanager

import asyncpg
import pytest
from structlog.testing import capture_logs

from perdure.core.errors import Code, Rejected
from perdure.core.workflow.views import Describe
from perdure.runtime.clock import SystemClock
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.runtime.shard import leases as granting
from perdure.runtime.shard import renewal
from perdure.store import schema
from perdure.store.memory import MemoryStore
from perdure.store.open import open_store
from perdure.store.port import LeaseLost, Unavailable
from tests.postgres import postgres
from tests.runtime.nodes import SetClock, start, until

__all__ = ["postgres"]

PATIENCE_S = 60


class Path:
    """A path whose renewals do as a test says. It counts them."""

    def __init__(self):
        self.fails = None
        self.count = 0
        #: Another thread waits for the next renewal.
        self.renewed = threading.Semaphore(0)
        self.is_closed = False

    def renew(self, leases, ttl_ns):
        self.count += 1
        self.renewed.release()
        if self.fails is not None:
            raise self.fails

    def close(self):
        self.is_closed = True


@pytest.fixture
def path(monkeypatch):
    monkeypatch.setattr(renewal, "RENEW_EVERY_S", 0.001)
    return Path()


@asynccontextmanager
async def node_on(store, clock, path):
    node = Node(store, clock, ConfiguredLimits(), owner="node-1", renewal_path=path)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


@pytest.fixture
async def node(path):
    async with node_on(MemoryStore(), SetClock(), path) as node:
        yield node


def block(path, rounds=2):
    """Hold up the event loop until so many more renewals have begun: all but the last have ended."""
    until_count = path.count + rounds
    while path.count < until_count:
        assert path.renewed.acquire(timeout=PATIENCE_S)


async def is_unknown(node, workflow_id):
    """Ask for a workflow that does not exist: only a node that is certain of its lease says so."""
    with pytest.raises(Rejected) as refusal:
        await node.executions.read(node.executions.key("ns", workflow_id), Describe())
    return refusal.value.code is Code.NOT_FOUND


async def test_a_loop_that_is_blocked_for_longer_than_a_lease_does_not_lose_it(node, path):
    node.clock.go_on(granting.TTL_NS / 1e9 + 1)
    assert not node.engine.leases.is_certain()
    block(path)
    assert node.engine.leases.is_certain()
    assert await is_unknown(node, "none")


async def test_a_renewal_counts_from_the_moment_when_it_was_sent(node, path, monkeypatch):
    renew, has_answered = path.renew, threading.Event()

    def slow(leases, ttl_ns):
        renew(leases, ttl_ns)
        node.clock.go_on(granting.TTL_NS / 1e9 - 0.5)
        has_answered.set()

    monkeypatch.setattr(path, "renew", slow)
    assert has_answered.wait(PATIENCE_S)
    block(path)
    assert not node.engine.leases.is_certain()


async def test_a_loop_that_never_turns_loses_the_lease_in_the_end(node, path, monkeypatch):
    monkeypatch.setattr(renewal, "_SILENT_ROUNDS_MAX", 20)
    is_silent = threading.Event()
    error = renewal.log.error
    with capture_logs() as logs:
        monkeypatch.setattr(
            renewal.log, "error", lambda *a, **k: (error(*a, **k), is_silent.set()), raising=False
        )
        assert is_silent.wait(PATIENCE_S)
        count = path.count
        node.clock.go_on(granting.TTL_NS / 1e9)
        assert not node.engine.leases.is_certain()
        assert path.count == count

        async def is_certain():
            return node.engine.leases.is_certain()

        await until(is_certain)
    assert [each["event"] for each in logs if "event loop" in each["event"]] == [
        "the event loop does not turn: leases are not renewed any more",
        "the event loop turns again: leases are renewed",
    ]
    assert await is_unknown(node, "none")


async def test_a_lost_lease_is_not_trusted_from_that_moment_and_memory_is_thrown_away(node, path):
    await start(node, "ns", "w")
    generation = node.engine.generation
    path.fails = LeaseLost("on purpose")
    block(path)
    assert not node.engine.leases.is_certain()
    path.fails = None

    async def serves_again():
        return node.engine.generation > generation and node.engine.is_serving

    await until(serves_again)
    assert node.engine.leases.is_certain()


async def test_an_answer_about_a_lease_that_was_given_up_says_nothing_of_the_next(node):
    leases = node.engine.leases
    old = leases.grant
    leases.give_up()
    old.renewed(node.clock.monotonic_ns())
    assert not leases.is_certain()
    assert await leases.claim()
    is_told = False

    async def lost():
        nonlocal is_told
        is_told = True

    await renewal.lose(leases, old, lost)
    assert leases.is_certain()
    assert not is_told


@pytest.mark.parametrize("error", [Unavailable("on purpose"), RuntimeError("on purpose")])
async def test_renewals_go_on_after_one_that_failed(node, path, error):
    path.fails = error
    node.clock.go_on(granting.TTL_NS / 1e9)
    block(path)
    assert not node.engine.leases.is_certain()
    path.fails = None
    block(path)
    assert node.engine.leases.is_certain()
    assert node.engine.is_serving


async def test_a_node_that_stops_closes_the_path(path):
    async with node_on(MemoryStore(), SetClock(), path):
        pass
    assert path.is_closed


def test_a_loop_that_was_closed_ends_the_thread(path):
    loop = asyncio.new_event_loop()
    held = granting.Leases(MemoryStore(), "node-1", SetClock())
    thread = renewal._Thread(path, SetClock(), held, loop)
    loop.close()
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert path.is_closed


class TestPostgres:
    """With the real lengths of time: they are what the database judges by."""

    pytestmark = pytest.mark.slow

    @pytest.fixture
    async def url(self, postgres):
        url = postgres.new_database()
        await schema.upgrade(url)
        yield url
        postgres.drop_database(url)

    @pytest.fixture
    async def node(self, url):
        store = open_store(url)
        await store.open()
        async with node_on(store, SystemClock(), store.renewal_path()) as node:
            yield node
        await store.close()

    async def test_a_loop_that_is_blocked_for_ten_seconds_does_not_lose_the_lease(self, url, node):
        key = await start(node, "ns", "w")
        generation = node.engine.generation
        assert not threading.Event().wait(10)
        assert node.engine.leases.is_certain()
        answer = await node.executions.read(key, Describe())
        assert answer.key == key
        other = open_store(url)
        await other.open()
        assert await other.claim("node-2", granting.TTL_NS) == ()
        await other.close()
        assert node.engine.generation == generation

    async def test_a_session_that_is_ended_costs_nothing(self, url, node):
        connection = await asyncpg.connect(url)
        end = (
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE '%renewed%'"
            " AND pid <> pg_backend_pid()"
        )
        generation = node.engine.generation

        async def has_ended():
            return await connection.fetchval(end)

        await until(has_ended)
        trusted_until_ns = node.engine.leases.grant.trusted_until_ns

        async def is_renewed():
            return node.engine.leases.grant.trusted_until_ns > trusted_until_ns + 2 * 10**9

        await until(is_renewed)
        await connection.close()
        assert node.engine.generation == generation
        assert node.engine.is_serving

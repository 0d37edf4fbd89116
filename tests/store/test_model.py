"""Whatever is asked in whatever order: every store answers what the model in memory answers."""

import asyncio
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.core.execution.key import WORKFLOW
from perdure.core.visibility.filters import EVERYTHING, Filter
from perdure.store.memory import MemoryStore
from perdure.store.open import open_store
from perdure.store.port import NEVER_NS, Batch, StoreError
from tests.store.conftest import KINDS
from tests.store.rows import MINUTE_NS, journal, run, update, visibility

#: Few, so that what is drawn meets what is there.
WORKFLOWS = range(3)
NUMBERS = range(1, 4)
SEQS = range(1, 5)
ARCHETYPES = (WORKFLOW, 1)
DUE = (0, 0, 1, 2, 3, NEVER_NS)

small = st.integers(0, 4)
workflows = st.sampled_from(WORKFLOWS)
numbers = st.sampled_from(NUMBERS)


class Some(NamedTuple):
    """A run as it is drawn: its place in `WORKFLOWS` and its number. Two places share a business id."""

    workflow: int
    number: int

    @property
    def archetype(self):
        return ARCHETYPES[self.workflow % 2]

    @property
    def business(self):
        return self.workflow // 2


somes = st.builds(Some, workflows, numbers)


class Write(NamedTuple):
    new: list[tuple[Some, int]]
    journal: list[tuple[Some, int]]
    updates: list[tuple[Some, int, int, int]]
    visibility: list[tuple[Some, int, int]]
    deletes: list[Some]
    is_stale: bool


class Claim(NamedTuple):
    pass


class Load(NamedTuple):
    keys: list[tuple[Some, bool]]


class Due(NamedTuple):
    lo: int
    hi: int
    after_ns: int
    #: None: before all runs of that time.
    after: Some | None
    until_ns: int
    limit: int


class History(NamedTuple):
    some: Some
    after_seq: int
    limit: int
    reverse: bool


class List(NamedTuple):
    limit: int


writes = st.builds(
    Write,
    st.lists(st.tuples(somes, st.sampled_from(DUE)), max_size=3),
    # The test writes those rows that a journal without gaps allows, and sometimes one that is there already.
    st.lists(st.tuples(somes, st.sampled_from([*[0] * 9, 1])), max_size=5),
    st.lists(st.tuples(somes, small, st.sampled_from(DUE), small), max_size=3),
    st.lists(st.tuples(somes, small, small), max_size=3),
    st.one_of(st.just([]), st.lists(somes, max_size=3)),
    st.sampled_from([*[False] * 9, True]),
)
steps = st.one_of(
    writes,
    writes,
    st.builds(Claim),
    st.builds(Load, st.lists(st.tuples(somes, st.booleans()), max_size=4)),
    st.builds(
        Due,
        small,
        small,
        st.integers(0, 3),
        st.one_of(st.none(), somes),
        st.integers(0, 5),
        st.integers(1, 4),
    ),
    st.builds(History, somes, small, st.integers(1, 5), st.booleans()),
    st.builds(List, st.integers(1, 5)),
)
plans = st.lists(steps, max_size=12)


class AskedStore:
    """One store and what was asked of it. Ids begin with a number of their own: nothing must be cleared in between."""

    def __init__(self, store, number):
        self._store = store
        self._base = number * len(WORKFLOWS)
        self._namespace_id = f"namespace-{number}"
        self._leases = ()
        self._older = None
        self._written: dict[str, int] = {}

    def _run(self, some, **changes):
        return run(
            f"w{some.business}",
            some.number,
            archetype=some.archetype,
            shard_key=self._base + some.business,
            namespace_id=self._namespace_id,
            run_id=f"{self._namespace_id}-{some.workflow}-{some.number}",
            **changes,
        )

    def batch(self, write):
        batch = Batch(self._older if write.is_stale and self._older else self._leases)
        batch.executions = [self._run(some, due_at_ns=due) for some, due in write.new]
        seqs: dict[str, int] = {}
        for some, back in write.journal:
            row = self._run(some)
            seq = seqs.get(row.run_id, self._written.get(row.run_id, 0)) + 1 - back
            if seq < 1:
                continue
            seqs[row.run_id] = max(seq, seqs.get(row.run_id, 0))
            batch.journal.append(journal(row, seq, event_count=(seq + some.number) % 3))
        batch.updates = [
            update(self._run(some), status=status, due_at_ns=due, snapshot=b"s", snapshot_seq=seq)
            for some, status, due, seq in write.updates
        ]
        batch.visibility = [
            visibility(
                self._run(some).run_id,
                namespace_id=self._namespace_id,
                archetype=some.archetype,
                start_time_ns=start,
                close_time_ns=close,
            )
            for some, start, close in write.visibility
        ]
        batch.deletes = [self._key(some, True) for some in write.deletes]
        gone = {key.run_id for key in batch.deletes}
        for rows in (batch.executions, batch.journal, batch.updates, batch.visibility):
            rows[:] = [row for row in rows if row.run_id not in gone]  # type: ignore[attr-defined]
        return batch

    async def claim(self):
        self._older, self._leases = self._leases, await self._store.claim("node-1", MINUTE_NS)

    async def answer(self, step):
        """Return the answer, or the kind of error."""
        try:
            return await self._answer(step)
        except StoreError as error:
            return type(error)

    async def _answer(self, step):
        match step:
            case Write():
                batch = self.batch(step)
                await self._store.commit(batch)
                for row in batch.journal:
                    self._written[row.run_id] = max(row.seq, self._written.get(row.run_id, 0))
                for key in batch.deletes:
                    self._written.pop(key.run_id, None)
            case Claim():
                await self.claim()
            case Load(keys):
                return await self._store.load([self._key(some, named) for some, named in keys])
            case Due(lo, hi, after_ns, after, until_ns, limit):
                return await self._store.due(
                    self._base + lo,
                    self._base + min(hi, len(WORKFLOWS)),
                    (after_ns, "" if after is None else self._run(after).run_id),
                    until_ns,
                    limit,
                )
            case History(some, after_seq, limit, reverse):
                row = self._run(some)
                found = await self._store.history(
                    row.shard_key, row.run_id, after_seq=after_seq, limit=limit, reverse=reverse
                )
                return [entry._replace(internal=b"") for entry in found]
            case List(limit):
                kinds = [await self._pages(archetype, limit) for archetype in ARCHETYPES]
                return [*kinds, await self._all_pages(limit)]
        return None

    def _key(self, some, named):
        row = self._run(some)
        return row.key if named else row.key._replace(run_id="")

    async def _pages(self, archetype, limit):
        filter = Filter(EVERYTHING.condition, archetype=archetype)
        pages, after = [], None
        while page := await self._store.list_visibility(
            self._namespace_id, limit=limit, after=after, filter=filter
        ):
            pages.append(page)
            last = page[-1]
            after = (last.close_time_ns or NEVER_NS, last.start_time_ns, last.run_id)
        return pages, await self._store.count_visibility(self._namespace_id, filter)

    async def _all_pages(self, limit):
        pages, after = [], None
        while page := await self._store.longest_closed(
            self._namespace_id, archetype=None, until_ns=NEVER_NS, limit=limit, after=after
        ):
            pages.append(page)
            after = page[-1].place
        return pages

    async def everything(self):
        somes = [Some(workflow, number) for workflow in WORKFLOWS for number in NUMBERS]
        questions = [
            Load([(some, named) for some in somes for named in (False, True)]),
            Due(0, len(WORKFLOWS), 0, None, NEVER_NS - 1, 1000),
            *(History(some, 0, 100, reverse) for some in somes for reverse in (False, True)),
            List(100),
        ]
        return [await self.answer(question) for question in questions]


@pytest.fixture(params=KINDS[1:])
def kind(request):
    return request.param


def test_every_store_answers_like_the_model(kind, url):
    numbers = count()
    store = open_store(url)

    with asyncio.Runner() as runner:

        @settings(
            max_examples=60,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(plans)
        def answers_are_equal(plan):
            runner.run(compare(store, next(numbers), plan))

        runner.run(store.open())
        try:
            answers_are_equal()
        finally:
            runner.run(store.close())
    assert next(numbers) > 50


async def compare(store, number, plan):
    asked, model = AskedStore(store, number), AskedStore(MemoryStore(), number)
    await asked.claim()
    await model.claim()
    for step in plan:
        assert await asked.answer(step) == await model.answer(step), step
    assert await asked.everything() == await model.everything()

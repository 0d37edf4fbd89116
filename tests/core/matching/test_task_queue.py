"""Task queues by themselves: order, priorities, and rates that nothing exceeds."""

import math
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from perdure.core.matching.scaling import suggested_pollers
from perdure.core.matching.task_queue import Poller, PollerInfo, TaskQueue, priority_of
from perdure.core.matching.token_bucket import SECOND_NS, TokenBucket

RATES = st.one_of(st.integers(1, 200), st.floats(0.1, 50.0))
#: Pauses between one call and the next.
PAUSES = st.lists(st.integers(0, 3 * SECOND_NS), max_size=60)


@given(RATES, PAUSES)
def test_no_more_is_taken_than_the_rate_allows_and_a_full_bucket(rate, pauses):
    bucket, now_ns, taken = TokenBucket(rate), SECOND_NS, []
    for pause_ns in pauses:
        now_ns += pause_ns
        while bucket.has_token(now_ns):
            bucket.take(now_ns)
            taken.append(now_ns)
    for first, from_ns in enumerate(taken):
        for last in range(first, len(taken)):
            allowed = bucket.capacity + rate * (taken[last] - from_ns) / SECOND_NS
            assert last - first + 1 <= allowed + 1e-6


@given(RATES, PAUSES)
def test_the_next_token_is_there_when_it_is_announced_and_not_before(rate, pauses):
    bucket, now_ns = TokenBucket(rate), SECOND_NS
    for pause_ns in pauses:
        now_ns += pause_ns
        while bucket.has_token(now_ns):
            bucket.take(now_ns)
        ready_at_ns = bucket.ready_at_ns()
        assert ready_at_ns is not None
        assert not bucket.has_token(ready_at_ns - 1)
        assert bucket.has_token(ready_at_ns)
        assert ready_at_ns - now_ns <= math.ceil(SECOND_NS / rate)


def test_no_rate_at_all_lets_nothing_through():
    bucket = TokenBucket(0)
    assert bucket.ready_at_ns() is None
    assert not bucket.has_token(10**20)


@given(RATES, RATES)
def test_another_rate_fills_no_bucket(before, after):
    bucket, now_ns = TokenBucket(before), SECOND_NS
    while bucket.has_token(now_ns):
        bucket.take(now_ns)
    changed = bucket.at_rate(after, now_ns)
    assert not changed.has_token(now_ns) or changed.capacity > 1
    count = 0
    while changed.has_token(now_ns):
        changed.take(now_ns)
        count += 1
    assert count <= changed.capacity


@given(RATES)
def test_a_queue_that_stood_still_goes_on_with_its_new_rate(rate):
    changed = TokenBucket(0).at_rate(rate, SECOND_NS)
    ready_at_ns = changed.ready_at_ns()
    assert ready_at_ns is not None
    assert 0 <= ready_at_ns - SECOND_NS <= math.ceil(SECOND_NS / rate)


@dataclass
class Environment:
    """A queue, pollers that come and wait, and a clock."""

    queue: TaskQueue[str] = field(default_factory=TaskQueue)
    now_ns: int = SECOND_NS
    got: list[str] = field(default_factory=list)
    at: list[int] = field(default_factory=list)

    def _take(self, task: str) -> bool:
        self.got.append(task)
        self.at.append(self.now_ns)
        return True

    def poll(self, max_per_second: float | None = None) -> None:
        task = self.queue.poll(PollerInfo("worker", self.now_ns, max_per_second))
        if task is not None:
            self._take(task)
        else:
            self.queue.wait(Poller("worker", self._take))
        self.queue.release(self.now_ns)

    def add(self, task: str, priority: int = 3) -> None:
        self.queue.add(task, self.now_ns, priority)
        self.queue.release(self.now_ns)

    def wait_for_the_limit(self) -> None:
        while (ready_at_ns := self.queue.held_until_ns()) is not None:
            assert ready_at_ns >= self.now_ns, "what could be handed out was not"
            self.now_ns = ready_at_ns
            self.queue.release(self.now_ns)


def test_what_is_more_urgent_goes_first_and_equals_in_their_order():
    environment = Environment()
    for task, priority in (("a", 3), ("b", 5), ("c", 1), ("d", 3), ("e", 1)):
        environment.add(task, priority)
    assert environment.queue.backlog_count == 5
    assert environment.queue.backlog_counts() == {1: 2, 3: 2, 5: 1}
    for _ in range(5):
        environment.poll()
    assert environment.got == ["c", "e", "a", "d", "b"]


def test_priorities_are_in_their_range():
    assert [priority_of(key) for key in (0, 1, 3, 5, 6, 99)] == [3, 1, 3, 5, 5, 5]


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.sampled_from(["poll", "add", "pass"]), st.integers(1, 5)), max_size=80),
)
def test_a_limited_queue_is_neither_too_fast_nor_stuck(rate, steps):
    environment = Environment()
    environment.queue.configure(float(rate), environment.now_ns)
    added = polls = 0
    for step, number in steps:
        if step == "poll":
            polls += 1
            environment.poll()
        elif step == "add":
            added += 1
            environment.add(f"task {added}", number)
        else:
            environment.now_ns += number * SECOND_NS // 7
            environment.queue.release(environment.now_ns)
    environment.wait_for_the_limit()
    assert len(environment.got) == min(added, polls)
    assert len(set(environment.got)) == len(environment.got)
    for first, from_ns in enumerate(environment.at):
        for last in range(first, len(environment.at)):
            allowed = rate + rate * (environment.at[last] - from_ns) / SECOND_NS
            assert last - first + 1 <= allowed + 1e-6


def test_an_operator_outranks_workers_and_the_latest_worker_has_the_say():
    environment = Environment()

    def limit() -> float | None:
        return environment.queue.limit.per_second if environment.queue.limit is not None else None

    environment.poll(5.0)
    assert limit() == 5.0
    environment.poll(7.0)
    assert limit() == 7.0
    environment.queue.configure(2.0, environment.now_ns)
    environment.poll(9.0)
    assert limit() == 2.0
    environment.queue.configure(None, environment.now_ns)
    assert limit() == 9.0
    environment.poll()
    assert limit() is None


def test_without_its_limit_a_queue_hands_out_at_once():
    environment = Environment()
    environment.queue.configure(0.0, environment.now_ns)
    environment.add("a")
    environment.poll()
    assert environment.got == []
    assert environment.queue.held_until_ns() is None
    environment.queue.configure(None, environment.now_ns)
    assert environment.got == ["a"]


# How many pollers a queue wants

MILLISECOND_NS = SECOND_NS // 1000


def _polled(queue: TaskQueue[str], now_ns: int) -> str | None:
    return queue.poll(PollerInfo("worker", now_ns))


def test_who_has_waited_for_a_second_was_not_needed():
    queue: TaskQueue[str] = TaskQueue()
    assert suggested_pollers(queue, SECOND_NS, 2 * SECOND_NS) == -1
    assert suggested_pollers(queue, SECOND_NS, 2 * SECOND_NS - 1) == 0


def test_a_task_that_waits_wants_another_poller_after_a_while():
    queue: TaskQueue[str] = TaskQueue()
    for task in ("a", "b", "c", "d", "e", "f"):
        queue.add(task, SECOND_NS)
        assert _polled(queue, SECOND_NS) == task
    queue.add("g", SECOND_NS)  # Seven to six is not much.
    now_ns = SECOND_NS + 200 * MILLISECOND_NS
    assert suggested_pollers(queue, now_ns, now_ns) == 0
    assert suggested_pollers(queue, now_ns, now_ns + 1) == 1
    assert _polled(queue, now_ns + 1) == "g"
    assert suggested_pollers(queue, now_ns, now_ns + 1) == 0


def test_tasks_that_come_faster_than_they_go_want_another_poller():
    queue: TaskQueue[str] = TaskQueue()
    queue.add("a", SECOND_NS)
    queue.add("b", SECOND_NS)
    assert _polled(queue, SECOND_NS) == "a"
    assert suggested_pollers(queue, SECOND_NS, SECOND_NS) == 1


def test_no_poller_helps_against_a_rate_limit():
    queue: TaskQueue[str] = TaskQueue()
    queue.configure(1.0, SECOND_NS)
    queue.add("a", SECOND_NS)
    queue.add("b", SECOND_NS)
    assert _polled(queue, SECOND_NS) == "a"
    assert suggested_pollers(queue, SECOND_NS, SECOND_NS + 500 * MILLISECOND_NS) == 0
    assert suggested_pollers(queue, SECOND_NS, 2 * SECOND_NS - 1) == 0


def test_ten_suggestions_a_second_for_every_poller():
    queue: TaskQueue[str] = TaskQueue()
    queue.add("a", SECOND_NS)
    now_ns = 2 * SECOND_NS
    for identity in ("one", "two"):
        queue.seen(PollerInfo(identity, now_ns))
    assert [suggested_pollers(queue, now_ns, now_ns) for _ in range(21)] == [1] * 20 + [0]
    now_ns += 50 * MILLISECOND_NS
    assert [suggested_pollers(queue, now_ns, now_ns) for _ in range(2)] == [1, 0]

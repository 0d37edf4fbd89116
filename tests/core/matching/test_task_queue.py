"""Task queues by themselves: order, priorities and limits."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from perdure.core.matching.task_queue import Poller, PollerInfo, TaskQueue, priority_of
from perdure.core.matching.token_bucket import SECOND_NS


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

"""How many pollers the server suggests to a worker."""

from perdure.core.matching.scaling import suggested_pollers
from perdure.core.matching.task_queue import PollerInfo, TaskQueue
from perdure.core.matching.token_bucket import SECOND_NS

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

"""Tasks of one fairness key go no faster than an operator says."""

from typing import Any

from perdure.core.matching.task_queue import Poller, PollerInfo, TaskQueue
from perdure.core.matching.token_bucket import SECOND_NS

T0_NS = 1000 * SECOND_NS


def rated(per_second: float = 1, **weights: float) -> tuple[TaskQueue[Any], list[Any]]:
    """Return a queue of tasks that are (key, weight, number), and what its pollers take."""
    queue: TaskQueue[Any] = TaskQueue(_fairness_of=lambda task: task[:2])
    queue.configure_keys(per_second, weights, T0_NS)
    return queue, []


def polled(queue: TaskQueue[Any], taken: list[Any], at_ns: int) -> None:
    def take(task: Any) -> bool:
        taken.append(task)
        return True

    task = queue.poll(PollerInfo("p", at_ns))
    if task is not None:
        taken.append(task)
    else:
        queue.wait(Poller("p", take))


def test_a_key_that_has_to_wait_is_passed_over() -> None:
    queue, taken = rated()
    for number in range(4):
        queue.add(("a", 1.0, number), T0_NS, fairness=("a", 1.0))
    queue.add(("b", 1.0, 0), T0_NS, fairness=("b", 1.0))
    for _ in range(5):
        polled(queue, taken, T0_NS)
    assert [each[0] + str(each[2]) for each in taken] == ["a0", "a1", "b0"]
    assert queue.held_until_ns() == T0_NS + SECOND_NS
    queue.release(T0_NS + SECOND_NS - 1)
    assert len(taken) == 3
    queue.release(T0_NS + SECOND_NS)
    assert [each[2] for each in taken[3:]] == [2]
    # A task whose key need not wait goes at once, whatever waits before it.
    assert queue.add(("c", 1.0, 0), T0_NS + SECOND_NS, fairness=("c", 1.0))
    assert queue.backlog_count == 1


def test_a_key_that_weighs_more_is_as_much_faster() -> None:
    queue, taken = rated(b=4.0)
    for number in range(9):
        for key in "ab":
            queue.add((key, 1.0, number), T0_NS, fairness=(key, 1.0))
    for _ in range(18):
        polled(queue, taken, T0_NS)
    assert [sum(each[0] == key for each in taken) for key in "ab"] == [2, 5]
    queue.release(T0_NS + SECOND_NS)
    assert [sum(each[0] == key for each in taken) for key in "ab"] == [3, 9]


def test_a_changed_rate_of_keys_counts_from_now_on() -> None:
    queue, taken = rated(0.001)
    for number in range(3):
        queue.add(("a", 1.0, number), T0_NS, fairness=("a", 1.0))
    for _ in range(3):
        polled(queue, taken, T0_NS)
    assert len(taken) == 1
    queue.configure_keys(10, {}, T0_NS)
    held_until_ns = queue.held_until_ns()
    assert held_until_ns is not None
    assert held_until_ns <= T0_NS + 2 * SECOND_NS
    queue.configure_keys(None, {}, T0_NS)
    queue.release(T0_NS)
    assert len(taken) == 3


def test_nobody_looks_at_all_tasks_whose_keys_have_to_wait() -> None:
    looked = 0

    def fairness_of(task: int) -> tuple[str, float]:
        nonlocal looked
        looked += 1
        return "a" if task else "b", 1.0

    queue: TaskQueue[int] = TaskQueue(_fairness_of=fairness_of)
    queue.configure_keys(1, {}, T0_NS)
    for number in range(1, 101):
        queue.add(number, T0_NS)
    queue.add(100, T0_NS)
    taken: list[int] = []
    for _ in range(3):
        polled(queue, taken, T0_NS)
    assert taken == [1, 2]
    looked = 0
    queue.add(101, T0_NS)
    queue.release(T0_NS)
    assert queue.held_until_ns() == T0_NS + SECOND_NS
    assert looked < 5
    queue.drop(lambda task: task > 3)
    queue.release(T0_NS + SECOND_NS)
    assert (taken, queue.backlog_count, queue.held_until_ns()) == ([1, 2, 3], 0, None)

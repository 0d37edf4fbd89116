"""Tasks that wait go by turns of their fairness keys, by weight, where that is turned on."""

from collections import Counter

from perdure.core.matching.backlog import KEYS_MAX, FairBacklog, Weights
from perdure.core.matching.task_queue import PollerInfo, TaskQueue
from perdure.core.workflow.effects import DispatchActivityTask, Fairness
from tests.build.commands import schedule_activity
from tests.core.workflow.run import OneRun


def queue_of(weights: Weights | None, *tasks: tuple[str, int, float]) -> TaskQueue[str]:
    queue: TaskQueue[str] = TaskQueue(lambda: weights)
    for key, count, weight in tasks:
        for n in range(count):
            assert not queue.add(f"{key}{n}", 1000 + n, fairness=(key, weight))
    return queue


def taken(queue: TaskQueue[str], count: int) -> list[str]:
    tasks = [queue.poll(PollerInfo("w", 2000)) for _ in range(count)]
    assert None not in tasks
    return [task for task in tasks if task is not None]


def shares(tasks: list[str]) -> dict[str, int]:
    return dict(Counter(task[0] for task in tasks))


def test_one_after_the_other_unless_fairness_is_on() -> None:
    assert shares(taken(queue_of(None, ("a", 5, 0), ("b", 5, 9)), 5)) == {"a": 5}


def test_each_key_has_its_turn_and_its_tasks_keep_their_order() -> None:
    queue = queue_of({}, ("a", 9, 0), ("b", 3, 0))
    first = taken(queue, 6)
    assert shares(first) == {"a": 3, "b": 3}
    assert [task for task in first if task[0] == "a"] == ["a0", "a1", "a2"]
    assert shares(taken(queue, 6)) == {"a": 6}


def test_weights_of_tasks_and_those_that_an_operator_says() -> None:
    assert shares(taken(queue_of({}, ("a", 40, 1), ("b", 40, 3)), 24)) == {"a": 6, "b": 18}
    assert shares(taken(queue_of({"a": 3}, ("a", 40, 1), ("b", 40, 1)), 24)) == {"a": 18, "b": 6}


def test_who_comes_late_stands_where_the_others_have_come_to() -> None:
    queue = queue_of({}, ("a", 40, 0))
    taken(queue, 20)
    for n in range(20):
        queue.add(f"b{n}", 3000, fairness=("b", 0))
    assert shares(taken(queue, 10)) in ({"a": 5, "b": 5}, {"a": 4, "b": 6})


def test_a_task_that_comes_twice_waits_once_and_the_oldest_is_known() -> None:
    queue = queue_of({}, ("a", 2, 0), ("a", 2, 0))
    assert queue.backlog_count == 2
    assert list(queue.backlog()) == ["a0", "a1"]
    assert queue.backlog_age_ns(2000) == 1000


def test_what_nobody_waits_for_leaves_the_others_in_their_order() -> None:
    queue = queue_of({}, ("a", 3, 0), ("b", 3, 0))
    queue.drop(lambda task: task in ("a0", "b1"))
    assert taken(queue, 4) == ["b0", "a1", "a2", "b2"]
    queue = queue_of({}, ("a", 1, 0))
    queue.drop(lambda _: True)
    assert queue.backlog_count == 0


def test_keys_that_are_not_ahead_are_forgotten() -> None:
    backlog: FairBacklog[str] = FairBacklog(lambda: {})
    for n in range(3 * KEYS_MAX):
        backlog.add(f"{n}", n, (f"key{n}", 0))
    while len(backlog):
        backlog.drop_first()
    assert len(backlog._passes) <= KEYS_MAX


def test_an_activity_without_one_has_the_key_of_its_run() -> None:
    run = OneRun(priority={"fairness_key": "run", "fairness_weight": 2})
    own = {"fairness_key": "own"}
    run.work(schedule_activity("a", "q"), schedule_activity("b", "q", priority=own))
    dispatched = run.dispatched(DispatchActivityTask)
    assert [each.fairness for each in dispatched] == [Fairness("run", 2), Fairness("own", 2)]

"""Suggests more or fewer pollers to workers that scale their pollers by themselves.

Temporal: the suggestion goes with a task, and is about the queue that the task comes from.
"""

from typing import Any

from perdure.core.matching.task_queue import TaskQueue

SECOND_NS = 10**9
#: A poller that waited this long for a task was not needed.
IDLE_NS = SECOND_NS
#: A task that has waited for longer wants another poller.
BACKLOG_AGE_NS = SECOND_NS // 5
#: So do tasks that come this many times as fast as they go.
ADDED_TO_DISPATCHED = 1.2
#: No poller gets more suggestions in a second.
PER_POLLER_AND_SECOND = 10


def suggested_pollers(queue: TaskQueue[Any], began_at_ns: int, now_ns: int) -> int:
    """Return how many polls more a worker should make at once, whose poll began then and ends now with a task."""
    if now_ns - began_at_ns >= IDLE_NS:
        return -1
    if not _may_suggest(queue, now_ns):
        return 0
    if queue.limit is not None and not queue.limit.has_token(now_ns):
        return 0  # More pollers would wait for the same limit.
    if queue.backlog_age_ns(now_ns) > BACKLOG_AGE_NS:
        return 1
    added, dispatched = queue.added.per_second(now_ns), queue.dispatched.per_second(now_ns)
    return 1 if added > ADDED_TO_DISPATCHED * dispatched else 0


def _may_suggest(queue: TaskQueue[Any], now_ns: int) -> bool:
    """Take a turn: a second's worth of them may come at once."""
    interval_ns = SECOND_NS // (PER_POLLER_AND_SECOND * max(1, len(queue.pollers)))
    suggested_until_ns = max(queue.suggested_until_ns, now_ns) + interval_ns
    if suggested_until_ns > now_ns + SECOND_NS:
        return False
    queue.suggested_until_ns = suggested_until_ns
    return True

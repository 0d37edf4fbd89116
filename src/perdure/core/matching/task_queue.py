"""One task queue: tasks wait for pollers, or pollers for tasks; never both.

Nothing is durable here: after a restart the owners of the runs dispatch again what they owe. A task may come twice;
whoever it concerns recognises that. The queue holds what it is given without looking inside.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from perdure.core.matching.rate import Rate

T = TypeVar("T", bound=Hashable)

#: Temporal: a sticky queue counts as served for this long after its worker's last poll.
RECENT_POLL_NS = 10 * 10**9
#: Pollers are remembered, for descriptions, for this long.
POLLER_MEMORY_NS = 5 * 60 * 10**9


@dataclass(slots=True)
class PollerInfo:
    identity: str
    last_poll_at_ns: int
    rate_per_second: float = 0.0
    #: Serialized `WorkerVersionCapabilities`.
    version_capabilities: bytes = b""
    #: Serialized `WorkerDeploymentOptions`.
    deployment_options: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class Poller(Generic[T]):
    """Somebody waits. `take` is called once, with a task, when it is this poller's turn.

    It returns whether the task is taken: whoever has given up a moment ago may not have left yet.
    """

    identity: str
    take: Callable[[T], bool]


@dataclass(slots=True)
class Backlogged(Generic[T]):
    task: T
    since_ns: int


@dataclass(slots=True)
class TaskQueue(Generic[T]):
    _waiting: dict[Poller[T], None] = field(default_factory=dict)
    #: By task, oldest first: a task that is dispatched twice waits once.
    _backlog: dict[T, Backlogged[T]] = field(default_factory=dict)
    #: Tasks whose caller waits (queries) go first.
    _urgent: deque[T] = field(default_factory=deque)
    pollers: dict[str, PollerInfo] = field(default_factory=dict)
    last_poll_at_ns: int = 0
    added: Rate = field(default_factory=Rate)
    dispatched: Rate = field(default_factory=Rate)

    def add(self, task: T, now_ns: int) -> bool:
        """Give `task` to the poller that has waited longest, or keep it. Return whether it was taken."""
        self.added.count(now_ns)
        if self._hand_over(task):
            self.dispatched.count(now_ns)
            return True
        if task not in self._backlog:
            self._backlog[task] = Backlogged(task, now_ns)
        return False

    def add_urgent(self, task: T) -> None:
        if not self._hand_over(task):
            self._urgent.append(task)

    def drop_urgent(self, task: T) -> None:
        """The caller is gone."""
        if task in self._urgent:
            self._urgent.remove(task)

    def _hand_over(self, task: T) -> bool:
        while self._waiting:
            poller = next(iter(self._waiting))
            del self._waiting[poller]
            if poller.take(task):
                return True
        return False

    def poll(self, info: PollerInfo) -> T | None:
        """Return a task that waits, or None: the poller may `wait`."""
        self.seen(info)
        if self._urgent:
            return self._urgent.popleft()
        if self._backlog:
            self.dispatched.count(info.last_poll_at_ns)
            task = next(iter(self._backlog))
            del self._backlog[task]
            return task
        return None

    def wait(self, poller: Poller[T]) -> None:
        assert not self._backlog
        assert not self._urgent
        self._waiting[poller] = None

    def leave(self, poller: Poller[T]) -> None:
        """The poller waits no more (no error if it does not)."""
        self._waiting.pop(poller, None)

    def seen(self, info: PollerInfo) -> None:
        self.last_poll_at_ns = info.last_poll_at_ns
        self.pollers[info.identity] = info

    def is_served(self, now_ns: int) -> bool:
        """Somebody polls, or did a moment ago."""
        return bool(self._waiting) or now_ns - self.last_poll_at_ns < RECENT_POLL_NS

    def forget_pollers(self, now_ns: int) -> None:
        for identity in [
            identity
            for identity, info in self.pollers.items()
            if now_ns - info.last_poll_at_ns > POLLER_MEMORY_NS
        ]:
            del self.pollers[identity]

    def is_idle(self, now_ns: int) -> bool:
        """Nothing would be lost if the queue were forgotten."""
        return not (self._waiting or self._backlog or self._urgent) and (
            now_ns - self.last_poll_at_ns > POLLER_MEMORY_NS
        )

    @property
    def backlog_count(self) -> int:
        return len(self._backlog)

    def backlog_age_ns(self, now_ns: int) -> int:
        """Return how long the oldest task has waited; 0 if there is none."""
        for entry in self._backlog.values():
            return max(0, now_ns - entry.since_ns)
        return 0

"""One task queue: tasks wait for pollers, or pollers for tasks; both only while a rate limit holds them apart.

Nothing is durable here: after a restart the node dispatches the pending tasks of its runs again. A task may come twice;
its run recognises that. The queue holds tasks of any type and does not look inside.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from perdure.core.matching.backlog import Backlog, FairBacklog, Weights
from perdure.core.matching.key_rates import KeyRates
from perdure.core.matching.rate import Rate
from perdure.core.matching.token_bucket import TokenBucket

T = TypeVar("T", bound=Hashable)

#: Temporal: a sticky queue counts as served for this long after its worker's last poll.
RECENT_POLL_NS = 10 * 10**9
#: Pollers are remembered, for descriptions, for this long.
POLLER_MEMORY_NS = 5 * 60 * 10**9
#: Temporal: priorities are 1, which goes first, to 5; what says nothing is in the middle.
DEFAULT_PRIORITY = 3
PRIORITY_MAX = 5


def priority_of(key: int) -> int:
    """Return the priority that a task with this key has: 0 says nothing."""
    return min(key, PRIORITY_MAX) if key > 0 else DEFAULT_PRIORITY


def _no_fairness() -> None:
    return None


def _no_key(task: object) -> None:
    return None


@dataclass(slots=True)
class PollerInfo:
    identity: str
    last_poll_at_ns: int
    #: How many tasks a second the worker wants at most, for all pollers of the queue together.
    max_per_second: float | None = None
    #: Serialized `WorkerVersionCapabilities`.
    version_capabilities: bytes | None = None
    #: Names the worker: all of its polls have the same key. Empty if it says nothing.
    worker_key: str = ""


@dataclass(slots=True, eq=False)
class Poller(Generic[T]):
    """A call that waits for a task. `take` is called once, with a task, when it is this poller's turn.

    It returns whether the task is taken: a poller that gave up a moment ago may not have left yet.
    """

    identity: str
    take: Callable[[T], bool]


@dataclass(slots=True)
class TaskQueue(Generic[T]):
    #: Which fairness keys weigh something else than their tasks say; None while the queue knows no fairness.
    _weights: Callable[[], Weights | None] = _no_fairness
    #: The fairness key of a task and its weight; None if it says nothing.
    _fairness_of: Callable[[T], tuple[str, float] | None] = _no_key
    _waiting: dict[Poller[T], None] = field(default_factory=dict)
    #: Priority → its tasks, the first priority first.
    _backlog: dict[int, Backlog[T]] = field(default_factory=dict)
    #: Tasks whose caller waits (queries) go first.
    _urgent: deque[T] = field(default_factory=deque)
    pollers: dict[str, PollerInfo] = field(default_factory=dict)
    last_poll_at_ns: int = 0
    added: Rate = field(default_factory=Rate)
    dispatched: Rate = field(default_factory=Rate)
    #: How often a task and a poller had to wait for the limit.
    held_up: Rate = field(default_factory=Rate)
    #: How fast tasks may be dispatched; None if nobody limits it. Queries do not count.
    limit: TokenBucket | None = None
    #: The rate that an operator sets. It outranks the rate that workers ask for.
    configured_per_second: float | None = None
    #: How fast tasks of one fairness key may be; None if nobody limits it.
    key_rates: KeyRates | None = None
    #: While there is such a limit: of how many tasks that wait each is the key. A look at all of them takes long.
    _keys: Counter[str] = field(default_factory=Counter)
    asked_per_second: float | None = None
    #: When `scaling.py` has all turns again to suggest another number of pollers.
    suggested_until_ns: int = 0

    def configure(self, per_second: float | None, now_ns: int) -> None:
        self.configured_per_second = per_second
        self._set_limit(now_ns)

    def configure_keys(self, per_second: float | None, weights: Weights, now_ns: int) -> None:
        # Temporal: zero is no limit.
        if not per_second:
            self.key_rates = None
        elif self.key_rates is None:
            self.key_rates = KeyRates(per_second, weights)
        else:
            self.key_rates = self.key_rates.at_rate(per_second, weights, now_ns)
        self._count_keys()

    def _count_keys(self) -> None:
        self._keys = Counter(map(self._key_of, self.backlog()) if self.key_rates else ())

    def _key_of(self, task: T) -> str:
        fairness = self._fairness_of(task)
        return fairness[0] if fairness else ""

    @property
    def is_limited(self) -> bool:
        return self.limit is not None or self.key_rates is not None

    def _set_limit(self, now_ns: int) -> None:
        wanted = self.configured_per_second
        if wanted is None:
            wanted = self.asked_per_second
        if wanted is None:
            self.limit = None
            self.release(now_ns)
        elif self.limit is None:
            self.limit = TokenBucket(wanted)
        elif wanted != self.limit.per_second:
            self.limit = self.limit.at_rate(wanted, now_ns)

    def add(
        self,
        task: T,
        now_ns: int,
        priority: int = DEFAULT_PRIORITY,
        fairness: tuple[str, float] | None = None,
    ) -> bool:
        """Give `task` to the poller that has waited longest, or keep it. Return whether it was taken."""
        self.added.count(now_ns)
        may_go = self._may_dispatch(now_ns) and self._is_key_ready(task, now_ns)
        # With a rate for each key, it may overtake tasks whose keys have to wait.
        if may_go and not self._first(now_ns) and self._hand_over(task):
            self._dispatched(task, now_ns)
            return True
        if self._waiting:  # Without a poller that waits, the limit delays nobody.
            self.held_up.count(now_ns)
        level = self._backlog.get(priority)
        if level is None:
            level = Backlog() if self._weights() is None else FairBacklog(self._weights)
            self._backlog = dict(sorted({**self._backlog, priority: level}.items()))
        count = len(level)
        level.add(task, now_ns, fairness)
        if self.key_rates is not None and len(level) > count:
            self._keys[self._key_of(task)] += 1
        return False

    def release(self, now_ns: int) -> None:
        """Dispatch the tasks that waited for the limit, in their order, as far as the limit and the pollers go."""
        while self._backlog and self._waiting and self._may_dispatch(now_ns):
            first = self._first(now_ns)
            if first is None or not self._hand_over(first[1]):
                return
            self._remove(*first)
            self._dispatched(first[1], now_ns)

    def held_until_ns(self) -> int | None:
        """Return when `release` will have something to do; None if that is not a matter of time."""
        if not self.is_limited or not (self._backlog and self._waiting):
            return None
        ready_at_ns = 0
        if self.limit is not None:
            of_the_queue = self.limit.ready_at_ns()
            if of_the_queue is None:
                return None
            ready_at_ns = of_the_queue
        if self.key_rates is not None:
            ready_at_ns = max(ready_at_ns, min(map(self.key_rates.ready_at_ns, self._keys)))
        return ready_at_ns

    def is_held_up(self, now_ns: int) -> bool:
        """Whether the limit has kept tasks from somebody who polled, lately."""
        return self.held_up.per_second(now_ns) > 0

    def _may_dispatch(self, now_ns: int) -> bool:
        return self.limit is None or self.limit.has_token(now_ns)

    def _is_key_ready(self, task: T, now_ns: int) -> bool:
        rates = self.key_rates
        return rates is None or rates.ready_at_ns(self._key_of(task)) <= now_ns

    def _dispatched(self, task: T, now_ns: int) -> None:
        self.dispatched.count(now_ns)
        if self.limit is not None:
            self.limit.take(now_ns)
        if self.key_rates is not None:
            self.key_rates.take(self._fairness_of(task), now_ns)

    def _first(self, now_ns: int) -> tuple[int, T] | None:
        """Return the priority and the task that goes first; None if none waits, or their keys have to."""
        rates = self.key_rates
        if rates is not None and all(rates.ready_at_ns(key) > now_ns for key in self._keys):
            return None
        for priority, level in self._backlog.items():
            task = level.first()
            if self._is_key_ready(task, now_ns):
                return priority, task
            for other in level.tasks():
                if self._is_key_ready(other, now_ns):
                    return priority, other
        return None

    def _remove(self, priority: int, task: T) -> None:
        level = self._backlog[priority]
        if level.first() == task:
            level.drop_first()
        else:
            level.remove(task)
        if not len(level):
            del self._backlog[priority]
        if self.key_rates is not None:
            key = self._key_of(task)
            self._keys[key] -= 1
            if not self._keys[key]:
                del self._keys[key]

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
        now_ns = info.last_poll_at_ns
        if not self._backlog:
            return None
        # Pollers that wait already wait because of the limit, and go first.
        if not self._waiting and self._may_dispatch(now_ns):
            first = self._first(now_ns)
            if first is not None:
                self._remove(*first)
                self._dispatched(first[1], now_ns)
                return first[1]
        self.held_up.count(now_ns)
        return None

    def wait(self, poller: Poller[T]) -> None:
        """Wait for a task, after `poll` has found none. With a limit, `release` has to be called in time."""
        assert self.is_limited or not self._backlog
        assert not self._urgent
        self._waiting[poller] = None

    def leave(self, poller: Poller[T]) -> None:
        """The poller waits no more (no error if it does not)."""
        self._waiting.pop(poller, None)

    def seen(self, info: PollerInfo) -> None:
        self.last_poll_at_ns = info.last_poll_at_ns
        self.pollers[info.identity] = info
        if info.max_per_second != self.asked_per_second:
            # Temporal: the latest poll has the say, also if it says nothing.
            self.asked_per_second = info.max_per_second
            self._set_limit(info.last_poll_at_ns)

    def is_served(self, now_ns: int, within_ns: int = RECENT_POLL_NS) -> bool:
        """Whether a worker polls, or did a moment ago."""
        return bool(self._waiting) or now_ns - self.last_poll_at_ns < within_ns

    def forget_pollers(self, now_ns: int) -> None:
        for identity in [
            identity
            for identity, info in self.pollers.items()
            if now_ns - info.last_poll_at_ns > POLLER_MEMORY_NS
        ]:
            del self.pollers[identity]

    def is_forsaken(self, now_ns: int) -> bool:
        """Whether tasks wait, and nobody has polled for long."""
        return bool(self._backlog) and (
            not self._waiting and now_ns - self.last_poll_at_ns > POLLER_MEMORY_NS
        )

    def drop(self, is_stale: Callable[[T], bool]) -> None:
        """Drop the tasks that are stale."""
        for priority, level in list(self._backlog.items()):
            level.drop(is_stale)
            if not len(level):
                del self._backlog[priority]
        self._count_keys()

    def is_idle(self, now_ns: int) -> bool:
        """Whether nothing would be lost if the queue were forgotten."""
        return not (self._waiting or self._backlog or self._urgent) and (
            now_ns - self.last_poll_at_ns > POLLER_MEMORY_NS
        )

    def backlog(self) -> Iterator[T]:
        """Yield the tasks that wait, the next one first."""
        for level in self._backlog.values():
            yield from level.tasks()

    @property
    def backlog_count(self) -> int:
        return sum(len(level) for level in self._backlog.values())

    def backlog_counts(self) -> dict[int, int]:
        """Return how many tasks wait, by priority."""
        return {priority: len(level) for priority, level in self._backlog.items()}

    def backlog_age_ns(self, now_ns: int, priority: int | None = None) -> int:
        """Return how long the oldest task, or the oldest of one priority, has waited; 0 if there is none."""
        oldest_ns = now_ns
        for of_level, level in self._backlog.items():
            if priority in (None, of_level):
                oldest_ns = min(oldest_ns, level.oldest_ns)
        return now_ns - oldest_ns

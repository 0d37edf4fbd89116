"""The door: every request to an execution of any kind, and every view of one, goes through `Executions`.

**Invariant:** no answer rests on what is not durable: the waiting is inside, so that no caller can forget it. An answer
that rests on memory alone is given only while this node is certain of its lease.

The entry of the cache is private to `runtime.shard`: nobody on this side of the door holds an execution.
"""

from collections.abc import Callable
from typing import Any

from perdure.core.errors import Rejected
from perdure.core.execution.environment import Environment
from perdure.core.execution.key import WORKFLOW, ExecutionKey, shard_key
from perdure.core.execution.outcome import Effect
from perdure.core.execution.request import Request
from perdure.runtime.clock import Clock
from perdure.runtime.shard.engine import Answer, Engine
from perdure.runtime.shard.histories import PAGE_BYTES_MAX, Histories, Page
from perdure.runtime.shard.rebuilding import Reset
from perdure.runtime.shard.removal import Removal
from perdure.runtime.shard.resets import Resets

__all__ = ["PAGE_BYTES_MAX", "Answer", "Executions", "Page", "Reset"]


class Executions:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        #: The engine's own: one call less on the way of every request.
        self.ask = engine.ask
        self.read = engine.read
        self._histories = Histories(engine)
        removal = Removal(engine)
        self.delete = removal.delete
        self.remove_closed = removal.remove_closed
        self.resets = Resets(engine)
        self.reset = self.resets.reset
        self.follow = self._histories.follow
        self.page = self._histories.page
        self.page_back = self._histories.page_back
        self.last_event = self._histories.last_event
        self.last_transition = self._histories.last_transition
        self.drain = self._histories.drain
        self.check_serving: Callable[[], None] = engine.ownership.check_serving
        self.environment_of: Callable[[str], Environment] = engine.environment_of

    @staticmethod
    def key(
        namespace_id: str, business_id: str, run_id: str = "", *, archetype: int = WORKFLOW
    ) -> ExecutionKey:
        """Return the key of a run; an empty `run_id` means the current one."""
        return ExecutionKey(
            shard_key(namespace_id, business_id), archetype, namespace_id, business_id, run_id
        )

    def tell(self, key: ExecutionKey, request: Request[Any]) -> bool:
        """Ask a cached execution at once; return whether it took the request. It may not be durable yet."""
        cached = self._engine.cache.peek(key) if self._engine.is_serving else None
        if cached is None:
            return False
        try:
            self._engine.advance(cached, request)
        except Rejected:
            return False
        return True

    def has_pending(self, key: ExecutionKey, is_wanted: Callable[[Effect], bool]) -> bool:
        """Return whether an execution has a pending effect that `is_wanted`, as far as the cache knows."""
        cached = self._engine.cache.peek(key)
        if cached is None:
            return key in self._engine.cache.backlogged
        return any(
            map(is_wanted, cached.archetype.pending_effects(cached.execution, self.clock.now_ns()))
        )

    @property
    def clock(self) -> Clock:
        return self._engine.clock

    @property
    def is_serving(self) -> bool:
        return self._engine.is_serving

    @property
    def generation(self) -> int:
        """Grows whenever memory is thrown away: work that began before is void."""
        return self._engine.generation

    @property
    def in_memory_count(self) -> int:
        return len(self._engine.cache)

    @property
    def leases_count(self) -> int:
        return len(self._engine.leases.held)

    @property
    def rows_written(self) -> int:
        """The number of journal rows written so far, by which background work sees whether others use the store."""
        return self._engine.commits.rows_written

    def commit_age_s(self) -> float:
        """Return how long the oldest change has been waiting for its commit."""
        return self._engine.commits.age_s()

    async def flush(self) -> None:
        """Return when everything that was changed so far is durable. Raises `Rejected` if it is not."""
        await self._engine.commits.flush()

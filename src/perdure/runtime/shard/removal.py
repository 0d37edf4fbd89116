"""Deletes executions: at a client's request, and when their retention is over."""

import structlog

from perdure.core.errors import Code, Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.request import Delete
from perdure.runtime.shard.engine import Engine
from perdure.store.port import NEVER_NS

log = structlog.get_logger(__name__)


class Removal:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def delete(self, key: ExecutionKey) -> None:
        """Delete an execution, or begin to: it goes when it has no pending effects. Raises `Rejected`."""
        engine = self._engine
        try:
            cached = await engine.get(key)
        except Rejected as refusal:
            is_unreadable = refusal.code is Code.INTERNAL and engine.cache.peek(key) is None
            if not (is_unreadable and key.run_id):
                raise
            # Its pending effects cannot be read either; it must not stay for ever because of them.
            log.warning("an execution that cannot be read is deleted", **key._asdict())
            await self._delete_unread(key)
            return
        if cached.batch is not None:
            # The number of a run that is not stored yet would be forgotten with it.
            await cached.batch.durable()
        await engine.ask(cached.key, Delete())

    async def _delete_unread(self, key: ExecutionKey) -> None:
        batch = self._engine.commits.batch()
        batch.deletes[key.run_id] = key
        self._engine.cache.tombstone(key, batch)
        await batch.durable()

    async def remove_closed(self, keys: list[ExecutionKey]) -> int:
        """Delete closed executions of our ranges without pending effects; return how many are gone, durably.

        Raises `Rejected` or `StoreError`: the caller can ask again, also if they are gone.
        """
        engine = self._engine
        engine.ownership.check_serving()
        keys = [key for key in keys if engine.leases.covers(key.shard_key)]
        removable = set(await engine.loading.removable(keys))
        batch = engine.commits.batch()
        gone_count = 0
        for key in keys:
            cached = engine.cache.peek(key)
            if cached is None and key in removable:
                batch.deletes[key.run_id] = key
                engine.cache.tombstone(key, batch)
            elif cached is not None and not cached.summary.is_open and cached.due_at_ns == NEVER_NS:
                engine.advance(cached, Delete())
            else:
                continue
            gone_count += 1
        if gone_count:
            await batch.durable()
        return gone_count
